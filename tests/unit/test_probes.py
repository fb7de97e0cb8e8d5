"""Which words a run promises."""
import pytest

from tests.probes import PROBES, promised


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, set()),
        ({"CI": "true"}, set(PROBES)),
        ({"CI": "true", "ECI_PROMISED": "root runc"}, {"root", "runc"}),
        ({"ECI_PROMISED": "all"}, set(PROBES)),
        ({"ECI_PROMISED": "root,crun"}, {"root", "crun"}),
    ],
)
def test_promised(environment: dict[str, str], words: set[str]) -> None:
    assert promised(environment) == words
