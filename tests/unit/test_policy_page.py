"""docs/policy.md is what the rules say."""
from pathlib import Path

from eci_supervisor.policy.page import page
from eci_supervisor.policy.table import RULES

DOCUMENT = Path(__file__).parents[2] / "docs/policy.md"


def test_the_document_is_current() -> None:
    """`python -m eci_supervisor.policy.page > docs/policy.md` makes it so."""
    assert DOCUMENT.read_text() == page()


def test_every_rule_is_in_it() -> None:
    text = page()
    assert [rule.name for rule in RULES if f"`{rule.name}`" not in text and rule.call not in text] == []
