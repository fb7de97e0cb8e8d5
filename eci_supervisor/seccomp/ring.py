"""The ring of events that all serving threads of one container write (native/ring.c), as Python reads it."""
import os
import secrets
import time
from dataclasses import dataclass, replace
from enum import IntEnum

import trio

from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.native import ffi, lib
from eci_supervisor.seccomp.callers import who

SLOTS = 1024
HOLD_OFF_S = 0.05  # at most 20 wake-ups a second, whatever a container does
UNKNOWN_UID = 0xFFFFFFFF


class Done(IntEnum):
    """What was done with a call: enum eci_verdict, and what only Python sees."""

    CONTINUED = 0
    DENIED = 1
    EMULATED = 2
    FAILED = 3  # in C: no rule, or no room in the queue
    STUCK_READ = 4
    MOUNTER = 5
    HANDLER = 6
    MOUNTED = 7  # emulated in C, without Python's knowledge
    LABEL = 8  # denied: what the caller's LSM allows it, we cannot be asked


FREQUENT = (Done.CONTINUED, Done.EMULATED)


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One vetted call. time_ns: since 1970; rule: index into RULES, -1 for none; texts: copied strings by argument, cut.

    seq counts all events of the container from 1 on: a gap is what was lost. id is unique among containers too.
    """

    seq: int
    id: str
    time_ns: int
    duration_ns: int
    tid: int
    pid: int | None
    uid: int | None
    arch: int
    nr: int
    args: tuple[int, ...]
    rule: int
    done: Done
    errno: int
    texts: dict[int, bytes]


def _texts(packed: bytes) -> dict[int, bytes]:
    """struct eci_event's text: the argument as a digit, the string, a NUL; again for the next."""
    return {part[0] - ord("0"): part[1:] for part in packed.split(b"\0") if part}


def _packed(texts: dict[int, bytes], room: int) -> bytes:
    packed = b""
    for argument, text in texts.items():
        left = room - len(packed) - 2
        if left > 0:
            packed += b"%d%s\0" % (argument, text[:left])
    return packed


class EventRing:
    """`with` or close() frees it: after the serving threads that write it have ended."""

    def __init__(self, slots: int = SLOTS) -> None:
        """Raises MemoryError."""
        self._wake = OwnedFd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._ring = lib.eci_ring_new(slots, self._wake.fileno())
        if not self._ring:
            raise MemoryError("the ring of events")
        self._slots = slots
        self._token = secrets.token_hex(4)
        self._turn = trio.Lock()  # one task waits on the eventfd, the others behind it
        self._held_until = 0.0

    @property
    def pointer(self) -> object:
        """struct eci_ring *."""
        return self._ring

    @property
    def last(self) -> int:
        """The sequence number of the newest event, 0 before the first."""
        return int(lib.eci_ring_last(self._ring))

    def event_id(self, seq: int) -> str:
        """16 hex digits."""
        return f"{self._token}{seq & 0xFFFFFFFF:08x}"

    def snapshot(self, after: int = 0, *, continued: bool = True) -> list[RawEvent]:
        """What is still there of the events numbered above `after`, oldest first; callers are looked up where they still live.

        continued: with those that the kernel went on with and those emulated, by far the most; Python has told of what it emulated
        itself, and C emulates sysinfo(2) alone.
        """
        event = ffi.new("struct eci_event *")
        last = self.last
        numbers = range(max(after, last - self._slots) + 1, last + 1)
        found = [self._raw(seq, event) for seq in numbers
                 if lib.eci_ring_read(self._ring, seq, event) == 0 and (continued or event.verdict not in FREQUENT)]
        # The newest first: what holds for a thread's last event holds for those before it.
        seen: dict[int, tuple[int | None, int | None]] = {}
        for index in range(len(found) - 1, -1, -1):
            raw = found[index]
            if raw.uid is None or raw.pid is None:
                pid, uid = seen.get(raw.tid) or seen.setdefault(raw.tid, who(raw.tid, raw.time_ns))
                found[index] = replace(raw, pid=raw.pid or pid, uid=uid if raw.uid is None else raw.uid)
        return found

    def made(self, tid: int, after: int) -> bool:
        """Whether thread `tid` has made a call that is numbered above `after`: C answers without Python's knowledge."""
        event = ffi.new("struct eci_event *")
        return any(lib.eci_ring_read(self._ring, seq, event) == 0 and event.tid == tid for seq in range(after + 1, self.last + 1))

    def push(self, event: RawEvent) -> RawEvent:
        """Writes one, its texts cut to what fits, and returns it with the number and id it got."""
        raw = ffi.new("struct eci_event *", {
            "time_ns": event.time_ns, "args": list(event.args), "duration_ns": min(event.duration_ns, 0xFFFFFFFF),
            "tid": event.tid, "pid": event.pid or 0, "uid": UNKNOWN_UID if event.uid is None else event.uid,
            "arch": event.arch, "nr": event.nr, "rule": event.rule, "verdict": event.done, "error": event.errno,
        })
        ffi.memmove(raw.text, packed := _packed(event.texts, len(raw.text)), len(packed))
        seq = int(lib.eci_ring_push(self._ring, raw))
        return replace(event, seq=seq, id=self.event_id(seq))

    async def wait_beyond(self, seq: int) -> None:
        """Returns once there is an event numbered above `seq`; who calls it again and again is held off HOLD_OFF_S each time."""
        await trio.sleep(max(0.0, self._held_until - time.monotonic()))
        while self.last <= seq:
            async with self._turn:
                lib.eci_ring_arm(self._ring)
                if self.last > seq:
                    break
                await trio.lowlevel.wait_readable(self._wake.fileno())
                os.eventfd_read(self._wake.fileno())
        self._held_until = time.monotonic() + HOLD_OFF_S

    def close(self) -> None:
        if self._ring:
            lib.eci_ring_free(self._ring)
            self._ring = ffi.NULL
        self._wake.close()

    def _raw(self, seq: int, event: "ffi.CData") -> RawEvent:
        return RawEvent(
            seq=seq, id=self.event_id(seq), time_ns=event.time_ns, duration_ns=event.duration_ns, tid=event.tid, pid=event.pid or None,
            uid=None if event.uid == UNKNOWN_UID else event.uid, arch=event.arch, nr=event.nr, args=tuple(event.args),
            rule=event.rule, done=Done(event.verdict), errno=event.error, texts=_texts(bytes(ffi.buffer(event.text))),
        )
