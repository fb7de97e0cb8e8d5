"""/proc/stat: what the container's CPUs did, in ticks of a hundredth of a second. Source: fs/proc/stat.c.

Counts of interrupts and context switches are the host's business: parsers find the keys, with 0.
"""
from eci_supervisor.procfs.cpu import Columns, CpuTime
from eci_supervisor.procfs.sample import Sample

OTHERS = b" 0" * 6  # iowait irq softirq steal guest guest_nice
SOFTIRQS = 11  # a total and one for each


def render(sample: Sample) -> bytes:
    ledger, load = sample.cpu.ledger, sample.load
    lines = [cpu_line(b"cpu ", ledger.busy_ticks, ledger.idle_ticks)]
    for cpu in sample.cpu.shown:
        time = ledger.times.get(cpu, CpuTime())
        lines.append(cpu_line(b"cpu%d" % cpu, time.busy, time.idle))
    return b"".join(lines) + (
        b"intr 0\nctxt 0\nbtime %d\nprocesses %d\nprocs_running %d\nprocs_blocked %d\nsoftirq%s\n"
        % (sample.btime, load.last_pid, max(1, load.running), load.blocked, b" 0" * SOFTIRQS)
    )


def cpu_line(name: bytes, busy: Columns, idle: int) -> bytes:
    return b"%s %d %d %d %d%s\n" % (name, *busy, idle, OTHERS)
