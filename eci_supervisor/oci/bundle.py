"""The bundle and the host as create finds them: config.json, and the namespaces that a refusal depends on. Reads files, decides nothing."""
import errno
import os
import stat

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.oci.refusals import PROC_NAMES, Facts, Identity
from eci_supervisor.oci.spec import Spec, SpecError, parse_spec

MAX_CONFIG_BYTES = 16 << 20  # containerd's own bound for what it is sent
HOSTS = ("/proc/self/ns", "/proc/1/ns")  # an engine may itself live in namespaces of its own: its and pid 1's are both the host's

WORDS = {errno.ENOENT: "it is not there", errno.EACCES: "access is denied", errno.ENOTDIR: "a part of it is no folder"}


def read_spec(path: str) -> Spec:
    """The file parsed and checked. Raises SpecError with one sentence."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # NONBLOCK: a FIFO of that name must not hold us
    except OSError as error:
        raise SpecError(f"config.json cannot be read: {path}: {_words(error)}") from None
    with OwnedFd(fd):
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise SpecError(f"config.json is no regular file: {path}")
        with open(fd, "rb", closefd=False) as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    if len(text) > MAX_CONFIG_BYTES:
        raise SpecError(f"config.json is larger than {MAX_CONFIG_BYTES} bytes")
    return parse_spec(text)


def root_directory(bundle: str, spec: Spec) -> str:
    """The absolute path of the root file system, links followed. Raises SpecError if there is no such directory."""
    path = os.path.realpath(os.path.join(bundle, spec.root_path))
    try:
        found = os.stat(path)
    except OSError as error:
        raise SpecError(f"root.path {path}: {_words(error)}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise SpecError(f"root.path {path} is no folder")
    return path


def look(spec: Spec) -> Facts:
    """The host's namespaces, and those that the spec names by path."""
    host = {kind: frozenset(found for where in HOSTS if (found := identity(f"{where}/{name}"))) for kind, name in PROC_NAMES.items()}
    return Facts(host, {ns.type: identity(ns.path) for ns in spec.namespaces if ns.path and ns.type in PROC_NAMES})


def identity(path: str) -> Identity | None:
    """None where there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Identity(found.st_dev, found.st_ino)


def _words(error: OSError) -> str:
    """An errno in words that an engine does not take for one of its own: "no such file or directory" would become exit code 127."""
    return WORDS.get(error.errno or 0) or errno.errorcode.get(error.errno or 0, "it failed")
