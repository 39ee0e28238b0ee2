"""The reference says what the program reads: made from its tables, nothing left out, and the page in the tree is it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from triggers.language.checks import ALL_CODES
from triggers.language.grammar import FILES, FUNCTIONS, TRIGGER
from triggers.language.helpers import MEANING
from triggers.language.names import CATALOGUE, HELPERS
from triggers.language.reference import reference

PAGE = Path(__file__).resolve().parents[3] / "triggers" / "REFERENCE.md"


def test_the_page_in_the_tree_is_the_one_the_program_makes() -> None:
    """Whoever changes the language makes the page anew: bank-triggers schemas reference > triggers/REFERENCE.md."""
    assert PAGE.read_text("utf-8") == reference()


def test_nothing_is_left_out() -> None:
    """Every helper, function, name, key and code is on it."""
    text = reference()
    assert MEANING.keys() == set(HELPERS)
    names = {path for path in CATALOGUE if not path.startswith("before.")}
    wanted = [
        *(call for call, _ in MEANING.values()),
        *FUNCTIONS,
        *names,
        *(code.id for code in ALL_CODES),
        *(key for form in (TRIGGER, *FILES.values()) for key in form.names),
    ]
    assert [word for word in wanted if f"`{word}`" not in text] == []
    assert [name for name in FILES if f"## Keys of {name}" not in text] == []


def test_its_tables_are_tables() -> None:
    """Every row of a table has as many cells as its head."""
    lines = reference().splitlines()
    for before, line in pairwise(lines):
        if before.startswith("| ") and line.startswith("| "):
            assert before.replace("\\|", "").count("|") == line.replace("\\|", "").count("|"), line
