"""/proc/uptime: seconds since the container started, seconds its CPUs were idle. Source: fs/proc/uptime.c."""
from eci_supervisor.procfs.sample import Sample

CENTISECOND_NS = 10_000_000


def render(sample: Sample) -> bytes:
    age, idle = sample.uptime_ns // CENTISECOND_NS, sample.idle_ns // CENTISECOND_NS
    return b"%d.%02d %d.%02d\n" % (*divmod(age, 100), *divmod(idle, 100))
