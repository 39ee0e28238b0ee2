"""The lift against those held out: its interval, beside published ones, and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggers.casework.lift import Groups, compare, verdict, wilson

PUBLISHED = [
    # Newcombe 1998, table II, method 10: a of m, b of n, the interval of the difference.
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0),
    (10, 10, 0, 10, 0.6075, 1.0),
]


@pytest.mark.parametrize(("a", "m", "b", "n", "low", "high"), PUBLISHED)
def test_the_interval_is_the_published_one(a: int, m: int, b: int, n: int, low: float, high: float) -> None:
    """To the four digits that the paper gives."""
    found = compare(Groups(m, a, n, b))
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert found.difference == pytest.approx(a / m - b / n)


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 500), st.integers(0, 500), st.floats(0.5, 0.99))
def test_an_interval_holds_its_difference(m: int, a: int, n: int, b: int, confidence: float) -> None:
    """Whatever the counts: within -1 and 1, in order; the groups exchanged turn it round."""
    groups = Groups(m, min(a, m), n, min(b, n))
    found = compare(groups, confidence)
    turned = compare(Groups(n, min(b, n), m, min(a, m)), confidence)
    assert found is not None
    assert turned is not None
    assert -1 <= found.low <= found.difference + 1e-12
    assert found.difference - 1e-12 <= found.high <= 1
    assert (turned.low, turned.high) == (pytest.approx(-found.high), pytest.approx(-found.low))


def test_a_higher_confidence_widens_it() -> None:
    """99% is wider than 90%."""
    share, low, high = wilson(3, 10, 0.9)
    _, lower, higher = wilson(3, 10, 0.99)
    assert lower < low < share < high < higher


def test_what_can_be_said() -> None:
    """Nobody to compare with, too few, no difference, more, less: each has its sentence."""

    def said(*counts: int) -> str:
        groups = Groups(*counts)
        return verdict(groups, compare(groups))

    assert said(100, 10, 0, 0) == "Nobody whose time is over was held out, so there is nothing to compare."
    assert said(0, 0, 5, 1) == "Nobody whose time is over was contacted, so there is nothing to compare."
    assert said(400, 40, 20, 2) == (
        "The groups are too small to rely on it (20 in the smaller one). No difference can be told from chance."
    )
    assert said(400, 40, 100, 9) == "No difference can be told from chance."
    assert said(4000, 800, 500, 20).startswith("Contacted customers bought more often")
    assert said(4000, 40, 500, 50).startswith("Contacted customers bought less often")
