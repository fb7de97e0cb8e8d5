"""The tunables' values of one container, kept in its state directory: written before a store is acknowledged."""
import json
import os
from collections.abc import Iterable, Mapping

from eci_supervisor.cgroup.reader import read_text
from eci_supervisor.model.verdict import Deny
from eci_supervisor.procfs.node import Tunable

SYSCTL_PREFIX = b"proc/sys/"
ZERO = b"0\n"


class Tunables:
    """Texts by path of the virtual tree, such as b"proc/sys/vm/overcommit_memory"."""

    def __init__(self, path: str, nodes: Mapping[bytes, Tunable], initial: Mapping[bytes, bytes], root: str = "/") -> None:
        """What the file at `path` has; else `initial`, checked by each node's own rule; else the host's value, read below `root`.

        A node that the host lacks is absent. Raises OSError, ValueError (the file is not ours, or an initial value is refused).
        """
        self._path, self._nodes, self._root = path, nodes, root
        saved = self._saved()
        self._values = {name: text for name in nodes if (text := saved.get(name) or self._host(name)) is not None}
        for name, written in initial.items():
            if name in self._values and name not in saved:
                self._values[name] = self._judged(name, written)
                if nodes[name].zeroes in self._values:
                    self._values[nodes[name].zeroes] = ZERO
        self._save()

    def __contains__(self, name: bytes) -> bool:
        return name in self._values

    def value(self, name: bytes) -> bytes:
        return self._values[name]

    def host_value(self, name: bytes) -> bytes:
        """What the kernel goes by; b"" where it cannot be read any more."""
        return self._host(name) or b""

    def store(self, name: bytes, written: bytes) -> Deny | None:
        """Keeps what was written, or says why not. Raises OSError where it could not be kept: then the old value stays."""
        text = self._nodes[name].store(self._values[name], written)
        if isinstance(text, Deny):
            return text
        before, other = dict(self._values), self._nodes[name].zeroes
        self._values[name] = text
        if other in self._values:
            self._values[other] = ZERO
        try:
            if self._values != before:
                self._save()
        except OSError:
            self._values = before
            raise
        return None

    def _judged(self, name: bytes, written: bytes) -> bytes:
        text = self._nodes[name].store(self._values[name], written)
        if isinstance(text, Deny):
            raise ValueError(f"/{os.fsdecode(name)}: {written[:80]!r} is not a value of it")  # noqa: TRY004 # Deny is no wrong type
        return text

    def _host(self, name: bytes) -> bytes | None:
        try:
            return read_text(os.path.join(self._root, os.fsdecode(name)))
        except FileNotFoundError:
            return None

    def _saved(self) -> dict[bytes, bytes]:
        try:
            text = read_text(self._path)
        except FileNotFoundError:
            return {}
        raw = json.loads(text)
        if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
            raise ValueError(f"{self._path}: not the tunables of a container")
        return {name.encode("latin-1"): value.encode("latin-1") for name, value in raw.items()}

    def _save(self) -> None:
        text = json.dumps({name.decode("latin-1"): value.decode("latin-1") for name, value in self._values.items()}).encode()
        fresh = f"{self._path}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)
        os.rename(fresh, self._path)


def split_sysctls(sysctls: Iterable[tuple[str, str]], nodes: Mapping[bytes, Tunable]
                  ) -> tuple[dict[bytes, bytes], tuple[tuple[bytes, bytes], ...]]:
    """The spec's sysctls that name virtual nodes, as initial values; and the others, which the kernel keeps."""
    virtual: dict[bytes, bytes] = {}
    native: list[tuple[bytes, bytes]] = []
    for key, value in sysctls:
        name = SYSCTL_PREFIX + key.encode().replace(b".", b"/")
        if name in nodes:
            virtual[name] = value.encode()
        else:
            native.append((key.encode(), value.encode()))
    return virtual, tuple(native)
