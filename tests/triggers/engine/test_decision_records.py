"""What every decision has beside its reason: the customer's tier at that time, the score where several competed."""

from __future__ import annotations

from schemas.decisions import Decision
from tests.support.bank import Customer, at, profile, transaction
from tests.support.rules import ruleset, trigger


def test_a_decision_has_the_tier_of_its_time() -> None:
    """Unknown before the bank said; the later one afterwards."""
    customer = Customer(ruleset(trigger("any")))
    customer.feed(transaction("t1", 1, 1, 1))
    customer.feed(profile("p1", 1, tier="mid", occurred_at=at(1)))
    customer.feed(transaction("t2", 2, 1, 2, occurred_at=at(2)))
    assert [out.tier for out in customer.outputs if isinstance(out, Decision)] == [None, "mid"]


def test_a_score_is_on_record_where_candidates_competed() -> None:
    """Of the one that was heard and of the others; one alone needs none, at the next occasion either."""
    rules = ruleset(
        trigger("low", lambda scope: scope.event.amount > 5, priority=10),
        trigger("high", lambda scope: scope.event.amount > 5, priority=90),
        trigger("other", lambda scope: scope.event.amount <= 5),
    )
    customer = Customer(rules)
    outputs = customer.feed(transaction("t1", 1, 9, 9))
    scores = {out.trigger: out.detail.get("score") for out in outputs if isinstance(out, Decision)}
    assert scores == {"low": "10", "high": "90"}
    (alone,) = [
        out for out in customer.feed(transaction("t2", 2, 1, 10, occurred_at=at(1))) if isinstance(out, Decision)
    ]
    assert (alone.trigger, alone.detail) == ("other", {})
