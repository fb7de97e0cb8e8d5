"""Rows of what a hostile container may try with mounts, namespaces, ids and files, one function a row; what each saw is for the test."""
import ctypes
import fcntl
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable

from tests.container.inside.calls import (
    BIND,
    CLONE,
    DETACH,
    EXPIRE,
    FORCE,
    MAGIC,
    MOUNT,
    MOVE,
    NEWPID,
    NEWUSER,
    NOFOLLOW,
    OPEN_TREE,
    PRIVATE,
    PROC,
    RDONLY,
    REC,
    REMOUNT,
    SHARED,
    call,
    magic,
    mount,
    name,
    open_tree,
    opened,
    umount,
    unshare,
    virtual,
)  # fmt: skip
from tests.container.inside.procfs import T, in_child, proc

VOLUME, WRITABLE, NODE = "/v", "/w", "/proc/uptime"
KEPT: list[object] = []


def created(directory: str) -> str:
    return opened(f"{directory}/made", os.O_CREAT | os.O_WRONLY)


def refused(change: Callable[[], object]) -> str:
    """The errno's name of what raises, "OK" for what does not."""
    try:
        change()
    except OSError as error:
        return name(-(error.errno or 0))
    return "OK"


def flipped(buffer: "ctypes.Array[ctypes.c_char]", values: tuple[bytes, bytes], body: Callable[[], object]) -> None:
    """`body` while another thread writes one value and the other into `buffer`, again and again."""
    over = False

    def flip() -> None:
        while not over:
            for value in values:
                ctypes.memmove(buffer, value + b"\0", len(value) + 1)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        body()
    finally:
        over = True
        thread.join()


# ---- arguments ----


def line_a04() -> object:
    """An overlay whose option string flips between what may be written to and what may not: /v is read-only, whoever asks."""
    for each in ("u", "k", "l"):
        os.makedirs(f"{WRITABLE}/{each}", exist_ok=True)
    harmless, harmful = (f"lowerdir={WRITABLE}/l,upperdir={up},workdir={WRITABLE}/k".encode() for up in (f"{WRITABLE}/u", f"{VOLUME}/sub"))
    options = ctypes.create_string_buffer(harmless, 4096)
    seen: set[str] = set()

    def body() -> None:
        for _ in range(150):
            if call(MOUNT, "overlay", T, "overlay", 0, ctypes.addressof(options)) == 0:
                seen.add(created(T))
                umount(T, DETACH)

    flipped(options, (harmless, harmful), body)
    return sorted(seen), os.path.exists(f"{VOLUME}/sub/made"), os.path.exists(f"{WRITABLE}/u/made")


def line_a10() -> object:
    """A path whose length flips: one of the two results."""
    path = ctypes.create_string_buffer(b"/none", 8192)
    seen: set[str] = set()

    def body() -> None:
        for _ in range(300):
            seen.add(name(call(MOUNT, "x", ctypes.addressof(path), "proc", 0, None)))

    flipped(path, (b"/none", b"/" + b"n" * 4000), body)
    return sorted(seen - {"ENOENT", "ENAMETOOLONG"})


def line_b15() -> object:
    """Descriptors that are handed in: never 0 by accident, never another file, close-on-exec as asked."""
    wrong = []
    for round_ in range(150):
        cloexec = 0x80000 * (round_ % 2)
        fd = call(OPEN_TREE, -100, "/proc", CLONE | cloexec)
        if fd < 3 or magic(fd) != PROC or fcntl.fcntl(fd, fcntl.F_GETFD) != round_ % 2 or not virtual(f"/proc/self/fd/{fd}"):
            wrong.append((round_, fd))
        os.close(fd)
    return wrong


def line_b16() -> object:
    """A caller that can hold no descriptor more."""
    most = 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    while (last := os.open("/", os.O_PATH)) < most - 1:
        pass
    seen = {name(open_tree("/proc")) for _ in range(150)}
    os.close(last)
    return sorted(seen), open_tree("/proc") == last


def line_b19() -> object:
    """Three pid namespaces deep, where its number is 1 as in every one: the process that it is."""
    def deeper(levels: int) -> object:
        unshare(NEWPID)
        return in_child(lambda: deeper(levels - 1) if levels else (os.getpid(), proc(), os.readlink(f"{T}/self"), virtual(T)))

    return str(deeper(2)).replace("\\", "").strip("\"'")


