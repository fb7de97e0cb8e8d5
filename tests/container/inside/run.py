"""Runs the lines of a module of this directory, each in a process and a mount namespace of its own: run.py MODULE [LINE...].

Prints what each function returned, as JSON; a line that raises says so in its place.
"""
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable

from tests.container.inside.calls import NEWNS, unshare


def one(line: Callable[[], object]) -> object:
    """What it returns, in a child; unshared unless the line is about the container's own namespace."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            if not getattr(line, "in_place", False):
                unshare(NEWNS)
            result = json.dumps(line())
        except BaseException:  # noqa: BLE001 # the test shows it
            result = json.dumps(traceback.format_exc())
        os.write(writer, result.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.wait()
    return json.loads(text) if text else "died"


def main() -> None:
    module = importlib.import_module(f"tests.container.inside.{sys.argv[1]}")
    lines = {key: value for key, value in vars(module).items() if key.startswith("line_")}
    wanted = sys.argv[2:] or list(lines)
    print(json.dumps({key: one(lines[key]) for key in wanted}))


if __name__ == "__main__":
    main()
