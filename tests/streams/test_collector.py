"""The garbage collector of a worker: set up once, its pauses counted."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from streams import cli, collector
from streams.collector import BUCKETS, THRESHOLDS, Pauses


@pytest.fixture
def kept() -> Iterator[None]:
    """The collector of the tests is as it was afterwards."""
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


@pytest.mark.usefixtures("kept")
def test_what_stands_at_the_start_is_left_alone() -> None:
    """Frozen, so that no later collection walks it; and young objects may grow old in peace."""
    collector.tune()
    assert gc.get_freeze_count() > 1_000
    assert gc.get_threshold() == (50_000, 50, 100)


@pytest.mark.usefixtures("kept")
def test_each_collection_is_a_pause_of_its_generation() -> None:
    """Counted once each, with its time."""
    pauses = collector.tune()
    gc.collect(0)
    gc.collect(0)
    gc.collect(2)
    assert [sum(counts) for counts in pauses.counts] == [2, 0, 1]
    assert pauses.seconds[0] > 0 < pauses.seconds[2]
    assert pauses.seconds[1] == 0


def test_the_histogram_is_cumulative(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause counts for its own bound, included, and each larger one; a longer one than all only for the last."""
    times = iter([10.0, 10.001, 20.0, 20.003, 30.0, 99.0])
    monkeypatch.setattr(collector.time, "perf_counter", lambda: next(times))
    pauses = Pauses()
    for _ in range(3):
        pauses("start", {"generation": 1})
        pauses("stop", {"generation": 1})
    found = dict(pauses.cumulative(1))
    assert list(found) == [*map(str, BUCKETS), "+Inf"]
    assert (found["0.0025"], found["0.005"], found["2.5"], found["+Inf"]) == (1, 2, 2, 3)
    assert pauses.seconds[1] == pytest.approx(69.004)


@pytest.mark.usefixtures("kept")
def test_a_command_seldom_walks_what_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thresholds are a worker's from the start: modules and rule sets are many objects that stay."""
    found = []
    monkeypatch.setattr(cli, "app", lambda: found.append(gc.get_threshold()))
    gc.set_threshold(700, 10, 10)
    cli.main()
    assert found == [THRESHOLDS]
