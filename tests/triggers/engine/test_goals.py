"""What a ladder is for (``goal``): reached, it ends the ladder as a sale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, behaviour, cancellations, decisions, transaction
from tests.support.rules import DAY, HOUR, NO_LIMITS, expression, ruleset, trigger
from triggers.casework.funnel import Funnel
from triggers.language.model import Attempts, Goal, OnEvent, Step, Trigger

LOGIN = OnEvent("behaviour", "login")
PURCHASE = OnEvent("transaction", "purchase")
LADDER = (Step("push"), Step("sms", after_ms=DAY))


def asked(goal: Goal | None, **more: Any) -> Trigger:
    """A trigger on a visit, with two steps."""
    return trigger("asked", on=(LOGIN,), ladder=LADDER, goal=goal, **more)


def visited(goal: Goal | None, *others: Trigger, recode: bool = True, **policy: Any) -> Customer:
    """A customer who has just had the first step."""
    person = Customer(ruleset(asked(goal), *others, policy=replace(NO_LIMITS, **policy)), recode=recode)
    assert len(actions(person.feed(behaviour("b1", "login")))) == 1
    return person


def book(person: Customer, number: int, kind: str, hours: float = 1, after: int = 90) -> list[Any]:
    """A booking of the customer."""
    return person.feed(
        transaction(f"t{number}", number, -10, after, kind=kind, occurred_at=at(hours=hours)),
    )


def test_a_booked_purchase_ends_the_ladder() -> None:
    """What is on the queue is withdrawn, what waits never comes; the event stands in the withdrawal."""
    person = visited(Goal((PURCHASE,)))
    outputs = book(person, 1, "purchase")
    assert decisions(outputs) == [("cancelled", "bought")]
    (gone,) = cancellations(outputs)
    assert (gone.reason, gone.caused_by, gone.channel) == ("bought", "t1", "push")
    assert person.run_to(at(30)) == []


@pytest.mark.parametrize("kind", ["card", "transfer"])
def test_another_booking_does_not(kind: str) -> None:
    """Nor does a purchase where no goal is named: of a booking nobody knows the product."""
    person = visited(Goal((PURCHASE,)))
    assert book(person, 1, kind) == []
    without = visited(None)
    assert book(without, 1, "purchase") == []
    for one in (person, without):
        assert [action.channel for action in actions(one.run_to(at(30)))] == ["sms"]


def test_one_of_several_events_reaches_it() -> None:
    """Any of them; of a kind without its detail, every such event."""
    goal = Goal((OnEvent("maturity", "purchased"), OnEvent("transaction", None)))
    assert decisions(book(visited(goal), 1, "card")) == [("cancelled", "bought")]


def test_a_goal_may_ask_what_holds_after_the_event() -> None:
    """The balance as the event left it, on both sides of the number; also a feature and a tier could be asked."""
    goal = Goal((OnEvent("transaction", None),), expression(lambda s: s.customer.balance >= 100, "customer.balance"))
    person = visited(goal)
    assert book(person, 1, "salary", after=99) == []
    assert decisions(book(person, 2, "salary", hours=2, after=100)) == [("cancelled", "bought")]
    assert book(person, 3, "salary", hours=3, after=100) == []


def test_an_unknown_condition_is_no_sale() -> None:
    """As anywhere: what is not known to be true does nothing."""
    person = visited(Goal((OnEvent("transaction", None),), expression(lambda _: None)))
    assert book(person, 1, "purchase") == []


def test_a_condition_that_fails_is_reported_and_ends_nothing() -> None:
    """As that of any broken rule."""
    person = visited(Goal((PURCHASE,), expression(lambda _: 1 / 0)))
    assert decisions(book(person, 1, "purchase")) == [("suppressed", "broken")]
    assert [action.channel for action in actions(person.run_to(at(30)))] == ["sms"]


def test_what_came_before_the_ladder_does_not_end_it() -> None:
    """A booking that is received late, and that was made before the customer was asked."""
    person = Customer(ruleset(asked(Goal((PURCHASE,)))), recode=True)
    person.feed(behaviour("b1", "login", occurred_at=at(1)))
    assert book(person, 1, "purchase", hours=23) == []
    assert decisions(book(person, 2, "purchase", hours=24)) == [("cancelled", "bought")]


def test_a_purchase_that_is_reversed_at_once_ends_nothing() -> None:
    """Its reversal came first: the customer bought nothing."""
    person = visited(Goal((PURCHASE,)))
    assert person.feed(transaction("t2", 2, 10, 100, occurred_at=at(hours=2), reversal_of="t1")) == []
    assert book(person, 1, "purchase") == []


def test_only_the_ladders_of_its_own_trigger_end() -> None:
    """Another trigger's go on, and what the purchase itself leads to begins."""
    thanks = trigger("thanks", on=(PURCHASE,), priority=10)
    other = trigger("other", on=(OnEvent("behaviour", "browse"),), ladder=LADDER)
    person = visited(Goal((PURCHASE,)), thanks, other)
    person.feed(behaviour("b2", "browse"))
    assert decisions(book(person, 1, "purchase")) == [("cancelled", "bought"), ("sent", "sent")]
    assert [(one.trigger, one.channel) for one in actions(person.run_to(at(30)))] == [("other", "sms")]


def test_a_candidate_that_waits_is_taken_back() -> None:
    """Who has bought before the window's end is asked nothing."""
    person = Customer(ruleset(asked(Goal((PURCHASE,))), policy=replace(NO_LIMITS, window_ms=2 * HOUR)), recode=True)
    assert person.feed(behaviour("b1", "login")) == []
    assert decisions(book(person, 1, "purchase")) == [("cancelled", "bought")]
    assert person.run_to(at(30)) == []


def test_a_goal_is_a_sale_of_the_category() -> None:
    """The attempts without a sale begin anew, as after a feedback that says bought; once, not at each event after."""
    person = visited(Goal((PURCHASE,)), attempts=Attempts(3, 90 * DAY))
    assert person.state.attempts["test"][0] == 1
    book(person, 1, "purchase")
    assert person.state.attempts == {}
    person.feed(behaviour("b2", "login", occurred_at=at(hours=2)))
    assert person.state.attempts["test"][0] == 1


def test_the_funnel_counts_it_as_bought() -> None:
    """Where something had gone out. What was bought before that is no success of the contact."""
    quick = visited(Goal((PURCHASE,)))
    book(quick, 1, "purchase")
    waited = Customer(ruleset(asked(Goal((PURCHASE,))), policy=replace(NO_LIMITS, window_ms=2 * HOUR)))
    waited.feed(behaviour("b1", "login"))
    book(waited, 1, "purchase")
    idle = visited(Goal((PURCHASE,)))
    idle.run_to(at(30))
    for person, sent, bought in ((quick, 1, 1), (waited, 0, 0), (idle, 1, 0)):
        funnel = Funnel(ZoneInfo("Asia/Shanghai"))
        funnel.add_customer([one for one in person.outputs if isinstance(one, Decision)], {})
        assert (funnel.total.candidates, funnel.total.sent, funnel.total.bought) == (1, sent, bought)
