"""User namespaces made for their maps alone, and the question whose a namespace is.

A user namespace lives while an fd of it is open: the child that was made to create it is killed at once.
"""
import contextlib
import os
import signal
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

from eci_supervisor.idmap.maps import Extent, IdMaps
from eci_supervisor.linux import namespaces
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.namespaces import CLONE_NEWUSER
from eci_supervisor.native import ffi, lib

_PR_SET_PDEATHSIG = 1


def user_namespace(maps: IdMaps) -> OwnedFd:
    """An fd of a new user namespace with these maps; its process is gone when this returns."""
    with UserNamespaces() as made:
        return OwnedFd(os.dup(made.fd(maps)))


class UserNamespaces:
    """User namespaces by their maps, each made once. At the end their fds are closed and their processes, long dead by then, reaped."""

    def __init__(self) -> None:
        self._made: dict[IdMaps, OwnedFd] = {}
        self._pids: list[int] = []

    def fd(self, maps: IdMaps) -> int:
        """An fd of the user namespace with these maps, which stays ours."""
        if maps not in self._made:
            pid = namespaces.idle_child(CLONE_NEWUSER)
            self._pids.append(pid)
            try:
                _write(f"/proc/{pid}/uid_map", maps.uids)
                _write(f"/proc/{pid}/gid_map", maps.gids)
                self._made[maps] = OwnedFd(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))
            finally:
                os.kill(pid, signal.SIGKILL)
        return self._made[maps].fileno()

    def __enter__(self) -> "UserNamespaces":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for user in self._made.values():
            user.close()
        for pid in self._pids:
            os.waitpid(pid, 0)


def _write(path: str, extents: tuple[Extent, ...]) -> None:
    with OwnedFd(os.open(path, os.O_WRONLY | os.O_CLOEXEC)) as fd:
        os.write(fd.fileno(), "".join(f"{e.inside} {e.outside} {e.size}\n" for e in extents).encode())


def maps_of(user: int) -> IdMaps:
    """The maps of the user namespace of an fd, read through a child that joined it."""
    with _Joined(user) as pid:
        return IdMaps(_extents(f"/proc/{pid}/uid_map"), _extents(f"/proc/{pid}/gid_map"))


class OwnerKind(Enum):
    """Whose a namespace is."""

    HOST = "the host's own namespace"
    INITIAL = "another namespace of the initial user namespace"  # ip netns, CNI: a container with a range of its own may join it
    OTHER = "a namespace of another user namespace"


@dataclass(frozen=True, slots=True)
class NamespaceOwner:
    """The answer of owner_of(); `user`, its identity (device, inode) and its maps are those of OTHER, else None."""

    kind: OwnerKind
    namespace: int
    user: OwnedFd | None = None
    identity: tuple[int, int] | None = None
    maps: IdMaps | None = None


def owner_of(path: str) -> NamespaceOwner:
    """Whose the namespace at `path` is, by what it is, never by the path. `namespace` is its CLONE_NEW* type.

    Raises OSError: ENOTTY for a file that is no namespace, EPERM for one that belongs to a namespace above ours.
    """
    with OwnedFd(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)) as namespace:
        kind = namespaces.kind(namespace.fileno())
        itself = namespaces.identity(namespace.fileno())
        name = namespaces.NAMES[kind]
        if itself in _of_the_host(name):
            return NamespaceOwner(OwnerKind.HOST, kind)
        user = OwnedFd(os.dup(namespace.fileno())) if kind == CLONE_NEWUSER else namespaces.owner(namespace.fileno())
    identity = namespaces.identity(user.fileno())
    if identity == namespaces.identity("/proc/self/ns/user"):
        user.close()
        return NamespaceOwner(OwnerKind.INITIAL, kind)
    return NamespaceOwner(OwnerKind.OTHER, kind, user, identity, maps_of(user.fileno()))


def _of_the_host(name: str) -> set[tuple[int, int]]:
    """The namespaces of that type that count as the host's: ours and those of its init."""
    found = {namespaces.identity(f"/proc/self/ns/{name}")}
    with contextlib.suppress(PermissionError):  # an init with capabilities that we lack cannot be looked at
        found.add(namespaces.identity(f"/proc/1/ns/{name}"))
    return found


def _extents(path: str) -> tuple[Extent, ...]:
    with open(path, "rb") as file:
        return tuple(Extent(*map(int, line.split())) for line in file)


class _Joined:
    """A forked process that has joined a user namespace and then waits to be killed; raises what joining raised there."""

    def __init__(self, user: int) -> None:
        self._user = user
        self._pid = 0

    def __enter__(self) -> int:
        read, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._be(write)
        os.close(write)
        try:
            answer = os.read(read, 16)
        finally:
            os.close(read)
        if answer != b"0":
            self.__exit__()
            code = int(answer or b"10")  # ECHILD: it died without a word
            raise OSError(code, f"{os.strerror(code)}: setns user")
        return self._pid

    def _be(self, write: int) -> None:
        """The child's whole life; nobody waits for it if its parent is killed, so it goes along."""
        try:
            namespaces.setns(self._user, CLONE_NEWUSER)
            lib.prctl(_PR_SET_PDEATHSIG, ffi.cast("unsigned long", signal.SIGKILL))  # last: a change of credentials clears it
            os.write(write, b"0")
        except OSError as error:
            os.write(write, b"%d" % (error.errno or 1))
        finally:
            signal.pause()
            os._exit(0)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
