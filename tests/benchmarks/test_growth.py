"""How the cost of an event grows: the targets and the pictures are of the medians of the rounds."""

from __future__ import annotations

import argparse

from tests.benchmarks.growth import Drain, Figure, Size, _sizes, pictures, table, targets


def _figure(axis: str, value: int, *costs: float, memory: float = 100.0, kept: float = 500.0) -> Figure:
    rounds = [Drain(1e6 / cost, cost) for cost in costs]
    return Figure(axis, value, Size(10_000, 10, 1), rounds, memory, kept)


def test_each_target_is_of_its_row() -> None:
    """The triggers' by processor time; what customers take by those with a month of events, and of 100,000."""
    found = targets(
        [
            _figure("triggers", 10, 40, 50, 90),
            _figure("triggers", 200, 120, 125, 10),
            _figure("window", 30, 50, kept=700.0),
            _figure("customers", 100_000, 50, memory=320.0),
        ]
    )
    assert [(target.found, target.met) for target in found] == [(2.4, True), (700.0, True), (320.0, True)]


def test_the_table_has_the_range_and_each_axis_its_picture() -> None:
    """Of workers the picture shows how much they drain."""
    figures = [_figure("workers", 1, 50), _figure("workers", 2, 40), _figure("window", 30, 20, 30, 25)]
    assert "25.0" in table(figures)
    assert "20.0-30.0" in table(figures)
    drawn = pictures(figures)
    assert ">20,000<" in drawn["workers"]
    assert ">25,000<" in drawn["workers"]
    assert ">30 events of a customer<" in drawn["window"]
    assert ">25<" in drawn["window"]


def test_windows_are_full_at_the_end() -> None:
    """So many customers that each has as many events as the axis says, those of the rounds too."""
    given = argparse.Namespace(
        fill=100, rounds=5, warm=10, events=30, customers=[], triggers=[], workers=[], window=[30, 3_000]
    )
    base = Size(customers=10_000, triggers=10, workers=1)
    assert [(size.customers, size.fill) for _, _, size in _sizes(given, base)] == [(10, 100), (1, 100)]
