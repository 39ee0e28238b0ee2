"""A ladder that is under way when another rule set comes, which has cut it, or has its trigger no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, behaviour, cancellations, decisions, transaction
from tests.support.rules import DAY, HOUR, NO_LIMITS, ruleset, trigger
from triggers.language.model import OnEvent, Quiet, RuleSet, Step

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


def test_a_trigger_that_is_back_in_time_goes_on() -> None:
    """A release that is rolled back before the customer was heard of leaves no trace."""
    customer = waiting()
    customer.rules = ruleset(trigger("any", ladder=LADDER), policy=NIGHTS, name="with")
    assert [action.channel for action in actions(customer.run_to(at(2)))] == ["push", "sms"]


GONE = ruleset(trigger("other", lambda _: False), policy=NIGHTS, name="without")
SHADOW = ruleset(trigger("any", lambda _: False, ladder=LADDER, status="shadow"), policy=NIGHTS, name="shadow")
OTHER_RULES = pytest.mark.parametrize("rules", [GONE, SHADOW], ids=["gone", "in shadow"])


@OTHER_RULES
def test_what_waits_is_taken_back_when_the_customer_is_heard_of(rules: RuleSet) -> None:
    """Under the rule set that has its trigger no more, or in shadow; back again, the trigger begins anew."""
    customer = waiting()
    customer.rules = rules
    outputs = customer.feed(transaction("t2", 2, -5, 5, occurred_at=at(minutes=30)))
    assert decisions(outputs) == [("cancelled", "retired")]
    assert outputs[0].ruleset == rules.hash
    customer.rules = ruleset(trigger("any", ladder=LADDER), policy=NIGHTS, name="with")
    assert customer.run_to(at(2)) == []
    assert decisions(customer.feed(transaction("t3", 3, -5, 0, occurred_at=at(2, hours=3)))) == [("sent", "sent")]


@OTHER_RULES
@pytest.mark.parametrize("swept", [True, False])
def test_what_is_on_a_queue_is_withdrawn_and_the_next_step_never_comes(rules: RuleSet, swept: bool) -> None:
    """Also where a timer alone touches the customer. What has expired needs no word."""
    policy = replace(NIGHTS, quiet=())
    customer = Customer(
        ruleset(trigger("any", ladder=LADDER, expires_ms=3 * DAY), policy=policy, name="on"), recode=True
    )
    (sent,) = actions(customer.feed(transaction("t1", 1, -5, 10)))
    customer.rules = rules
    if swept:
        outputs = customer.run_to(at(1))
        assert decisions(outputs) == [("suppressed", "retired"), ("cancelled", "retired")]
        assert [one.step for one in outputs if isinstance(one, Decision)] == [1, 0]
    else:
        outputs = customer.feed(transaction("t2", 2, -5, 5, occurred_at=at(hours=1)))
        assert decisions(outputs) == [("cancelled", "retired")]
    (gone,) = cancellations(outputs)
    assert (gone.action_id, gone.channel, gone.reason) == (sent.action_id, "push", "retired")
    assert gone.caused_by == rules.hash
    assert customer.run_to(at(30)) == []


def test_the_decision_says_nothing_of_another_customer() -> None:
    """A worker runs one customer after the other: what woke the trigger of the one before is not told of this one."""
    customer = waiting()
    customer.rules = SHADOW
    customer.stage._run.woken_by = {"any": "tag.added rich"}
    (decision,) = customer.feed(transaction("t2", 2, -5, 5, occurred_at=at(minutes=30)))
    assert isinstance(decision, Decision)
    assert (decision.reason, decision.detail) == ("retired", {})


@OTHER_RULES
def test_a_ladder_that_is_over_is_not_ended_again(rules: RuleSet) -> None:
    """Its last message has expired: another rule set has nothing to say of it."""
    customer = Customer(ruleset(trigger("any"), name="on"), recode=True)
    customer.feed(transaction("t1", 1, -5, 10))
    customer.run_to(at(10))
    customer.rules = rules
    assert customer.feed(transaction("t2", 2, -5, 5, occurred_at=at(10))) == []


@OTHER_RULES
def test_the_ladders_of_other_triggers_go_on(rules: RuleSet) -> None:
    """Only that of the trigger that is not live any more ends."""
    stays = trigger("stays", ladder=(Step("sms"), Step("push", after_ms=DAY)), priority=90)
    both = ruleset(trigger("any", on=(OnEvent("behaviour"),), ladder=LADDER), stays, name="both")
    customer = Customer(both, recode=True)
    customer.feed(transaction("t1", 1, -5, 10))
    customer.feed(behaviour("b1", "login"))
    customer.rules = ruleset(*rules.triggers, stays, name="left")
    outputs = customer.run_to(at(2))
    assert [(one.trigger, one.channel) for one in actions(outputs)] == [("stays", "push")]


def test_a_candidate_of_a_window_is_taken_back_as_well() -> None:
    """It waits for its window's end, and its trigger is in shadow before that."""
    policy = replace(NO_LIMITS, window_ms=HOUR)
    customer = Customer(ruleset(trigger("any"), policy=policy, name="on"), recode=True)
    assert customer.feed(transaction("t1", 1, -5, 10)) == []
    customer.rules = replace(SHADOW, policy=policy)
    outputs = customer.feed(transaction("t2", 2, -5, 5, occurred_at=at(minutes=30)))
    assert decisions(outputs) == [("cancelled", "retired")]
    assert customer.run_to(at(1)) == []


def test_a_reversal_changes_nothing_of_what_is_retired() -> None:
    """That it is retired was its last word."""
    customer = waiting()
    outputs = customer.feed(transaction("t2", 2, 5, 15, occurred_at=at(minutes=30), reversal_of="t1"))
    assert decisions(outputs) == [("cancelled", "retired")]
    assert customer.run_to(at(30)) == []
