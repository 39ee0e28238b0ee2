"""Sets of values behave as sets: membership of what is joined, met and left out, also of whole numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggers.language.domains import Choices, Ranges, compared

values = st.integers(-6, 6).map(lambda half: Decimal(half) / 2)
ranges = st.recursive(
    st.tuples(st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), values).map(lambda pair: compared(*pair)),
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: pair[0].meet(pair[1]))
        | st.tuples(inner, inner).map(lambda pair: pair[0].join(pair[1]))
        | inner.map(Ranges.rest)
    ),
)
choices = st.builds(Choices, st.frozensets(st.sampled_from("abc")), st.booleans())

PROBES = [Decimal(quarter) / 4 for quarter in range(-20, 21)]


def holds(domain: Ranges, value: Decimal) -> bool:
    """Membership, by counting the cuts below the value."""
    below = sum((cut, 1 if side else -1) < (value, 0) for cut, side in domain.cuts)
    return domain.begins ^ (below % 2 == 1)


def has(domain: Choices, value: str) -> bool:
    return (value in domain.listed) ^ domain.others


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("<", "100"), ("<=", "110"), ("==", "010"), ("!=", "101"), (">", "001"), (">=", "011")],
)
def test_a_comparison_leaves_what_it_says(operator: str, expected: str) -> None:
    """Below, at and above the value."""
    found = [holds(compared(operator, Decimal(1)), Decimal(probe)) for probe in (0, 1, 2)]
    assert found == [digit == "1" for digit in expected]


@given(ranges, ranges)
def test_ranges_are_sets(one: Ranges, other: Ranges) -> None:
    """Met, joined and left out, value by value."""
    for value in PROBES:
        assert holds(one.meet(other), value) == (holds(one, value) and holds(other, value))
        assert holds(one.join(other), value) == (holds(one, value) or holds(other, value))
        assert holds(one.rest(), value) != holds(one, value)


@given(ranges)
def test_whole_numbers_stay_and_only_they(one: Ranges) -> None:
    """What holds no whole number becomes empty."""
    whole = one.whole()
    for value in range(-8, 9):
        assert holds(whole, Decimal(value)) == holds(one, Decimal(value))
    assert whole.empty == (not any(holds(one, Decimal(value)) for value in range(-8, 9)))


@given(ranges, choices)
def test_empty_is_what_has_no_value(one: Ranges, other: Choices) -> None:
    """The probes lie on, between and beyond all cuts that the strategies make."""
    assert one.empty == (not any(holds(one, value) for value in PROBES))
    assert other.empty == (not any(has(other, value) for value in "abcd"))


@given(choices, choices)
def test_choices_are_sets(one: Choices, other: Choices) -> None:
    """Also those that say what they do not hold."""
    value: Any
    for value in "abcd":
        assert has(one.meet(other), value) == (has(one, value) and has(other, value))
        assert has(one.join(other), value) == (has(one, value) or has(other, value))
        assert has(one.rest(), value) != has(one, value)
