"""Conditions asked together, and windows of few samples: what comes of them is what comes of each asked alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import triggers
from tests.support.bank import Customer, at, behaviour, decisions, profile, transaction
from tests.support.rules import expression
from tests.triggers.language.worlds import check
from triggers.engine.judge import Case, judge_of
from triggers.engine.plan import Plan, Possible
from triggers.engine.scope import Scope
from triggers.engine.series import SeriesState, pack, window_value
from triggers.engine.state import CustomerState
from triggers.engine.windows import window_of
from triggers.language.loader import load_ruleset
from triggers.language.model import Expression, Feature, RuleSet, Series, Tiering

FROZEN = Path(__file__).resolve().parents[2] / "benchmarks" / "rules"
LIBRARY = Path(next(iter(triggers.__path__))) / "library"
NEVER = 10**9


@cache
def rules(folder: Path) -> RuleSet:
    found = load_ruleset([folder]).ruleset
    assert found is not None
    return found


def life(seed: int) -> Iterator[Any]:
    """A customer's months: every direction and kind, own accounts, reversals, late events, visits, profiles."""
    rng = random.Random(seed)
    yield profile("p", 1, occurred_at=at(0), tier="high", consents={"sms": True})
    balance = 60_000
    for number in range(1, 120):
        when = at(number * 0.7 - rng.choice([0, 0, 0, 3]))
        if rng.random() < 0.2:
            yield behaviour(f"b{number}", rng.choice(["browse", "apply", "login"]), occurred_at=when)
            continue
        amount = rng.choice([50, 6_000, 30_000, 120_000]) * rng.choice([1, -1])
        balance += amount
        fields: dict[str, Any] = {
            "kind": rng.choice(["card", "card", "transfer", "salary", "redemption", "purchase", "interest"]),
            "own_account": rng.random() < 0.1,
            "account_id": rng.choice(["a1", "a2"]),
            "reversal_of": f"t{number - 2}" if rng.random() < 0.05 else None,
        }
        yield transaction(f"t{number}", number, amount, balance, occurred_at=when, **fields)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("folder", [FROZEN, LIBRARY], ids=["frozen", "library"])
def test_conditions_asked_together_name_the_same_triggers(
    folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same outputs and the same state after every event, whether one function asks or one trigger at a time."""
    monkeypatch.setattr(Possible, "WARM", NEVER)
    alone, together = Customer(rules(folder)), Customer(rules(folder))
    found = 0
    for record in life(seed):
        monkeypatch.setattr(Possible, "WARM", NEVER)
        expected = alone.feed(record)
        monkeypatch.setattr(Possible, "WARM", -1)
        assert together.feed(record) == expected
        assert together.stage.encode(together.state) == alone.stage.encode(alone.state)
        found += len(expected)
    assert found


def test_each_condition_is_compiled_for_its_shape_only() -> None:
    """A function asks nothing that the shape has decided, and its text can be read."""
    plan = Plan(rules(FROZEN))
    text = plan.woken("transaction", "card").source(transaction("t", 1, -10, 100, kind="card"))
    assert text.startswith("def judge(s, memory, held, at):")
    assert "direction" not in text
    assert "'potential'" in text
    assert "balance_drop" in text
    assert "salary_arrived" not in text


def test_a_broken_condition_is_skipped_and_the_others_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that raises is reported by name, whoever asks; what stands beside it fires."""

    def breaks(_scope: Any) -> bool:
        raise ZeroDivisionError

    base = rules(FROZEN)
    broken = replace(base.triggers[0], id="broken", when=expression(breaks), clauses=(), rearm=None)
    fires = replace(base.triggers[0], id="fires", when=expression(lambda _: True), clauses=(), rearm=None)
    found = []
    for warm in (NEVER, -1):
        monkeypatch.setattr(Possible, "WARM", warm)
        customer = Customer(replace(base, triggers=(broken, fires), hash=f"h{warm}"))
        found.append(decisions(customer.feed(transaction("t", 1, -10, 100))))
    assert found[0] == found[1]
    assert [reason for _, reason in found[0]] == ["broken", "sent"]


def test_a_broken_tag_is_unknown_and_the_others_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported by name, and what stands below it changes as it would without it."""

    def breaks(_scope: Any) -> bool:
        raise ZeroDivisionError

    base = rules(LIBRARY)
    broken = replace(base.tags[0], name="broken_tag", when=expression(breaks), touched_by=None)
    with_it = replace(base, tags=(broken, *base.tags), hash="broken", derived_hash="broken")
    found = []
    for warm in (NEVER, -1):
        monkeypatch.setattr(Possible, "WARM", warm)
        customer = Customer(with_it)
        found.append([*map(customer.feed, life(1))])
        assert {output.trigger for output in customer.outputs if getattr(output, "reason", "") == "broken"} == {
            "broken_tag"
        }
        assert customer.state.tags
    assert found[0] == found[1]


@pytest.mark.parametrize("margin", [Decimal(0), Decimal("0.1")])
def test_a_tier_that_is_kept_is_the_tier_that_would_be_worked_out(
    margin: Decimal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every edge and floor and beside them, from whatever tier: also below the lowest edge, and of debts."""
    edges = (Decimal(-500), Decimal(-100), Decimal(1000), Decimal(5000))
    floors = tuple(edge * (1 - margin) for edge in edges)
    measure = expression(lambda s: s.customer.balance, "customer.balance")
    tiering = Tiering("tier", measure, ("debt", "low", "mid", "high"), edges, floors)
    base = replace(rules(FROZEN), triggers=(), tierings=(tiering,), derived_hash="tiers", hash="tiers")
    near = {spot + step for spot in (*edges, *floors, Decimal(9000)) for step in (Decimal("-0.01"), 0, Decimal("0.01"))}
    way = [*sorted(near), *sorted(near, reverse=True), *random.Random(1).sample(sorted(near), len(near))]
    tiers = []
    for warm in (NEVER, -1):
        monkeypatch.setattr(Possible, "WARM", warm)
        customer = Customer(base)
        seen = []
        for number, balance in enumerate(way, 1):
            customer.feed(transaction(f"t{number}", number, 0, balance, occurred_at=at(number / 100)))
            seen.append(customer.state.tier)
        tiers.append(seen)
    assert tiers[0] == tiers[1]
    assert set(tiers[0]) == {"debt", "low", "mid", "high"}


FUNCTIONS = ("sum", "count", "max", "min", "mean", "first", "last", "distinct")


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(-500, 500)), max_size=70),
    st.integers(0, 60),
    st.integers(1, 40),
    st.booleans(),
)
@example([(5, 1)], 10, 5, False)  # the newest lies on the edge, which a flow's window leaves out
def test_a_window_of_few_samples_is_the_window_of_any(
    samples: list[tuple[int, int]], end: int, over: int, level: bool
) -> None:
    """Every function, also where the newest sample lies after the window and where there are more than a few."""
    series = SeriesState()
    for number, (when, value) in enumerate(sorted(samples)):
        series.add_flow(when, number, pack(value), value, 10**6, 10**6)
    known = Expression("e", lambda _: None, frozenset())
    kept = Series("s", known, None, frozenset(), "customer", level, over)
    for function in FUNCTIONS if not level else ("max", "min", "first", "last", "distinct", "daily_mean"):
        window = window_of(Feature(function, 0, over), kept)  # type: ignore[arg-type]  # one of the literal
        assert window is not None
        expected = window_value(function, series, end - over, end, level=level)
        found = window({"s": series}, end)
        assert (found, str(found)) == (expected, str(expected))


