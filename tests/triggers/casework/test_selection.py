"""The words of ``-k``: substrings in any case, joined by and, or, not and brackets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggers.casework.selection import BadSelection, parse_selection

NAME = "retention/balance_drop.yaml balance_drop one yuan less is silent"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("drop", True),
        ("DROP", True),
        ("rise", False),
        ("not rise", True),
        ("drop and rise", False),
        ("drop or rise", True),
        ("rise or drop and not silent", False),
        ("(rise or drop) and silent", True),
        ("not (rise or drop)", False),
        ("not not drop", True),
        ('"yuan less"', True),
        ("'less yuan'", False),
        ('"and"', False),
        ('"retention/" and .yaml', True),
        ("((drop))", True),
    ],
)
def test_what_is_meant(words: str, meant: bool) -> None:
    """``and`` binds before ``or``, ``not`` before both; what stands in quotes is one text, also an operator."""
    assert parse_selection(words)(NAME) is meant


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "instead of the end"),
        ("  ", "instead of the end"),
        ("drop and", "instead of the end"),
        ("and drop", 'instead of "and"'),
        ("one yuan", '"yuan" has no and or or before it; words that belong together stand in quotes'),
        ("(drop", "expected ) instead of the end"),
        ("drop)", '")" has no and or or before it'),
        ("not", "instead of the end"),
        ('drop or "yuan', "the quotation that begins at character 9 does not end"),
        ("not " * 60 + "drop", "nested more than 50 deep"),
        ("(" * 60, "nested more than 50 deep"),
    ],
)
def test_what_does_not_fit_together_is_explained(words: str, message: str) -> None:
    """And nothing is selected."""
    with pytest.raises(BadSelection) as caught:
        parse_selection(words)
    assert message in str(caught.value)


@given(st.text(alphabet="ab ()\"'notrd", max_size=40))
def test_any_text_is_a_selection_or_a_mistake(words: str) -> None:
    """Never another error."""
    try:
        matches = parse_selection(words)
    except BadSelection:
        return
    assert matches(NAME) in (True, False)
