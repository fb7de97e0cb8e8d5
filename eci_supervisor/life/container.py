"""A container as its supervisor sees it: what is asked on the control socket is done here."""
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from errno import ESRCH
from typing import Protocol

import trio

from eci_supervisor.control.protocol import Attach, Events
from eci_supervisor.control.server import Refused
from eci_supervisor.forkserver.home import hierarchies
from eci_supervisor.idmap.leases import Leases
from eci_supervisor.life import record
from eci_supervisor.life.cgroups import own_directories
from eci_supervisor.linux import process
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.paths import ContainerDir
from eci_supervisor.model.emulation import MounterFailed
from eci_supervisor.model.state import ContainerState, LateBind, Mode
from eci_supervisor.mounts.mounter import LocksBroken
from eci_supervisor.observe.journal import Journal
from eci_supervisor.policy.chosen import floor
from eci_supervisor.policy.counters import counters
from eci_supervisor.procfs.sampler import Sampler


class MountWork(Protocol):
    """What a container needs of the mounter, besides emulated calls."""

    async def container(self, init: int) -> None: ...
    async def attach_first(self, rootfs: bytes, late: tuple[LateBind, ...], sysctls: tuple[tuple[bytes, bytes], ...]) -> None: ...
    async def delegate_cgroup(self, init: int, owner: int) -> None: ...
    async def prove(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a supervisor is composed of, as far as the container acts on it. `sysctls` are those that the kernel keeps."""

    mounter: MountWork
    sampler: Sampler
    journal: Journal
    leases: Leases
    sysctls: tuple[tuple[bytes, bytes], ...]
    live: Callable[[], Mapping[str, object]]


class Container:
    """`attached` is set once the container's init is known; `stopped` when somebody wants the supervisor to end."""

    def __init__(self, directory: ContainerDir, state: ContainerState, parts: Parts) -> None:
        self.state = state
        self.attached = trio.Event()
        self.stopped = trio.Event()
        self.init: OwnedFd | None = None
        self._directory, self._parts = directory, parts
        self._turn = trio.Lock()

    async def resume(self) -> None:
        """For a supervisor that follows a dead one: the container runs, its first trees are attached. Raises Refused, OSError."""
        self.init = process.open_process(self.state.init_pid, self.state.init_start)
        if self.init is None:
            raise Refused(f"{self.state.id}: its init (pid {self.state.init_pid}) is gone")
        await self._parts.mounter.container(self.state.init_pid)
        self._parts.sampler.attach(self.state.init_pid)
        self._parts.journal.record("resume", "a new supervisor serves further execs; what runs already stays unsupervised",
                                   pid=self.state.init_pid)
        self.attached.set()

    async def attach(self, request: Attach) -> None:
        """The runtime's hook: namespaces and mounts are there, pivot_root comes next. Raises Refused."""
        async with self._turn:
            if self.attached.is_set():
                raise Refused(f"{self.state.id}: its init is known already (pid {self.state.init_pid})")
            if request.id != self.state.id:
                raise Refused(f"this is the supervisor of {self.state.id}, not of {request.id}")
            start = process.start_time(request.pid)
            init = None if start is None else process.open_process(request.pid, start)
            if start is None or init is None:
                raise Refused(f"{self.state.id}: its init (pid {request.pid}) is gone")
            try:
                await self._attach(request.pid, start)
            except (OSError, MounterFailed, KeyError, ValueError, TypeError) as error:
                init.close()
                raise Refused(f"{self.state.id}: attach: {error}") from error
            self.init = init
            self.attached.set()

    async def _attach(self, pid: int, start: int) -> None:
        """Lease first: from here on the range is taken as long as init lives, whatever comes of us. Raises OSError."""
        parts = self._parts
        state = self.state
        parts.leases.record_init(state.key, pid, start, self._cgroups(pid))
        await parts.mounter.container(pid)
        limits = {} if state.joined else counters(state.calls)  # of a user namespace that is another's, that one has decided
        sysctls = (*parts.sysctls, *((name.encode(), b"%d" % limit) for name, limit in limits.items()))
        late = record.load_late_binds(self._directory)
        await parts.mounter.attach_first(os.fsencode(state.rootfs), late, sysctls)
        if state.mode is Mode.SYSTEM:
            await parts.mounter.delegate_cgroup(pid, state.ids.start)
        parts.sampler.attach(pid)
        self.state = replace(state, init_pid=pid, init_start=start)
        record.store(self._directory, self.state)
        parts.journal.record("start", "the container's mounts are locked, its calls are vetted",
                             {"mode": state.mode.value, "ids": f"{state.ids.start}:{state.ids.count}",
                              "floor": " ".join(floor(state.calls)),
                              "trap": "all" if state.calls.trap_all else "needed",
                              "apparmor": "dropped" if state.mode is Mode.SYSTEM else "the engine's"}, pid=pid)

    def _cgroups(self, pid: int) -> tuple[str, ...]:
        creator = _read(f"/proc/{self._parts.leases.of(self.state.key).creator_pid}/cgroup")
        if not creator:  # then nobody could tell the container's cgroups from those it was started in, and nobody waits for it
            raise ProcessLookupError(ESRCH, "the eci-runc that makes it is gone")
        return own_directories(_read(f"/proc/{pid}/cgroup"), creator, hierarchies(_read("/proc/self/mountinfo")))

    async def prove(self) -> None:
        """Raises Refused if a fresh procfs or sysfs can be mounted in the container's namespaces."""
        try:
            await self._parts.mounter.prove()
        except LocksBroken as error:
            raise Refused(str(error)) from error
        except (OSError, MounterFailed) as error:
            raise Refused(f"{self.state.id}: the proof of the locks could not be made: {error}") from error

    async def is_attached(self) -> bool:
        """Whether there is a container, once an attach that is under way has come to its end."""
        async with self._turn:
            return self.attached.is_set()

    async def gone(self) -> None:
        """Returns when the container's init has exited."""
        await self.attached.wait()
        assert self.init is not None
        await trio.lowlevel.wait_readable(self.init.fileno())

    async def stop(self) -> None:
        self.stopped.set()

    async def live(self) -> Mapping[str, object]:
        return {**self._parts.live(), "lease": self._lease()}

    def _lease(self) -> Mapping[str, object] | None:
        try:
            return asdict(self._parts.leases.of(self.state.key))
        except KeyError:
            return None

    async def events(self, request: Events) -> AsyncIterator[tuple[int, Mapping[str, object]]]:
        if request.follow:
            async for seq, event in self._parts.journal.follow(request.after):
                yield seq, asdict(event)
        else:
            for seq, event in self._parts.journal.since(request.after):
                yield seq, asdict(event)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""