def test_a_level_keeps_what_was_in_force_and_no_more() -> None:
    """Of the samples before the time that is kept the newest stays, after each of many."""
    series = SeriesState()
    for when in range(100):
        series.set_level(when * 7, when, pack(when), when, 30, 10**6)
        kept = [moment for moment in range(0, when * 7 + 1, 7) if moment >= when * 7 - 30]
        assert series.times == ([kept[0] - 7] if kept[0] else []) + kept


CONDITIONS = (
    "(customer.aum > 50 and customer.balance > 100) or customer.balance > 60",
    "customer.balance > 60 or (customer.aum > 50 and customer.balance > 100) or customer.age < 3",
    "not (customer.balance > 60 and customer.aum > 50)",
    "not (customer.balance > 60 or customer.employee)",
    "customer.employee or customer.balance > 60 and not customer.blacklisted",
    "customer.balance > 60 and (customer.aum > 50 or customer.balance > 100) and customer.aum > 55",
    "max(customer.balance, customer.aum) > 60 and customer.balance / customer.aum > 1",
    "customer.employee == customer.blacklisted and not customer.employee",
)


@pytest.mark.parametrize("source", CONDITIONS)
def test_a_condition_among_others_is_true_where_it_is_true_alone(source: str) -> None:
    """For every combination of values and of what is unknown."""
    checked, problems = check(source)
    assert checked is not None, problems
    when = checked.expression
    one = replace(rules(FROZEN).triggers[0], rearm=None)
    judge = judge_of([Case(one, [when]), Case(one, [when])], "transaction", ())
    outcomes = set()
    balances = (None, Decimal(40), Decimal(80), Decimal(120))
    assets, flags = (None, Decimal(0), Decimal(52), Decimal(60)), (None, True, False)
    for balance, aum, employee, blacklisted in product(balances, assets, flags, flags):
        scope = Scope()
        scope.customer = CustomerState(balance=balance, aum=aum, employee=employee, blacklisted=blacklisted)
        scope.event = scope.record = transaction("t", 1, 1, 1)
        expected = when.evaluate(scope) is True
        assert judge(scope, {}, {}, 0) == [one, one] * expected
        outcomes.add(expected)
    assert outcomes == {True, False}


def test_only_a_length_of_time_of_the_customer_has_a_window_of_its_own() -> None:
    """A calendar period begins at another moment each day, and an account is known only with its event."""
    known = Expression("e", lambda _: None, frozenset())
    series = Series("s", known, None, frozenset(), "customer", False, 5)
    assert window_of(Feature("sum", 0, 5, "month"), series) is None
    assert window_of(Feature("sum", 0, 5), replace(series, by="account")) is None
