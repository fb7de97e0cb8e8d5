"""python -m demo [--docker]: exit status 1 if anything shown is not as it should be."""
import os
import sys

from demo.chapters import tell
from demo.places import bundles, engines
from demo.story import Story


def main() -> int:
    if os.geteuid() != 0:
        sys.stderr.write("demo: must be run by root: id ranges and mounts are the host's to give\n")
        return 1
    story = Story()
    with engines() if "--docker" in sys.argv[1:] else bundles() as place:
        tell(story, place)
    return story.end()


if __name__ == "__main__":
    sys.exit(main())
