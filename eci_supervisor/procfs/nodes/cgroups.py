"""/proc/cgroups: the host's controllers and hierarchies, the container's number of cgroups. Source: proc_cgroupstats_show.

Hierarchy numbers are kept: a JVM decides by them which version of cgroups it has.
"""
from eci_supervisor.procfs.sample import Sample

COMMENT = b"#"


def render(sample: Sample) -> bytes:
    return b"".join(line(text, sample) for text in sample.host_cgroups.splitlines())


def line(text: bytes, sample: Sample) -> bytes:
    if text.startswith(COMMENT):
        return text + b"\n"
    name, hierarchy, _, enabled = text.split()
    return b"%s\t%s\t%d\t%s\n" % (name, hierarchy, sample.cgroup_counts.get(name, 1), enabled)
