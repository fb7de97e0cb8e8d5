"""exec in system mode: another process file in the words that the engine gave."""
import pytest

from eci_supervisor.oci.argv import parse
from eci_supervisor.oci.exec_ import replaced
from eci_supervisor.oci.spec import SpecError


@pytest.mark.parametrize(("given", "wanted"), [
    ("exec --process /p --detach web1", "exec --process /c --detach web1"),
    ("exec --detach -p /p web1", "exec --detach -p /c web1"),
    ("exec --process=/p web1", "exec --process /c web1"),
    ("exec -p/p web1", "exec --process /c web1"),
])
def test_the_file_in_each_form(given: str, wanted: str) -> None:
    line = parse("eci-runc", given.split())
    assert list(replaced(line.words, line.options["process"], "/c")) == wanted.split()


def test_a_form_that_is_none() -> None:
    with pytest.raises(SpecError, match="--process FILE"):
        replaced(("exec", "--process", "/other", "web1"), "/p", "/c")
