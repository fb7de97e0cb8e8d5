"""A FUSE server of the container's own, and what is mounted below it. It has one directory, `d`, in its root."""
import os
import struct

from tests.container.inside.calls import BIND, attach, context, fsmount, mount, name, open_tree, umount, virtual
from tests.container.inside.procfs import T2, proc

LOOKUP, FORGET, GETATTR, INIT, OPENDIR, BATCH_FORGET = 1, 2, 3, 26, 27, 42
ENOENT, ENOSYS = 2, 38
ROOT, DIRECTORY = 1, 2


def attributes(node: int) -> bytes:
    return struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)


def replied(opcode: int, node: int, body: bytes) -> tuple[int, bytes]:
    """Error and answer to one request."""
    if opcode == INIT:
        return 0, struct.pack("=4I2H2I2H8I", 7, 31, 4096, 0, 12, 9, 4096, 1, 1, 0, *[0] * 8)
    if opcode == LOOKUP and (node, body) == (ROOT, b"d\0"):
        return 0, struct.pack("=4Q2I", DIRECTORY, 1, 60, 60, 0, 0) + attributes(DIRECTORY)
    if opcode == GETATTR:
        return 0, struct.pack("=QII", 60, 0, 0) + attributes(node)
    if opcode == OPENDIR:
        return 0, struct.pack("=QII", 0, 0, 0)
    return ENOENT if opcode == LOOKUP else ENOSYS, b""


def serve(fd: int) -> None:
    while True:
        try:
            request = os.read(fd, 1 << 17)
        except OSError:
            return
        _, opcode, unique, node = struct.unpack_from("=IIQQ", request)
        if opcode in (FORGET, BATCH_FORGET):
            continue
        error, body = replied(opcode, node, request[40:])
        os.write(fd, struct.pack("=IiQ", 16 + len(body), -error, unique) + body)


def line_66_devices() -> object:
    """The errnos for what is no /dev/fuse: closed, a pipe, another device, an O_PATH of the right one, no number, two."""
    pipe, null, path = os.pipe()[0], os.open("/dev/null", os.O_RDWR), os.open("/dev/fuse", os.O_PATH)
    two = [os.open("/dev/fuse", os.O_RDWR) for _ in range(2)]
    wrong = ("fd=99", f"fd={pipe}", f"fd={null}", f"fd={path}", "fd=x", f"fd={two[0]},fd={two[1]}", "")
    return [mount("fuse", T2, "fuse", 0, f"{option},rootmode=40000,user_id=0,group_id=0".strip(",")) for option in wrong]


def line_66() -> object:
    fd = os.open("/dev/fuse", os.O_RDWR)
    seen: list[object] = [mount("fuse", T2, "fuse", 0, f"fd={fd},rootmode=40000,user_id=0,group_id=0")]
    if os.fork() == 0:
        serve(fd)
        os._exit(0)
    os.close(fd)
    where = f"{T2}/d"
    seen += [proc(where), virtual(where), umount(where), attach(fsmount(context("proc")), where), virtual(where), umount(where)]
    seen += [mount("/proc", where, None, BIND), virtual(where), umount(where), name(open_tree(where)), umount(where)]
    return [*seen, mount("x", f"{T2}/nothing", "proc"), umount(T2)]
