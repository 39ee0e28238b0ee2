"""What one evaluation costs is bounded by how an expression may be written: its code is straight and short."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from tests.triggers.language.expression_bounds import DEAREST, balanced
from tests.triggers.language.test_expression_semantics import flags
from tests.triggers.language.worlds import check, full_values, scope_of
from triggers.language.compiler import compile_term
from triggers.language.scanner import MAX_NODES
from triggers.language.tree import Call, Term

_MOST_INSTRUCTIONS = 20
"""For each part of an expression; a crossing is two, its value before and now."""

_CALLED = {
    *("_add", "_sub", "_mul", "_div", "_minus", "_abs", "_min", "_max", "_round"),
    *("feature", "today", "_careful", "business_days_until", "slots"),
}
"""All that the code may call: arithmetic on bounded numbers, and the scope."""


def functions_of(term: Term) -> Iterator[Any]:
    """Both versions of the code: the quick one, and the careful one that runs where a part of the scope is missing."""
    quick: Any = compile_term(term)
    quick(scope_of({}))  # written at the first call
    yield quick
    careful = quick.__globals__["_careful"]
    careful(scope_of({}))
    cells = dict(zip(careful.__code__.co_freevars, careful.__closure__, strict=True))
    yield cells["careful"].cell_contents


def parts_of(term: Term) -> int:
    """How many parts the tree has; what a crossing copies counts."""
    return sum(1 for _ in term.walk())


def assert_straight_and_short(term: Term) -> None:
    for function in functions_of(term):
        instructions = list(dis.get_instructions(function.__code__))
        names = {one.opname for one in instructions}
        assert not {
            name for name in names if "BACKWARD" in name or name in ("FOR_ITER", "YIELD_VALUE", "MAKE_FUNCTION")
        }
        assert not {one.opname for one in instructions} & {"IMPORT_NAME", "STORE_ATTR", "STORE_GLOBAL", "DELETE_ATTR"}
        assert len(instructions) <= 20 + _MOST_INSTRUCTIONS * parts_of(term)
        called = {one.argval for one in instructions if one.opname in ("LOAD_METHOD", "LOAD_GLOBAL")}
        assert {name for name in called if not name.startswith("k")} <= _CALLED | {"_hundred"}
        assert function.__globals__["__builtins__"] == {}


@pytest.mark.parametrize("label", DEAREST)
def test_the_dearest_expressions_are_straight_and_short(label: str) -> None:
    """No loop, no call but arithmetic, and so many instructions for each part: far below a millisecond."""
    checked, problems = check(DEAREST[label])
    assert checked is not None, [str(problem) for problem in problems]
    assert_straight_and_short(checked.term)
    checked.expression.evaluate(scope_of(full_values()))


def test_the_dearest_expressions_are_as_large_as_they_may_be() -> None:
    """Else the benchmark would measure too little: with half as much again each is refused."""
    for label, text in DEAREST.items():
        larger = f"{text} or {text}" if check(text, expect="flag")[0] else f"({text})+({text})"
        _, problems = check(larger)
        assert [problem.code for problem in problems] == ["E035"], label


@settings(max_examples=150, deadline=None)
@given(flags)
def test_every_condition_is_straight_and_short(text: str) -> None:
    """Whatever the grammar gives."""
    checked, problems = check(text, expect="flag")
    assert checked is not None, [str(problem) for problem in problems]
    assert_straight_and_short(checked.term)


def test_numbers_stay_small_however_often_they_are_multiplied() -> None:
    """34 digits and an exponent: a result never grows in memory, whatever the events hold."""
    largest = Decimal(10) ** 30
    product = balanced(["customer.completeness"] * (MAX_NODES // 2), "*")
    values = {"customer.completeness": largest}
    for text in (product, f"1/{product}"):
        checked, problems = check(text)
        if checked is None:
            assert [problem.code for problem in problems] == ["E035"]
            continue
        value = checked.expression.evaluate(scope_of(values))
        assert value.is_finite()
        assert len(value.as_tuple().digits) <= 34
        assert abs(value.adjusted()) <= 30 * MAX_NODES


def test_chains_within_chains_are_counted_as_often_as_they_are_compared() -> None:
    """The middle of a chain stands in two comparisons: each level would double what is compiled."""
    text = "event.own_account"
    for _ in range(25):
        text = f"customer.employee == ({text}) == customer.blacklisted"
    _, problems = check(text)
    assert [problem.code for problem in problems] == ["E035"]


def test_a_crossing_inside_a_crossing_is_refused() -> None:
    """It is copied for the state before the event: nested ones would double again and again."""
    checked, _ = check("crossed_above(max(customer.balance, abs(customer.aum)), 5)")
    assert checked is not None
    assert sum(isinstance(part, Call) for part in checked.term.walk()) == 5
    assert check("crossed_above(crossed_above(customer.balance, 1), 5)")[0] is None
