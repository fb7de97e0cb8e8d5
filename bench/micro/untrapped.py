"""A call that is not trapped: getppid() by a process under our filter, and by one without any. The filter is all there is between them."""
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.containers import Playground, playground
from bench.harness import P50, Bench, Round, Variant, more

PROGRAM: Final = "calls"
ALLOWED_S: Final = 100e-9


@contextmanager
def asked(command: list[str], place: Playground) -> Iterator[Round]:
    """The program of programs/calls.c: a line in, a line of nanoseconds out."""
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=place.ours.environment())
    assert child.stdin is not None
    assert child.stdout is not None
    stdin, stdout = child.stdin, child.stdout

    def round_() -> list[float]:
        stdin.write("\n")
        stdin.flush()
        return [float(word) * 1e-9 for word in stdout.readline().split()]

    with child:
        try:
            yield round_
        finally:
            stdin.close()


@contextmanager
def in_container() -> Iterator[Round]:
    """The bundle has no seccomp section: the filter is that of eci-runc alone."""
    with playground() as place:
        container = place.container(place.ours).up()
        with asked([*place.ours.argv(), "exec", container.id, PROGRAM], place) as round_:
            yield round_


@contextmanager
def on_the_host() -> Iterator[Round]:
    with playground() as place, asked([str(place.directory / "image/bin" / PROGRAM)], place) as round_:
        yield round_


OURS, REFERENCE = Variant("under our filter", in_container), Variant("no filter", on_the_host)
BENCHES = (Bench("a call that is not trapped", OURS, REFERENCE, (more(P50, ALLOWED_S),)),)
