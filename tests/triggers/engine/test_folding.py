"""What is folded into buckets keeps every function within the documented error, and the memory bounded."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bank import Customer, at, transaction
from tests.support.rules import DAY, outflow_series, ruleset, trigger
from triggers.engine.folding import BUCKETS, Folded
from triggers.engine.series import ROW_BYTES, SeriesState, pack, window_value
from triggers.language.model import Feature, Policy

RETAIN = 5_000
WIDTH = RETAIN // BUCKETS
"""Ten ms: a bucket of these series."""
MOST = 20
FUNCTIONS = ("sum", "count", "max", "min", "mean", "first", "last", "daily_mean")


class Sample(NamedTuple):
    """A sample of the model."""

    at: int
    value: Any


def exact(function: str, samples: list[Sample], start: int, end: int, *, level: bool) -> Any:
    """The function over ``(start, end]`` by its definition."""
    inside = [sample for sample in samples if start < sample.at <= end]
    before = [sample for sample in samples if sample.at <= start]
    if level and before:
        inside.insert(0, Sample(start, before[-1].value))
    values = [sample.value for sample in inside]
    if function in ("sum", "count", "distinct"):
        return {"sum": sum(values), "count": len(values), "distinct": len(set(values))}[function]
    if not values:
        return None
    if function == "daily_mean":
        ends = [*(sample.at for sample in inside[1:]), end]
        weighted = sum(sample.value * (until - sample.at) for sample, until in zip(inside, ends, strict=True))
        return values[-1] if end == inside[0].at else Decimal(weighted) / (end - inside[0].at)
    if function == "mean":
        return sum(values) / Decimal(len(values))
    return {"max": max, "min": min, "first": lambda v: v[0], "last": lambda v: v[-1]}[function](values)


def within(found: Any, wanted: list[Any]) -> bool:
    """Whether a value is one of those, up to the last digits of a division."""
    return any(
        found == value
        or (isinstance(found, Decimal) and value is not None and abs(found - value) <= abs(found) * Decimal("1e-20"))
        for value in wanted
    )


_values = st.integers(-500, 500).map(lambda number: Decimal(number) / 4)


@st.composite
def lives(draw: st.DrawFn, *, late: bool) -> list[Sample]:
    """Samples as they arrive, many more than are kept one by one; with ``late``, some out of order."""
    now, arrived = 10_000, []
    for _ in range(draw(st.integers(30, 120))):
        now += draw(st.sampled_from([0, 1, 1, 3, 7, 12, 60]))
        behind = draw(st.sampled_from([0, 0, 0, 5, 40, 300])) if late else 0
        arrived.append(Sample(now - behind, draw(_values)))
    return arrived


def kept(samples: list[Sample]) -> list[Sample]:
    """In order of time; of equal times, in order of arrival."""
    return sorted(samples, key=lambda sample: sample.at)


def series_of(samples: list[Sample], *, level: bool = False, recode: bool = False) -> SeriesState:
    """A series that met these samples; with ``recode`` it was written and read again after each."""
    series = SeriesState()
    for number, sample in enumerate(samples):
        packed = pack(sample.value)
        if level:
            series.set_level(sample.at, number, packed, sample.value, RETAIN, MOST * ROW_BYTES)
        else:
            series.add_flow(sample.at, number, packed, sample.value, RETAIN, MOST * ROW_BYTES)
        if recode:
            series = msgspec.msgpack.decode(msgspec.msgpack.encode(series), type=SeriesState)
    return series


def nearby(edge: int) -> range:
    """Where an edge may be moved to: less than a bucket further out."""
    return range(edge - WIDTH + 1, edge + 1)


@settings(max_examples=80, deadline=None)
@given(lives(late=True), st.integers(0, 2_000))
def test_a_flow_is_exact_of_a_window_that_begins_less_than_a_bucket_earlier(arrived: list[Sample], length: int) -> None:
    """Also with samples that come late: each function agrees with its definition over one and the same window."""
    series, samples = series_of(arrived), kept(arrived)
    assert series.folded is not None
    end = samples[-1].at
    found = {f: window_value(f, series, end - length, end, level=False) for f in FUNCTIONS if f != "daily_mean"}
    assert any(
        all(within(value, [exact(f, samples, start, end, level=False)]) for f, value in found.items())
        for start in nearby(end - length)
    ), found


@settings(max_examples=80, deadline=None)
@given(lives(late=False), st.integers(0, 2_000))
def test_a_level_is_exact_of_a_window_that_begins_less_than_a_bucket_earlier(
    arrived: list[Sample], length: int
) -> None:
    """With the value in force at the beginning, and each value weighted by how long it stood."""
    series = series_of(arrived, level=True)
    changes = [s for i, s in enumerate(arrived) if i == 0 or s.value != arrived[i - 1].value]
    end = arrived[-1].at
    functions = ("max", "min", "first", "last", "daily_mean")
    found = {f: window_value(f, series, end - length, end, level=True) for f in functions}
    assert any(
        all(within(value, [exact(f, changes, start, end, level=True)]) for f, value in found.items())
        for start in nearby(end - length)
    ), found


@settings(max_examples=40, deadline=None)
@given(lives(late=True), st.integers(0, 1_500), st.integers(0, 1_500))
def test_a_window_that_ends_among_buckets_ends_less_than_a_bucket_later(
    arrived: list[Sample], back: int, length: int
) -> None:
    """As for an event that comes late: both edges reach to those of their buckets at most."""
    series, samples = series_of(arrived), kept(arrived)
    end = samples[-1].at - back
    found = {f: window_value(f, series, end - length, end, level=False) for f in ("sum", "count", "max", "first")}
    assert any(
        all(within(value, [exact(f, samples, start, until, level=False)]) for f, value in found.items())
        for start in nearby(end - length)
        for until in range(end, end + WIDTH)
    ), found


@settings(max_examples=40, deadline=None)
@given(lives(late=True), st.integers(0, 2_000))
def test_distinct_is_a_lower_bound(arrived: list[Sample], length: int) -> None:
    """Never more than there are, and at least those that are kept one by one."""
    series, samples = series_of(arrived), kept(arrived)
    end = samples[-1].at
    found = window_value("distinct", series, end - length, end, level=False)
    assert found <= max(exact("distinct", samples, start, end, level=False) for start in nearby(end - length))
    newest = [Sample(time, value) for time, value in zip(series.times, series.values, strict=True)]
    assert found >= exact("distinct", newest, end - length, end, level=False)


@settings(max_examples=25, deadline=None)
@given(lives(late=True))
def test_folding_survives_encoding(arrived: list[Sample]) -> None:
    """A series that was written and read after every sample is the same."""
    assert series_of(arrived, recode=True) == series_of(arrived)


@pytest.mark.parametrize("most", [100, 1_000])
def test_memory_is_bounded(most: int) -> None:
    """However many events a customer has: so many samples and so many buckets; what nobody looks back to goes."""
    series = SeriesState()
    for number in range(most * 20):
        series.add_flow(number * 3, number, number, None, RETAIN * 10, most * ROW_BYTES)
        assert len(series) <= most
        assert series.folded is None or len(series.folded) <= BUCKETS + 2
    assert series.folded is not None
    assert series.folded.until > most * 60 - RETAIN * 11


def test_texts_and_long_fractions_fold_too() -> None:
    """A mixed series keeps counts, first and last exactly; numbers in its buckets are rounded to 1/10,000."""
    shops = series_of([Sample(1_000 + 3 * n, "tea" if n % 2 else "shop") for n in range(60)])
    assert shops.folded is not None
    assert window_value("count", shops, 0, 2_000, level=False) == 60
    assert window_value("distinct", shops, 0, 2_000, level=False) == 2
    assert window_value("first", shops, 0, 2_000, level=False) == "shop"
    assert window_value("last", shops, 0, 2_000, level=False) == "tea"
    thirds = [Sample(1_000 + 3 * n, Decimal(n) / 3) for n in range(60)]
    series = series_of(thirds)
    found = window_value("sum", series, 0, 2_000, level=False)
    assert abs(found - sum(sample.value for sample in thirds)) <= 60 * Decimal("0.00005")
    assert window_value("first", series, 0, 2_000, level=False) == 0
    assert window_value("max", series, 0, 2_000, level=False) == Decimal(59) / 3


def test_a_series_that_turns_mixed_keeps_what_was_folded() -> None:
    """Integers first, then a long fraction."""
    arrived = [Sample(1_000 + 3 * n, Decimal(n) if n < 50 else Decimal(n) / 3) for n in range(90)]
    series = series_of(arrived)
    assert series.others is not None
    assert window_value("first", series, 0, 2_000, level=False) == exact("first", arrived, 0, 2_000, level=False)
    found = window_value("mean", series, 0, 2_000, level=False)
    assert abs(found - exact("mean", arrived, 0, 2_000, level=False)) < Decimal("0.0001")


def test_sums_beyond_64_bits_are_exact() -> None:
    """The largest amounts there are, held for days."""
    huge = Decimal(10) ** 14 - 1
    arrived = [Sample(1_000 + 3 * n, huge if n % 2 else -huge + n) for n in range(60)]
    series = series_of(arrived, level=True)
    for function in ("sum", "daily_mean"):
        assert within(
            window_value(function, series, 0, 10**10, level=True), [exact(function, arrived, 0, 10**10, level=True)]
        )


def test_the_policy_bounds_every_series() -> None:
    """A customer with more events than that still has the right sum; a reversal finds what is not folded."""
    rules = ruleset(
        trigger("any", fields={"sum": lambda scope: scope.feature(0)}),
        series=(outflow_series(30 * DAY),),
        features=(Feature("sum", 0, 30 * DAY),),
        policy=Policy(samples=100),
    )
    customer = Customer(rules, recode=True)
    for number in range(250):
        customer.feed(transaction(f"t{number}", number, -1, 1_000 - number, occurred_at=at(minutes=number)))
    series = customer.state.series["outflow_customer"]
    assert len(series) <= 100
    assert series.folded is not None
    moment = customer.state.clock
    assert window_value("sum", series, moment - DAY, moment, level=False) == 250
    reversal = transaction("r", 250, 1, 751, reversal_of="t249", occurred_at=at(minutes=250))
    customer.feed(reversal)
    assert window_value("sum", customer.state.series["outflow_customer"], moment - DAY, moment, level=False) == 249
    customer.feed(transaction("s", 251, 1, 752, reversal_of="t0", occurred_at=at(minutes=251)))
    assert window_value("sum", customer.state.series["outflow_customer"], moment - DAY, moment, level=False) == 249


@pytest.mark.parametrize("mixed", [False, True])
def test_a_daily_mean_over_whole_columns_is_that_of_one_piece_after_the_other(mixed: bool) -> None:
    """To the last digit, with the value before the window, buckets and single samples, any of them missing."""
    for seed in range(300):
        random, folded = Random(seed), Folded()
        now = random.randint(0, 1_000_000)
        for _ in range(random.randint(1, 40)):
            now += random.randint(0, 300)
            folded.add(now, random.randint(-(10**12), 10**12), None, 50)
        if mixed:
            folded.mix()
        start = random.randint(now - 9_000, now + 500)
        times = sorted(random.randint(max(now, start + 1), now + 2_000) for _ in range(random.randint(0, 8)))
        values = [Decimal(random.randint(-(10**9), 10**9)) / 1_000 if mixed else 7 * at for at in times]
        end, level = max([start, *times]) + random.randint(0, 400), random.random() < 0.7
        found = folded.value("daily_mean", times, values, start, end, level=level, unknown=0)

        buckets = [folded._bucket(index) for index in range(len(folded))]
        unit = Decimal("0.0001") if mixed else 1
        first = next((bucket for bucket in buckets if bucket.begin <= start < bucket.until), None)
        edge = start if first is None else first.begin - 1
        before = [bucket.last * unit for bucket in buckets if bucket.until <= edge]
        pieces: list[tuple[int, Any, int, Any]] = [(edge, 0, edge, before[-1])] if before and level else []
        pieces += [(b.begin, b.weighted * unit, b.until, b.last * unit) for b in buckets if edge < b.begin <= end]
        pieces += [(at, 0, at, value) for at, value in zip(times, values, strict=True)]
        if not pieces:
            assert found is None
            continue
        begin, total, since, value = pieces[0]
        for opens, own, closes, last in pieces[1:]:
            total += value * (opens - since) + own
            since, value = closes, last
        span = max(end, since) - begin
        assert found == (Decimal(total + value * (max(end, since) - since)) / span if span else value)
