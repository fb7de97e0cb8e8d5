"""The container's sysinfo(2), from the samples that its nodes are rendered from."""
from eci_supervisor.procfs.nodes import sysinfo
from eci_supervisor.procfs.sampler import Sampler
from eci_supervisor.seccomp.machine import Machine


async def tell(machine: Machine, sampler: Sampler) -> None:
    """Keeps `machine` and the nodes at one sample, for ever."""
    sampler.on_new = machine.expire
    await machine.serve(lambda: sysinfo.render(sample := sampler.sample(), sample.end_ns))