def line_c08() -> object:
    """Each of these is a remount, or a bind, to the kernel: the volume stays as it is."""
    both = REMOUNT | BIND
    combined = (both | MOVE, both | SHARED, both | PRIVATE | REC, REMOUNT | MOVE, MAGIC | both, 1 << 22 | both)
    return [mount(VOLUME, VOLUME, None, flags) for flags in combined], mount(WRITABLE, VOLUME, None, BIND | MOVE), created(VOLUME), umount(
        VOLUME), created(VOLUME)


def line_d13() -> object:
    """Through execveat of a file in memory, after forks, in an old thread and a new one: the same filters."""
    def filters(task: str) -> list[str]:
        with open(f"/proc/{task}/status") as file:
            return [line.split()[1] for line in file if line.startswith("Seccomp")]

    before, seen = filters("self"), []
    thread = threading.Thread(target=lambda: seen.append(filters("thread-self")))
    thread.start()
    thread.join()
    memory = os.memfd_create("cat", 0)
    with open("/bin/busybox", "rb") as program, os.fdopen(memory, "wb") as copy:
        shutil.copyfileobj(program, copy)
        copy.flush()
        readable = os.open(f"/proc/self/fd/{memory}", os.O_RDONLY)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.dup2(writer, 1)
        try:
            os.execve(readable, ["cat", "/proc/self/status"], {})
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as file:
        seen.append([line.split()[1] for line in file if line.startswith("Seccomp")])
    return before[0], [each == before for each in seen]


# ---- protected mounts ----


def line_f01() -> object:
    """Every flag, alone and twice."""
    flags = (0, FORCE, DETACH, EXPIRE, EXPIRE, NOFOLLOW, FORCE | DETACH)
    protected = (NODE, "/proc/sys/kernel/panic", VOLUME, "/", "/sys/devices/system/cpu/online")
    return {path: sorted({umount(path, each) for each in flags}) for path in protected}


def line_f04() -> object:
    """A protected mount does not move; its parent does, with all that is on it."""
    mount(None, "/", None, PRIVATE | REC)
    alone = [mount(path, T, None, MOVE) for path in (NODE, VOLUME)]
    moved = mount("/proc", T, None, MOVE), virtual(T), os.listdir("/proc"), mount(T, "/proc", None, MOVE), virtual("/proc")
    return alone, moved


def line_f06() -> object:
    """Files, and another node, over a virtual file: they cover it, and afterwards it is back."""
    with open(f"{WRITABLE}/file", "w") as file:
        file.write("covered")
    seen = []
    for cover in (f"{WRITABLE}/file", "/dev/null", "/proc/meminfo"):
        before = magic(NODE)
        seen.append((mount(cover, NODE, None, BIND), umount(NODE), magic(NODE) == before, umount(NODE)))
    return seen


def line_f07() -> object:
    """A thousand mounts on a protected one, and one umount more than that."""
    done = sum(mount("cover", VOLUME, "tmpfs") == "OK" for _ in range(1000))
    gone = sum(umount(VOLUME, DETACH) == "OK" for _ in range(1001))
    return done, gone, umount(VOLUME), created(VOLUME)


def line_f09() -> object:
    """Binds that double until the kernel has enough."""
    mount("grow", T, "tmpfs")
    mount(None, T, None, PRIVATE)
    for number in range(40):
        os.mkdir(f"{T}/{number}")
        if (result := mount(T, f"{T}/{number}", None, BIND | REC)) != "OK":
            return result, number > 10
    return "endless"


# ---- the real /proc ----


def line_g01() -> object:
    """Many places, every option: virtual at each."""
    seen = set()
    for number, options in enumerate(("", "hidepid=0", "hidepid=1", "hidepid=2", "hidepid=invisible", "gid=0", "hidepid=2,gid=0") * 3):
        place = f"/tmp/g01-{number}"
        os.mkdir(place)
        seen.add((proc(place, (0, RDONLY, MAGIC)[number % 3], options), virtual(place)))
        umount(place)
        os.rmdir(place)
    return sorted(seen)


