"""python -m bench: measures, prints one table, writes one JSON result."""
import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.harness import measure
from bench.report import document, show
from bench.rows import benches

RESULT: Final = Path(__file__).parent / "results" / "micro.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("words", nargs="*", help="only the rows whose names contain one of these; writes no result")
    parser.add_argument("--keep", action="store_true", help="write them into the result all the same, beside the rows that are there")
    parser.add_argument("--list", action="store_true", help="names of the rows")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # every row cleans up on its way out
    chosen = [bench for bench in benches() if not options.words or any(word in bench.name for word in options.words)]
    if options.list:
        print("\n".join(bench.name for bench in chosen))
        return 0
    if not chosen:
        parser.error("no row has such a name")
    console = Console(width=None if sys.stdout.isatty() else 150)
    results = []
    for bench in chosen:
        console.print(f"[dim]{bench.name} …", highlight=False)
        results.append(measure(bench))
    show(results, console)
    if options.keep or not options.words:
        RESULT.parent.mkdir(exist_ok=True)
        before = json.loads(RESULT.read_text()) if options.words and RESULT.exists() else None
        RESULT.write_text(json.dumps(document(results, before), indent=1, ensure_ascii=False) + "\n")
    return 0 if all(result.held for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
