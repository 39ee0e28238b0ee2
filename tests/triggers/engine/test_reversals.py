"""A reversal takes back what its original did to state, and withdraws what it caused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from schemas.base import to_ms
from tests.support.bank import Customer, actions, at, cancellations, decisions, transaction
from tests.support.rules import DAY, NO_LIMITS, balance_series, outflow_series, ruleset, trigger
from triggers.language.model import Feature, OnSilence, Quiet, Step


def test_a_reversal_cancels_the_action_on_its_channel() -> None:
    """The withdrawal names the action, its queue and the event that caused it."""
    customer = Customer(ruleset(trigger("large", lambda scope: scope.event.amount > 500)))
    (sent,) = actions(customer.feed(transaction("t1", 1, 900, 1000)))
    outputs = customer.feed(transaction("t2", 2, -900, 100, reversal_of="t1", occurred_at=at(hours=1)))
    (withdrawn,) = cancellations(outputs)
    assert (withdrawn.action_id, withdrawn.channel) == (sent.action_id, "push")
    assert (withdrawn.reason, withdrawn.caused_by) == ("reversed", "t2")
    assert decisions(outputs) == [("cancelled", "reversed")]
    assert actions(outputs) == []


def test_an_expired_action_needs_no_withdrawal() -> None:
    """Nobody acts on it any more."""
    customer = Customer(ruleset(trigger("large", lambda scope: scope.event.amount > 500, expires_ms=DAY)))
    customer.feed(transaction("t1", 1, 900, 1000))
    assert cancellations(customer.feed(transaction("t2", 2, -900, 100, reversal_of="t1", occurred_at=at(2)))) == []


def test_a_reversal_stops_the_ladder() -> None:
    """The steps that wait never go out."""
    ladder = (Step("push"), Step("sms", 2 * DAY, "opened"))
    customer = Customer(ruleset(trigger("large", lambda scope: scope.event.amount > 500, ladder=ladder)))
    customer.feed(transaction("t1", 1, 900, 1000))
    assert customer.state.timers
    customer.feed(transaction("t2", 2, -900, 100, reversal_of="t1", occurred_at=at(1)))
    assert not customer.state.timers
    assert customer.run_to(at(30)) == []


def test_a_reversed_flow_leaves_the_window() -> None:
    """The sum is what it would be had the payment never been booked; the reversal itself is no inflow."""
    rules = ruleset(
        trigger("sum", lambda scope: scope.feature(0) >= 0, fields={"sum": lambda scope: scope.feature(0)}),
        series=(outflow_series(),),
        features=(Feature("sum", 0, 30 * DAY),),
    )
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, -300, 700))
    customer.feed(transaction("t2", 2, -50, 650))
    customer.feed(transaction("t3", 3, 300, 950, reversal_of="t1"))
    (action,) = actions(customer.feed(transaction("t4", 4, -1, 949)))
    assert action.fields == {"sum": "51"}


def test_a_reversed_peak_is_no_peak() -> None:
    """A credit booked by mistake and taken back does not look like a drop afterwards."""
    drop = trigger("drop", lambda scope: scope.customer.balance <= scope.feature(0) * Decimal("0.7"))
    rules = ruleset(drop, series=(balance_series(),), features=(Feature("max", 0, 7 * DAY),))
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, 10, 200_000))
    customer.feed(transaction("t2", 2, 1_000_000, 1_200_000, occurred_at=at(hours=1)))
    assert customer.feed(transaction("t3", 3, -1_000_000, 200_000, reversal_of="t2", occurred_at=at(hours=2))) == []
    assert actions(customer.feed(transaction("t4", 4, -1, 199_999, occurred_at=at(hours=3)))) == []


def test_a_reversal_arms_the_trigger_again() -> None:
    """The firing that never should have been does not use up ``once_per``."""
    customer = Customer(ruleset(trigger("large", lambda scope: scope.event.amount > 500, once_per_ms=14 * DAY)))
    assert actions(customer.feed(transaction("t1", 1, 900, 1000)))
    customer.feed(transaction("t2", 2, -900, 100, reversal_of="t1", occurred_at=at(1)))
    assert actions(customer.feed(transaction("t3", 3, 900, 1000, occurred_at=at(2))))
    assert decisions(customer.feed(transaction("t4", 4, 900, 1900, occurred_at=at(3)))) == [("suppressed", "once_per")]


def test_a_reversal_that_comes_first_leaves_no_trace_of_its_original() -> None:
    """The original fires nothing, fills no window and makes no peak when it comes at last."""
    rules = ruleset(
        trigger("large", lambda scope: scope.event.amount > 500),
        series=(outflow_series(), balance_series()),
        features=(),
    )
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, 10, 1000))
    customer.feed(transaction("t3", 3, 900, 1000, reversal_of="t2", occurred_at=at(hours=2)))
    assert customer.feed(transaction("t2", 2, -900, 100, occurred_at=at(hours=1))) == []
    assert customer.state.balance == Decimal(1000)
    assert "outflow_customer" not in customer.state.series
    assert list(customer.state.series["balance"].values) == [9_900_000, 10_000_000]
    assert customer.state.undone == {}


def test_silence_is_counted_from_the_event_before_the_reversed_one() -> None:
    """A reversed payment is no sign of life."""
    quiet = trigger("quiet", on=(OnSilence("transaction", None, 90 * DAY),))
    customer = Customer(ruleset(quiet))
    customer.feed(transaction("t1", 1, 10, 100))
    customer.feed(transaction("t2", 2, 10, 110, occurred_at=at(20)))
    customer.feed(transaction("t3", 3, -10, 100, reversal_of="t2", occurred_at=at(21)))
    (action,) = actions(customer.run_to(at(120)))
    assert action.created_at == at(90)


@pytest.mark.parametrize("wall", [False, True])
def test_a_silence_that_only_the_reversal_tells_of_is_no_older_than_the_reversal(wall: bool) -> None:
    """The three days were over on the third; that they were days of silence is known on the fourth, and nothing is said

    before, nor at the hour of night that it would have been.
    """
    night = replace(NO_LIMITS, quiet=(Quiet(frozenset({"push"}), 9 * 60, 11 * 60),))
    quiet = ruleset(trigger("quiet", on=(OnSilence("transaction", None, 3 * DAY),)), policy=night)
    customer = Customer(quiet, recode=True)

    def pay(name: str, number: int, day: float, **more: str) -> list[Any]:
        record = transaction(name, number, -5, 100, occurred_at=at(day), **more)
        outcome = customer.stage.process(record, customer.state, quiet, to_ms(at(day)) if wall else None)
        return outcome.outputs if outcome is not None else []

    assert pay("t1", 1, 0) + pay("t2", 2, 2) == []
    outputs = pay("t3", 3, 4.5, reversal_of="t2")
    assert [(one.trigger, one.created_at) for one in actions(outputs)] == [("quiet", at(4.5))]
    assert decisions(outputs) == [("sent", "sent")]


def test_reversals_of_what_never_came_are_not_kept_for_ever() -> None:
    """Only as long as their originals may still come."""
    customer = Customer(ruleset())
    for number in range(1, 6):
        customer.feed(
            transaction(f"r{number}", number, -1, 100, reversal_of=f"never-{number}", occurred_at=at(10 * number))
        )
    assert len(customer.state.undone) == 1
