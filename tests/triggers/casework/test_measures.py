"""What a condition measures is read from its checked tree, with the numbers it is compared with."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.support.bank import at, profile, transaction
from triggers.casework.measures import Bound, MeasuredEvaluation, read_measures
from triggers.engine.customer import CustomerStage
from triggers.language.loader import load_documents
from triggers.language.model import RuleSet

TRIGGER = """\
trigger: one
version: 1
title: one
owner: tests
status: {status}
on: transaction
features:
  peak: {{max: customer.balance, over: 7d}}
  count_30d: {{count: true, over: 30d}}
when: {when}
action:
  offer: something
  category: test
  complexity: simple
  priority: 50
  expires: 1d
  ladder: [push]
tests:
  - {{name: fires, customer: {{balance: 10}}, events: [{{at: "2026-03-02 10:00", transaction: {{amount: 1}}}}],
     expect: [{{at: "2026-03-02 10:00"}}]}}
  - {{name: silent, events: [], expect: []}}
"""


def rules(when: str, status: str = "live") -> RuleSet:
    loaded = load_documents({"one.yaml": TRIGGER.format(when=when, status=status)})
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ("peak >= 100 and count_30d >= 1", {"peak": [">= 100"], "count_30d": [">= 1"]}),
        ("100 <= peak < 5000 and count_30d > 0", {"peak": [">= 100", "< 5000"], "count_30d": ["> 0"]}),
        ("not (peak > 100 or count_30d < 3)", {"peak": ["> 100"], "count_30d": ["< 3"]}),
        (
            "customer.balance <= peak * 0.7 and peak - customer.balance >= 50 and count_30d >= 1",
            {"peak": [], "peak - customer.balance": [">= 50"], "count_30d": [">= 1"]},
        ),
        (
            "crossed_above(customer.balance, 100) and max(peak, 5) > 10 and count_30d != 7",
            {"customer.balance": [">= 100"], "peak": [], "max(peak, 5)": ["> 10"], "count_30d": ["!= 7"]},
        ),
        (
            "crossed_below(customer.balance, 100) and event.kind == 'salary' and peak > count_30d",
            {"customer.balance": ["< 100"], "peak": [], "count_30d": []},
        ),
    ],
)
def test_measures_and_their_thresholds(when: str, found: dict[str, list[str]]) -> None:
    """Each feature, and whatever else is compared with a number; an unknown name or a text is not measured."""
    got = {one.source: [f"{b.operator} {b.number}" for b in one.bounds] for one in read_measures(rules(f'"{when}"'))}
    assert got == found


def test_a_feature_without_a_number_beside_it_shows_its_clauses() -> None:
    """As its author wrote them."""
    measures = read_measures(rules('"customer.balance <= peak * 0.7 and event.amount < count_30d"'))
    assert {one.source: one.clauses for one in measures} == {
        "peak": ("customer.balance <= peak * 0.7",),
        "count_30d": ("event.amount < count_30d",),
    }
    assert all(one.is_feature for one in measures)


def test_a_draft_is_not_measured() -> None:
    """It does not run."""
    assert read_measures(rules('"peak >= 100 and count_30d >= 1"', status="draft")) == ()
    assert len(read_measures(rules('"peak >= 100 and count_30d >= 1"', status="shadow"))) == 2


@pytest.mark.parametrize(
    ("operator", "sides"),
    [("<", "100"), ("<=", "110"), (">", "001"), (">=", "011"), ("==", "010"), ("!=", "101")],
)
def test_a_bound_holds_on_its_side(operator: str, sides: str) -> None:
    """Below, at and above the number."""
    bound = Bound(operator, Decimal(5))
    assert "".join("01"[bound.holds(Decimal(value), bound.number)] for value in (4, 5, 6)) == sides


def readings(every: int, start: int) -> list[list[object]]:
    """What ten transactions of a hundred each leave in the readings."""
    ruleset = rules('"customer.balance < 0 and peak >= 500 and count_30d >= 3"')
    run = MeasuredEvaluation("bank", read_measures(ruleset), every)
    stage = CustomerStage("bank", run)
    run.begin_customer(start)
    state = stage.fresh("c1")
    for number in range(1, 11):
        stage.process(
            transaction(f"t{number}", number, 100, 100 * number, occurred_at=at(number)), state, ruleset, None
        )
    return [[one.values.total, one.values.least, one.values.most, one.held] for one in run.readings]


def test_every_moment_is_measured_also_where_the_condition_stops_before() -> None:
    """The first clause is false throughout; peak and count are read all the same, in the order of their names."""
    count, balance, peak = readings(1, 0)
    assert count == [10, 1, 10, [8]]
    assert balance == [10, 100, 1000, [0]]
    assert peak == [10, 100, 1000, [6]]


def test_one_moment_in_several() -> None:
    """Which ones follows from the customer's number."""
    assert readings(3, 0)[0] == [4, 1, 10, [3]]
    assert readings(3, 4)[0] == [3, 2, 8, [2]]
    assert readings(3, 5)[0] == [3, 3, 9, [3]]


def test_a_condition_is_counted_by_what_it_came_to() -> None:
    """True, false, or unknown: the customer's age is not known before the profile says it."""
    ruleset = rules("customer.age >= 18 and event.amount >= 10")
    run = MeasuredEvaluation("bank", read_measures(ruleset), 1)
    stage = CustomerStage("bank", run)
    state = stage.fresh("c1")
    stage.process(transaction("t1", 1, 20, 20), state, ruleset, None)
    stage.process(transaction("t2", 2, 5, 25), state, ruleset, None)
    stage.process(profile("p1", 1, birth_date=date(1990, 1, 1)), state, ruleset, None)
    stage.process(transaction("t3", 3, 20, 45, occurred_at=at(1)), state, ruleset, None)
    assert run.conditions == {("one", None): 1, ("one", False): 1, ("one", True): 1}
