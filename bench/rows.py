"""The rows of the table, in order: every bench module, by name."""
from importlib import import_module

from bench.harness import Bench

MODULES: tuple[str, ...] = (
    "notified_call", "flood", "untrapped", "docker_run", "commands", "creates", "virtual_node", "proc_mount", "ruled_mount", "supervisor",
    "docker_socket", "image_check",
)
MACRO: tuple[str, ...] = ("readers",)


def benches() -> tuple[Bench, ...]:
    modules = [*(f"bench.micro.{name}" for name in MODULES), *(f"bench.macro.{name}" for name in MACRO)]
    return tuple(bench for name in modules for bench in import_module(name).BENCHES)
