"""A view that waits for ever in the middle of its own check, asked and not answering: python -m tests.programs.stuck_view DIR."""
import os
import signal
import sys
from typing import NoReturn

import trio

from eci_supervisor.procfs.sampler import Sampler
from eci_supervisor.procfs.snapshots import Snapshots
from eci_supervisor.procfs.view import View
from tests.programs.serve_view import fault, private_mounts


class Stuck(View):
    """Receives a request, and nothing comes of it."""

    async def lookup(self, *_request: object) -> NoReturn:
        while True:
            signal.pause()


async def main(directory: str) -> None:
    view = Stuck(Snapshots(Sampler(on_fault=fault), fault), 0)
    view.mount(f"{directory}/m")
    await view.serve()


if __name__ == "__main__":
    private_mounts()
    os.makedirs(f"{sys.argv[1]}/m", exist_ok=True)
    trio.run(main, sys.argv[1])
