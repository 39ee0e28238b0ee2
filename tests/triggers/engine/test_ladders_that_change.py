"""A ladder that is under way when another rule set comes, which has cut it, or has its trigger no more."""

from __future__ import annotations

from dataclasses import replace

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, cancellations, decisions, transaction
from tests.support.rules import DAY, NO_LIMITS, ruleset, trigger
from triggers.language.model import Quiet, Step

NIGHTS = replace(NO_LIMITS, quiet=(Quiet(frozenset({"push", "sms"}), 9 * 60, 12 * 60),))
"""Quiet from nine to twelve: what begins at ten waits."""
LADDER = (Step("push"), Step("sms", after_ms=DAY))


def test_what_went_out_on_a_step_that_is_gone_can_be_taken_back() -> None:
    """The withdrawal goes to the queue that had the action, and its decision names that channel and step."""
    long = trigger("any", lambda scope: scope.event.amount == 5, ladder=(Step("push"), Step("sms", after_ms=DAY)))
    short = trigger("any", lambda scope: scope.event.amount == 5)
    customer = Customer(ruleset(long, name="long"), recode=True)
    customer.feed(transaction("t1", 1, -5, 10))
    customer.run_to(at(1.5))
    customer.rules = ruleset(short, name="short")
    outputs = customer.feed(transaction("t2", 2, 5, 15, occurred_at=at(1.6), reversal_of="t1"))
    assert [one.channel for one in cancellations(outputs)] == ["push", "sms"]
    (decision,) = [one for one in outputs if isinstance(one, Decision)]
    assert (decision.outcome, decision.step, decision.channel) == ("cancelled", 1, "sms")


def waiting() -> Customer:
    """A customer whose first step waits for noon."""
    customer = Customer(ruleset(trigger("any", ladder=LADDER), policy=NIGHTS, name="with"), recode=True)
    assert decisions(customer.feed(transaction("t1", 1, -5, 10))) == [("deferred", "quiet_hours")]
    customer.rules = ruleset(trigger("other", lambda _: False), policy=NIGHTS, name="without")
    return customer


def test_a_candidate_that_waits_has_a_last_word_where_its_trigger_is_gone() -> None:
    """When its time comes, under its own name; nothing is sent."""
    customer = waiting()
    outputs = customer.run_to(at(1))
    assert actions(outputs) == []
    (decision,) = [one for one in outputs if isinstance(one, Decision)]
    assert (decision.trigger, decision.outcome, decision.reason) == ("any", "suppressed", "retired")
    assert (decision.occasion, decision.step, decision.trigger_version) == ("transaction:t1", 0, 0)
    assert customer.run_to(at(30)) == []


def test_a_further_step_of_a_trigger_that_is_gone_is_on_record() -> None:
    """The first went out and keeps its word; the second did not."""
    customer = Customer(ruleset(trigger("any", ladder=LADDER), name="with"), recode=True)
    customer.feed(transaction("t1", 1, -5, 10))
    customer.rules = ruleset(name="without")
    (decision,) = customer.run_to(at(2))
    assert isinstance(decision, Decision)
    assert (decision.trigger, decision.step, decision.reason) == ("any", 1, "retired")


def test_a_trigger_that_is_back_in_time_goes_on() -> None:
    """A release that is rolled back leaves no ladder behind."""
    customer = waiting()
    customer.feed(transaction("t2", 2, -5, 5, occurred_at=at(minutes=30)))
    customer.rules = ruleset(trigger("any", ladder=LADDER), policy=NIGHTS, name="with")
    assert [action.channel for action in actions(customer.run_to(at(2)))] == ["push", "sms"]


def test_what_waits_is_taken_back_where_its_trigger_is_gone() -> None:
    """A reversal is its last word."""
    customer = waiting()
    outputs = customer.feed(transaction("t2", 2, 5, 15, occurred_at=at(minutes=30), reversal_of="t1"))
    assert decisions(outputs) == [("cancelled", "reversed")]
    assert customer.run_to(at(30)) == []
