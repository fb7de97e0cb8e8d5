"""/proc/loadavg: three averages, tasks that run and all tasks, the highest pid. Source: fs/proc/loadavg.c."""
from eci_supervisor.procfs.load import ONE, PRINTED, SHIFT
from eci_supervisor.procfs.sample import Sample


def render(sample: Sample) -> bytes:
    load = sample.load
    averages = b" ".join(hundredths(average + PRINTED) for average in load.averages)
    return b"%s %d/%d %d\n" % (averages, load.running, load.tasks, load.last_pid)


def hundredths(value: int) -> bytes:
    return b"%d.%02d" % (value >> SHIFT, (value & (ONE - 1)) * 100 >> SHIFT)
