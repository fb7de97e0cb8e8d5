"""python -m tests.fuzz.relay [SECONDS]: the long run of the relay's fuzzer. Writes bench/results/fuzz-relay.json if nothing is found."""
import secrets
import sys

from bench.docker import engine
from tests.fuzz.requests import DENIED
from tests.support import lanes, relay_fuzzing
from tests.support.gateway import served

SECONDS = 600


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with engine() as one, served(one, one.directory / "gateway") as gateway:
        gateway.permit(commandList={"type": "deny", "commands": DENIED}, maxBodyBytes=65536)
        run = relay_fuzzing.Fuzz(gateway, secrets.randbits(32))
        run.run(seconds)
    answers = {str(status): count for status, count in sorted(run.answers.items())}
    facts = {"seconds": seconds, "seed": run.seed, "requests": run.answers.total(), "answers": answers, "made": run.made}
    lanes.record("fuzz-relay", relay_fuzzing.COVERED, facts)
    print(f"{facts['requests']} requests in {seconds} s, {run.made} things made by them and looked at, nothing found")


if __name__ == "__main__":
    main()
