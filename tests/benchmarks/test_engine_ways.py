"""The engine's benchmark: every way through the events causes the same, and one that does not voids the run."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest

from tests.benchmarks import engine
from tests.benchmarks.engine import CONTENDERS, Figure, Load, Work
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.rule_sets import rule_set
from tests.benchmarks.work import RULES


@pytest.fixture(scope="module")
def work() -> Work:
    """Few events, of so few customers that some have actions."""
    return Work(rule_set(RULES, None, "full"), Load(1_200, 60))


def test_all_ways_cause_the_same(work: Work) -> None:
    """By customer, by time and in a worker's batches: the same actions and decisions, byte for byte."""
    figures = [way(work) for way in CONTENDERS.values()]
    acting = [figure for figure in figures if figure.digest]
    assert len(acting) == len(CONTENDERS) - 1, "to decode alone causes nothing"
    assert len({(figure.actions, figure.digest) for figure in acting}) == 1
    assert acting[0].actions > 50
    assert {figure.events for figure in figures} == {1_200}


def test_by_customer_is_another_order_of_the_same_events(work: Work) -> None:
    """A customer's events stay in order of time, and none is lost."""
    load = work.load
    assert load.records_by_customer != load.records
    assert sorted(load.records_by_customer, key=lambda record: record.event_id) == load.records
    keys = [record.customer_id for record in load.records_by_customer]
    assert keys == sorted(keys)


def test_a_way_that_causes_something_else_voids_the_run(work: Work) -> None:
    """Figures of ways that differ are not told."""

    def another(given: Work) -> Figure:
        return replace(CONTENDERS["engine"](given), digest="another")

    pace = Rounds(argparse.Namespace(rounds=1, minutes=None, until=None))
    with pytest.raises(SystemExit, match="void"):
        engine._rounds([work], pace, [CONTENDERS["engine"], another])
