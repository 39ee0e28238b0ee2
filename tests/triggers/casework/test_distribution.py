"""Percentiles in bounded memory: numbers that occurred, near the true ones, the same in any order and any parts."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggers.casework.distribution import PERCENTILES, Distribution

NUMBERS = st.lists(st.decimals("-10000000000", "10000000000", places=4), min_size=1, max_size=200)


def spread(values: list[Decimal | None]) -> Distribution:
    found = Distribution()
    for value in values:
        found.add(value)
    return found


def answers(found: Distribution) -> list[object]:
    percentiles = [found.percentile(percent) for percent in PERCENTILES]
    return [found.total, found.unknown, found.least, found.most, percentiles]


@given(NUMBERS, st.sampled_from([1, 25, 50, 99, 100]))
def test_a_percentile_occurred_and_is_less_than_one_percent_below(numbers: list[Decimal], percent: int) -> None:
    """Against the nearest rank of the sorted numbers."""
    ranked = sorted(numbers)
    true = float(ranked[max(1, -(-len(ranked) * percent // 100)) - 1])
    got = spread(list(numbers)).percentile(percent)
    assert got in {float(number) for number in numbers}
    assert abs(got - true) <= abs(true) * 0.01


def test_small_whole_numbers_are_exact() -> None:
    """Counts up to 256 have a bucket each."""
    found = spread([Decimal(number) for number in range(257)])
    assert [found.percentile(percent) for percent in (1, 50, 99, 100)] == [2, 128, 254, 256]


@given(NUMBERS, st.integers(0, 200), st.integers(0, 2**32))
def test_order_and_parts_change_nothing(numbers: list[Decimal], cut: int, seed: int) -> None:
    """Two halves in another order, merged either way, answer as the whole."""
    values = [*numbers, None]
    whole = answers(spread(values))
    Random(seed).shuffle(values)
    for first, second in ((values[:cut], values[cut:]), (values[cut:], values[:cut])):
        merged = spread(first)
        merged.merge(spread(second))
        assert answers(merged) == whole


def test_the_smallest_of_a_bucket_stands_for_it_whichever_part_saw_it() -> None:
    """1,000 and 1,001 share a bucket."""
    for values in ((1_000, 1_001), (1_001, 1_000)):
        merged = spread([Decimal(values[0])])
        merged.merge(spread([Decimal(values[1])]))
        assert len(merged._buckets) == 1
        assert answers(merged)[:4] == [2, 0, 1_000, 1_001]


def test_nothing_seen_has_no_answer() -> None:
    """An unknown value counts as such only."""
    found = spread([None, None])
    assert answers(found) == [0, 2, None, None, [None] * len(PERCENTILES)]


def test_memory_is_bounded() -> None:
    """A million different amounts take a few thousand buckets."""
    found = Distribution()
    random = Random(1)
    for _ in range(20_000):
        found.add(Decimal(random.randrange(1, 10**14)).scaleb(-4))
    few = len(found._buckets)
    for _ in range(20_000):
        found.add(Decimal(random.randrange(1, 10**14)).scaleb(-4))
    assert len(found._buckets) < min(few * 1.2, 3_000)


@pytest.mark.parametrize("value", [Decimal(0), Decimal("0.0001"), Decimal("-0.5"), Decimal(10) ** 30])
def test_one_number_is_every_percentile(value: Decimal) -> None:
    """Whatever its size and sign."""
    found = spread([value])
    assert [found.percentile(percent) for percent in PERCENTILES] == [float(value)] * len(PERCENTILES)
