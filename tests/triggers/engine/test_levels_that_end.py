"""A level that becomes unknown, or no longer meets its condition, holds no longer: only what was known counts."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggers.engine.codec import decode_state, encode_state
from triggers.engine.series import SeriesState, pack, window_value
from triggers.engine.state import CustomerState

_RETAIN = 1_000
_MOST = 24 * 5_000

_NUMBERS = st.integers(-50, 50).map(Decimal)
_MIXED = st.one_of(_NUMBERS, st.sampled_from([Decimal("0.33333"), Decimal("-1.00001")]))


def series_of(samples: list[tuple[int, Any]], most: int = _MOST) -> SeriesState:
    """A level that had these values from these times on; ``None`` where it was unknown."""
    series = SeriesState()
    for key, (at, value) in enumerate(samples, 1):
        if value is None:
            series.end_level(at, key, _RETAIN, most)
        else:
            series.set_level(at, key, pack(value), value, _RETAIN, most)
    return series


def naive(function: str, samples: list[tuple[int, Any]], start: int, end: int) -> Any:
    """The same from the definition: the pieces in which one value held, as far as they reach into the window."""
    changes = [change for i, change in enumerate(samples) if i == 0 or change[1] != samples[i - 1][1]]
    pieces = [(since, until, value) for (since, value), (until, _) in pairwise([*changes, (end + 1, None)])]
    inside = [piece for piece in pieces if piece[0] <= end and piece[1] > start and piece[2] is not None]
    # What ends at the very beginning of the window is no longer in it.
    if not inside:
        return Decimal(0) if function == "distinct" else None
    values = [value for _, _, value in inside]
    if function == "distinct":
        return Decimal(len(set(values)))
    if function == "daily_mean":
        spans = [min(until, end) - max(since, start) for since, until, _ in inside]
        if not sum(spans):
            return values[-1]
        return sum((span * value for span, value in zip(spans, values, strict=True)), Decimal(0)) / sum(spans)
    return {"max": max, "min": min, "first": lambda v: v[0], "last": lambda v: v[-1]}[function](values)


@st.composite
def _histories(draw: st.DrawFn) -> list[tuple[int, Any]]:
    numbers = draw(st.sampled_from([_NUMBERS, _MIXED]))
    times = sorted(draw(st.sets(st.integers(1, 900), min_size=1, max_size=12)))
    samples = [(at, draw(st.one_of(st.none(), numbers))) for at in times]
    while samples and samples[0][1] is None:
        samples.pop(0)  # a level that was never known has no samples
    return samples


@given(_histories(), st.integers(0, 890), st.integers(1, 300), st.sampled_from(["max", "min", "first", "last"]))
def test_only_what_was_known_counts(samples: list[tuple[int, Any]], start: int, length: int, function: str) -> None:
    """Every function sees the values that held in the window, whatever was unknown in between."""
    end = max([start + length, *(at for at, _ in samples)])
    assert window_value(function, series_of(samples), start, end, level=True) == naive(function, samples, start, end)


@given(_histories(), st.integers(0, 890), st.integers(1, 300))
def test_an_unknown_time_weighs_nothing(samples: list[tuple[int, Any]], start: int, length: int) -> None:
    """The daily mean is that of the time in which the level was known; how many values differ counts only those."""
    end = max([start + length, *(at for at, _ in samples)])
    series = series_of(samples)
    mean, wanted = (
        window_value("daily_mean", series, start, end, level=True),
        naive("daily_mean", samples, start, end),
    )
    assert (mean is None) == (wanted is None)
    if wanted is not None:
        assert abs(mean - wanted) < Decimal("1e-15")
    assert window_value("distinct", series, start, end, level=True) == naive("distinct", samples, start, end)


def test_a_level_that_ended_before_the_window_is_unknown() -> None:
    """Nothing held in it: no greatest value, no mean."""
    series = series_of([(10, Decimal(999)), (20, None)])
    for function in ("max", "min", "first", "last", "daily_mean"):
        assert window_value(function, series, 15, 100, level=True) == Decimal(999)
        assert window_value(function, series, 50, 100, level=True) is None


def test_an_end_is_noted_once_and_only_after_something_was_known() -> None:
    """Events that leave it unknown add nothing."""
    assert len(series_of([(10, None), (20, None)])) == 0
    assert len(series_of([(10, Decimal(1)), (20, None), (30, None), (40, None)])) == 2


@pytest.mark.parametrize("value", [Decimal(7), Decimal("0.33333")])
def test_the_end_of_a_level_survives_its_bytes(value: Decimal) -> None:
    """A state that is written and read again knows it still."""
    state = CustomerState(key="C1")
    state.series["s"] = series_of([(10, value), (20, None)])
    again = decode_state("C1", encode_state(state))
    assert window_value("max", again.series["s"], 15, 100, level=True) == value
    assert window_value("max", again.series["s"], 50, 100, level=True) is None


def test_of_folded_samples_the_unknown_time_after_them_weighs_nothing() -> None:
    """Beside buckets, too, a mean leaves out the time in which nothing was known."""
    samples: list[tuple[int, Any]] = [(at, Decimal(at % 2)) for at in range(1, 61)]
    series = series_of([*samples, (100, None)], most=24 * 20)
    assert series.folded is not None
    mean = window_value("daily_mean", series, 0, 900, level=True)
    assert mean == window_value("daily_mean", series, 0, 100, level=True)
    assert window_value("max", series, 0, 900, level=True) == 1
