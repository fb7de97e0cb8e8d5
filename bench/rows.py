"""The rows of the table, in order: every bench module, by name."""
from importlib import import_module

from bench.harness import Bench

MODULES: tuple[str, ...] = (
    "notified_call", "flood", "untrapped", "docker_run", "commands", "creates", "virtual_node", "proc_mount", "supervisor",
)


def benches() -> tuple[Bench, ...]:
    return tuple(bench for name in MODULES for bench in import_module(f"bench.micro.{name}").BENCHES)
