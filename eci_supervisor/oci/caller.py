"""The eci-runc process that a creator works for (native/call.c): what is read of it, what is said to it, and how its end is ours.

Some facts. Who connected is the kernel's word (SO_PEERCRED), and what the caller is, its directory of /proc says: nothing of it is taken
from the packet. It waits for us, so it lives; once it does not, we end as if we had been killed with it, at whatever step: a socket with
O_ASYNC sends a signal when its peer is gone, and F_SETSIG may make that SIGKILL. The same would come of each packet that arrives, so the
leash is loose while one is awaited.
"""
import fcntl
import os
import select
import socket
from collections.abc import Callable, Sequence
from signal import SIGKILL
from typing import NoReturn

from eci_supervisor.forkserver import protocol
from eci_supervisor.forkserver.protocol import Ended, Failed, Over, ProtocolError, Start
from eci_supervisor.linux import namespaces
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.namespaces import CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUTS
from eci_supervisor.linux.process import start_time
from eci_supervisor.linux.sockets import peer_credentials, send_with_fds
from eci_supervisor.oci.refusals import Refused, check_process

JOINED = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
STEP_MS = 10
ABOVE_PRESERVED = 512  # where descriptors of ours go: above all that --preserve-fds may hand to the container


class Caller:
    """`stdio`: its descriptors 0 to 2, which become ours. Ends the process if the caller is gone already. Raises OSError."""

    def __init__(self, connection: socket.socket, stdio: Sequence[OwnedFd]) -> None:
        self.pid = peer_credentials(connection).pid
        self._connection = connection
        self._directory = OwnedFd(os.open(f"/proc/{self.pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self._pids_are_ours = os.path.samestat(os.stat("ns/pid", dir_fd=self._directory.fileno()), os.stat("/proc/self/ns/pid"))
        self._replaced: dict[int, OwnedFd] = {}
        for number, fd in enumerate(stdio):
            os.dup2(fd.fileno(), number)
            fd.close()
        fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(connection, fcntl.F_SETSIG, SIGKILL)
        self._leash(tight=True)
        self._end_with_it()  # the pid, and so the directory, was its own if it still lives
        self.start = start_time(self.pid) or 0

    def words(self) -> list[str]:
        """Its argv."""
        return [os.fsdecode(word) for word in self._read("cmdline").split(b"\0")[:-1]]

    def join(self) -> None:
        """Puts us where it is: its namespaces but those of ids, its root, its directory. Raises Refused, OSError."""
        check_process(self._read("status").decode("ascii", "replace"), self._read("uid_map").decode("ascii"))
        with OwnedFd(os.pidfd_open(self.pid)) as process, self._path("root") as root, self._path("cwd") as directory:
            namespaces.setns(process.fileno(), JOINED)
            os.fchdir(root.fileno())
            os.chroot(".")
            os.fchdir(directory.fileno())

    def check_pids(self) -> None:
        """Raises Refused where its pids are others than ours, and so than the supervisor's."""
        if not self._pids_are_ours:
            raise Refused("eci-runc is called in another pid namespace than the fork server of this state directory: take another "
                          "--state-dir there")

    def replace(self, number: int, fd: OwnedFd) -> None:
        """Has it put `fd` at `number`, which the real runtime inherits, before that starts."""
        self._replaced[number] = fd

    def free_number(self) -> int:
        """A descriptor number that the engine uses for nothing, and that stays free until the real runtime starts."""
        return max(ABOVE_PRESERVED, 8 + max(map(int, os.listdir(f"/proc/{self.pid}/fd"))))

    def run(self, meanwhile: Callable[[], bool] | None = None) -> int:
        """Has it run the real runtime as the command line says; the exit code.

        `meanwhile` is called again and again until it returns True or the runtime has ended.
        """
        self._send(Start("run", tuple(self._replaced)))
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while meanwhile is not None and not poll.poll(STEP_MS):
            if meanwhile():
                break
        packet = self._connection.recv(protocol.MAX_PACKET_BYTES)
        if not packet:
            os._exit(1)
        self._leash(tight=True)
        self._end_with_it()
        match protocol.parse_answer(packet):
            case Ended(code):
                return code
            case other:
                raise ProtocolError(f"eci-runc answered {other}")

    def become(self, words: Sequence[str]) -> NoReturn:
        """Has it become the real runtime, with other words than those of the command line, from the command on, if there are any."""
        self._send(Start("become", tuple(self._replaced), tuple(words)))
        os._exit(0)

    def over(self, code: int) -> NoReturn:
        """The end, for both of us; the descriptors it gave us are closed before."""
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for number in range(3):
            os.dup2(null, number)
        self._replaced.clear()
        self._send(Over(code))
        os._exit(0)

    def refuse(self, sentence: str) -> NoReturn:
        """Nothing is done for it: Python, with its own rights, will tell why."""
        self._send(Failed(sentence))
        os._exit(0)

    def _send(self, packet: protocol.Answer) -> None:
        self._leash(tight=False)
        try:
            send_with_fds(self._connection, protocol.pack_answer(packet), [fd.fileno() for fd in self._replaced.values()])
        except BrokenPipeError:
            os._exit(1)
        self._replaced.clear()

    def _leash(self, *, tight: bool) -> None:
        flags = fcntl.fcntl(self._connection, fcntl.F_GETFL)
        fcntl.fcntl(self._connection, fcntl.F_SETFL, flags | os.O_ASYNC if tight else flags & ~os.O_ASYNC)

    def _end_with_it(self) -> None:
        """If it ended before the leash was tight."""
        try:
            if not self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                os._exit(1)
        except BlockingIOError:
            return

    def _read(self, name: str) -> bytes:
        with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory.fileno()), "rb") as file:
            return file.read()

    def _path(self, name: str) -> OwnedFd:
        return OwnedFd(os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=self._directory.fileno()))
