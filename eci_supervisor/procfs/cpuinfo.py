"""/proc/cpuinfo cut down to some of its CPUs. Pure. Sources: arch/x86/kernel/cpu/proc.c, arch/{arm64,s390}/kernel.

Blocks end with an empty line; one that begins with `processor : N` is CPU N's, others are about the machine. s390 has one line a CPU.
"""
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CPU_BLOCK = re.compile(rb"processor\s*:\s*(\d+)")
S390_CPU = re.compile(rb"processor (\d+):")
S390_COUNT = re.compile(rb"(# processors\s*: )\d+")
SERIAL = re.compile(rb"^(Serial\s*: )([0-9a-fA-F]+)$", re.MULTILINE)  # of an ARM board: it tells the machine
SIBLINGS = re.compile(rb"^(siblings\s*: )\d+$", re.MULTILINE)
CORES = re.compile(rb"^(cpu cores\s*: )\d+$", re.MULTILINE)
PACKAGE = re.compile(rb"^physical id\s*: (\d+)$", re.MULTILINE)
CORE = re.compile(rb"^core id\s*: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """cpu: None for one about the machine; text: with the empty line behind it; package, core: None where it names none."""

    cpu: int | None
    text: bytes
    package: int | None
    core: int | None


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """The host's, in its order."""

    blocks: tuple[Block, ...]
    cpus: frozenset[int]

    def knows(self, cpus: Sequence[int]) -> bool:
        """Whether it says something of each; one without any CPU's block is about all."""
        return not self.cpus or self.cpus.issuperset(cpus)

    def narrowed(self, cpus: tuple[int, ...]) -> bytes:
        """Of these CPUs only, `siblings` and `cpu cores` counted among them."""
        kept = [block for block in self.blocks if block.cpu is None or block.cpu in cpus]
        threads, cores = siblings(kept), {block.package: len({b.core for b in kept if b.package == block.package}) for block in kept}
        return b"".join(recounted(block, threads, cores) if block.cpu is not None else machine(block, cpus) for block in kept)


def parsed(text: bytes) -> CpuInfo:
    blocks = tuple(block_of(part) for part in re.split(rb"(?<=\n\n)", text) if part)
    numbers = [block.cpu for block in blocks if block.cpu is not None]
    numbers += [int(number) for number in S390_CPU.findall(text)]
    return CpuInfo(blocks, frozenset(numbers))


def block_of(text: bytes) -> Block:
    named = CPU_BLOCK.match(text)
    return Block(None if named is None else int(named[1]), text, found(PACKAGE, text), found(CORE, text))


def found(pattern: re.Pattern[bytes], text: bytes) -> int | None:
    match = pattern.search(text)
    return None if match is None else int(match[1])


def siblings(blocks: Sequence[Block]) -> Mapping[int | None, int]:
    """CPUs of each package."""
    counts: dict[int | None, int] = {}
    for block in blocks:
        counts[block.package] = counts.get(block.package, 0) + 1
    return counts


def recounted(block: Block, threads: Mapping[int | None, int], cores: Mapping[int | None, int]) -> bytes:
    text = SIBLINGS.sub(rb"\g<1>%d" % threads[block.package], block.text)
    return CORES.sub(rb"\g<1>%d" % cores[block.package], text)


def machine(block: Block, cpus: tuple[int, ...]) -> bytes:
    """A block about the machine: without its serial number, and on s390 with these CPUs only."""
    text = SERIAL.sub(lambda serial: serial[1] + b"0" * len(serial[2]), block.text)
    text = S390_COUNT.sub(rb"\g<1>%d" % len(cpus), text)
    lines = (line for line in text.splitlines(keepends=True) if (cpu := S390_CPU.match(line)) is None or int(cpu[1]) in cpus)
    return b"".join(lines)
