"""What the kernel alone answers: a program in a plain user namespace, without a filter, compared with the same in a container."""
import subprocess
from pathlib import Path

COMMAND = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--net", "--fork", "--mount-proc")


def answers(program: Path, *words: str) -> str:
    """What `program` prints, as root of a user namespace with namespaces of its own."""
    done = subprocess.run([*COMMAND, program, *words], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return done.stdout.decode(errors="replace")


def by_name(text: str) -> dict[str, str]:
    """What each call got. Calls that are described alike are numbered."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, got = line.rpartition(": ")
        found[f"{name} #{sum(key.partition(' #')[0] == name for key in found)}"] = got
    return found


def different(ours: dict[str, str], kernel: dict[str, str]) -> dict[str, tuple[str, str | None]]:
    """The calls that got something else here than there."""
    return {name: (got, kernel.get(name)) for name, got in ours.items() if kernel.get(name) != got}
