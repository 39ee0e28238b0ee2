"""Random expressions of the whole grammar, and damaged ones. ``python -m tests.fuzz_expressions`` looks for longer."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tests.triggers.language import expression_fuzz
from tests.triggers.language.expression_fuzz import judge, world
from tests.triggers.language.expression_strategies import anything, grafted, scratched, typed
from tests.triggers.language.slow_interpreter import interpret
from tests.triggers.language.worlds import TODAY
from triggers.language.names import CATALOGUE

_LOOK = settings(max_examples=2000, deadline=None, database=None, phases=[Phase.generate])
seeds = st.lists(st.integers(0, 2**32), min_size=3, max_size=3)


@settings(max_examples=120, deadline=None)
@given(typed, seeds)
def test_every_name_means_the_same_to_both_interpreters(text: str, found: list[int]) -> None:
    """Conditions over the whole catalogue: all of them are sound, or compare what can never be equal."""
    judge(text, found)


@settings(max_examples=120, deadline=None)
@given(anything, seeds)
def test_whatever_the_grammar_gives_is_located_or_a_value(text: str, found: list[int]) -> None:
    """Names, literals and helpers put together without regard to types."""
    judge(text, found)


@settings(max_examples=80, deadline=None)
@given(grafted(), seeds)
def test_what_python_has_and_the_language_has_not_is_located(text: str, found: list[int]) -> None:
    """Lambdas, comprehensions, indexes, f-strings and the like, at any place of a sound condition."""
    judge(text, found)


@settings(max_examples=80, deadline=None)
@given(scratched(), seeds)
def test_scratched_text_is_located_or_a_value(text: str, found: list[int]) -> None:
    """Characters dropped, doubled, swapped or replaced."""
    judge(text, found)


@pytest.mark.parametrize(
    "strategy", [typed, anything, grafted(), scratched()], ids=["typed", "any", "graft", "scratch"]
)
def test_the_strategies_find_both_sound_and_unsound_ones(strategy: st.SearchStrategy[str]) -> None:
    """Else half of what is said above would be said of nothing."""
    for outcome in ("value", "error"):
        if strategy is not typed or outcome == "value":
            find(strategy, lambda text, wanted=outcome: judge(text, [1]) == wanted, settings=_LOOK)


def test_the_judge_sees_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an interpreter that turns every answer round, and with one more digit than is allowed."""

    def wrong(text: str, values: dict[str, object], today: date) -> object:
        value = interpret(text, values, today)
        return not value if isinstance(value, bool) else value

    monkeypatch.setattr(expression_fuzz, "interpret", wrong)
    with pytest.raises(AssertionError):
        judge("event.customer_id == event.customer_id", list(range(20)))


def test_worlds_have_every_name_known_and_unknown() -> None:
    """Over some hundred seeds."""
    known: set[str] = set()
    unknown: set[str] = set()
    for seed in range(400):
        _, values = world(seed)
        known |= {path for path, value in values.items() if value is not None}
        unknown |= {path for path in CATALOGUE if values.get(path) is None}
    assert known >= set(CATALOGUE)
    assert unknown >= set(CATALOGUE)
    assert interpret("customer.balance > 1", {}, TODAY) is None