def line_g04() -> object:
    """From a directory that was opened before, and through every process's root."""
    os.chdir("/proc")
    tree = os.open("/proc", os.O_PATH)
    roots = {virtual(f"/proc/{pid}/root/proc") for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}/root/proc")}
    return virtual(f"/proc/self/fd/{tree}"), virtual("."), sorted(roots)


# ---- ids, namespaces ----


def as_user(uid: int, body: Callable[[], object]) -> str:
    def there() -> object:
        os.setresuid(uid, uid, uid)
        return body()

    return in_child(there)


def line_h03() -> object:
    def set_trusted() -> str:
        return refused(lambda: os.setxattr(f"{WRITABLE}/x", "trusted.x", b"1"))

    with open(f"{WRITABLE}/x", "w"):
        os.chmod(f"{WRITABLE}/x", 0o666)

    def in_namespace() -> str:
        unshare(NEWUSER)
        return set_trusted()

    return set_trusted(), as_user(1000, set_trusted), as_user(1000, in_namespace)


def line_h04() -> object:
    """Owners outside the map, on a file and on virtual ones."""
    with open(f"{WRITABLE}/owned", "w"):
        pass
    ids = (65536, 100000, 2**32 - 2)
    seen = [refused(lambda each=each: os.chown(f"{WRITABLE}/owned", each, each)) for each in ids]  # type: ignore[misc] # bound here
    nodes = {refused(lambda node=node: os.chown(node, 0, 0)) for node in (NODE, "/proc/sys/kernel/panic", "/proc", "/sys")}  # type: ignore[misc]
    return seen, sorted(nodes), refused(lambda: os.chown(f"{WRITABLE}/owned", 65534, 1)), os.stat(f"{WRITABLE}/owned").st_uid


def line_h06() -> object:
    """A nested user namespace of six extents: owners are translated rightly in both directions."""
    go, ready = os.pipe(), os.pipe()

    def inside() -> bool:
        unshare(NEWUSER)
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os.setuid(0)
        for each in range(6):
            with open(f"{WRITABLE}/extent-{each}", "w"):
                os.chown(f"{WRITABLE}/extent-{each}", each, -1)
        return all(os.stat(f"{WRITABLE}/extent-{each}").st_uid == each for each in range(6))

    child = os.fork()
    if child == 0:
        try:
            os._exit(not inside())
        finally:
            os._exit(2)
    os.read(ready[0], 1)
    os.chmod(WRITABLE, 0o777)
    for kind in ("uid", "gid"):
        with open(f"/proc/{child}/{kind}_map", "w") as file:
            file.write("".join(f"{each} {each * 10} 1\n" for each in range(6)))
    os.write(go[1], b"x")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, [os.stat(f"{WRITABLE}/extent-{each}").st_uid for each in range(6)]


def line_i02() -> object:
    """User namespaces in each other, until there are enough."""
    for depth in range(40):
        if (result := call(272, NEWUSER)) < 0:
            return name(result), depth > 20
        for file, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
            with open(f"/proc/self/{file}", "w") as opened_:
                opened_.write(text)
    return "endless"


def line_i03() -> object:
    """Maps that reach out of the container's, and a second one."""
    def mapped(*lines: str) -> str:
        def there() -> object:
            unshare(NEWUSER)
            return [refused(lambda line=line: os.write(os.open("/proc/self/uid_map", os.O_WRONLY), line.encode())) for line in lines]  # type: ignore[misc]

        return in_child(there)

    return mapped("0 65536 1"), mapped("0 100000 1"), mapped("0 4294967294 1"), mapped("0 0 1", "0 0 1")


# ---- signals ----


def line_b05() -> object:
    """Calls that the kernel alone decides, under signals whose handler restarts nothing: none of them natively knows EINTR."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 3e-4, 3e-4)
    calls: dict[str, tuple[int, ...]] = {"unshare": (272, 0), "setns": (308, -1, 0), "umount2": (166, 0, 16), "fspick": (433, -100, 0, 0)}
    seen = {key: sorted({name(call(*args)) for _ in range(500)} - {"EINTR"}) for key, args in calls.items()}
    signal.setitimer(signal.ITIMER_REAL, 0)
    return seen
