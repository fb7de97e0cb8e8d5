"""The long runs that `make test` leaves out have ended well with the code as it is: `make fuzz`, `make soak`, `make vm`."""
import ast

from tests import soak
from tests.fuzz.__main__ import SECONDS
from tests.support import fuzzing, lanes
from tests.vm import __main__ as vm


def test_the_decoder_and_the_rules_were_fuzzed_as_they_are() -> None:
    facts = lanes.last("fuzz")
    assert facts["seconds"] == SECONDS == 600
    assert lanes.is_current("fuzz", fuzzing.COVERED), "make fuzz"


def test_races_and_storms_of_signals_lasted_with_what_emulates_as_it_is() -> None:
    facts = lanes.last("soak")
    assert (facts["race_s"], facts["signalled_mounts"], facts["runtimes"]) == (soak.RACE_S, soak.ROUNDS, 2) == (60, 10_000, 2)
    assert lanes.is_current("soak", soak.LANES["soak"].covered), "make soak"


def test_apparmor_was_asked_where_there_is_one() -> None:
    facts = lanes.last("vm")
    functions = [node.name for node in ast.parse(vm.TESTS.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert facts["passed"] == sorted(name for name in functions if name.startswith("test_"))
    assert lanes.is_current("vm", vm.COVERED), "make vm"
