"""mknod(2) and mknodat(2) of device nodes, where the admin lets some be made. Source: fs/namei.c, Documentation/admin-guide/devices.txt."""
from eci_supervisor.model.notification import Call
from eci_supervisor.model.verdict import Continue, Judged, KernelCheck, MakeNode, Named, Verdict
from eci_supervisor.seccomp.handlers.mount_api import AT_FDCWD, signed
from eci_supervisor.seccomp.handlers.texts import NOTHING, path_errno
from eci_supervisor.seccomp.held import held

TYPE_MASK, CHARACTER = 0xF000, 0x2000
NODES = {(1, 3): b"null", (1, 5): b"zero", (1, 7): b"full", (1, 8): b"random", (1, 9): b"urandom", (5, 0): b"tty"}


def device(number: int) -> tuple[int, int]:
    """Major and minor of the 32 bits that the call takes: new_decode_dev()."""
    return number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00


def _made(call: Call, at: int, directory: int, otherwise: frozenset[KernelCheck]) -> Verdict:
    """`at`: the argument that is the path; mode and device come behind it. What is not done here is a whiteout, or EPERM."""
    mode, node, path = call.args[at + 1], NODES.get(device(call.args[at + 2] & 0xFFFFFFFF)), call.texts.get(at, NOTHING)
    if mode & TYPE_MASK != CHARACTER or node is None or path_errno(path):
        return Continue(otherwise)
    above, slash, name = path.value.rpartition(b"/")
    is_absolute = path.value.startswith(b"/")
    if not name or (directory < 0 and directory != AT_FDCWD and not is_absolute):
        return Continue(otherwise)
    parent = Named(above + slash or b".", -1 if is_absolute or directory == AT_FDCWD else directory)
    return Judged(MakeNode(name, held(2)), (parent, Named(b"/dev/" + node)), sources=(2,), targets=(1,))


def mknod(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Relative to where the caller stands."""
    return _made(call, 0, AT_FDCWD, otherwise)


def mknodat(call: Call, otherwise: frozenset[KernelCheck]) -> Verdict:
    """Relative to a directory of the caller's."""
    return _made(call, 1, signed(call.args[0]), otherwise)
