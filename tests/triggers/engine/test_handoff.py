"""What whoever speaks with a customer is told of the contacts before."""

from __future__ import annotations

import pytest

from schemas.decode import decode
from schemas.encode import encode
from schemas.events import DESK_CHANNELS
from schemas.topics import TOPIC, queue_of
from tests.support.bank import Customer, actions, at, feedback, transaction
from tests.support.rules import DAY, ruleset, trigger
from triggers.language.model import Step

CHANNELS = ("push", "sms", "wechat", "email", "manager", "agent", "branch")


def asked_by(*ladder: Step) -> Customer:
    """One who was asked by this ladder, a day between its steps."""
    return Customer(ruleset(trigger("asked", ladder=ladder, expires_ms=10 * DAY)), recode=True)


def test_a_person_is_told_what_was_tried_and_what_came_of_it() -> None:
    """The steps of the ladder, oldest first; one of which nothing was heard has the outcome ``none``."""
    person = asked_by(Step("push"), Step("sms", DAY), Step("manager", DAY))
    (first,) = actions(person.feed(transaction("t1", 1, 1, 1)))
    person.run_to(at(1))
    person.feed(feedback("f1", first, "opened", occurred_at=at(1.5)))
    (call,) = actions(person.run_to(at(2)))
    assert list(call.handoff) == [
        {"at": at(0).isoformat(), "trigger": "asked", "offer": "offer_asked", "channel": "push", "outcome": "opened"},
        {"at": at(1).isoformat(), "trigger": "asked", "offer": "offer_asked", "channel": "sms", "outcome": "none"},
    ]
    # As the desk reads it from its queue.
    topic = TOPIC[queue_of("manager")]
    assert decode(topic, "bank", b"c1", encode(call)) == call


def test_what_other_triggers_said_is_told_too_and_what_was_taken_back() -> None:
    """The customer has heard one bank."""
    one = trigger("one", lambda scope: scope.event.amount == 1, "event.amount", expires_ms=10 * DAY)
    two = trigger("two", lambda scope: scope.event.amount == 2, "event.amount", ladder=(Step("branch"),))
    person = Customer(ruleset(one, two), recode=True)
    person.feed(transaction("t1", 1, 1, 1))
    person.feed(transaction("t2", 2, -1, 0, reversal_of="t1", occurred_at=at(1)))
    (call,) = actions(person.feed(transaction("t3", 3, 2, 2, occurred_at=at(2))))
    assert [(told["trigger"], told["channel"], told["outcome"]) for told in call.handoff] == [
        ("one", "push", "withdrawn")
    ]


@pytest.mark.parametrize("channel", CHANNELS)
def test_only_people_are_told(channel: str) -> None:
    """A machine needs no story."""
    person = asked_by(Step("sms"), Step(channel, DAY))
    person.feed(transaction("t1", 1, 1, 1))
    (action,) = actions(person.run_to(at(1)))
    assert len(action.handoff) == (channel in DESK_CHANNELS)


def test_the_story_is_bounded() -> None:
    """The latest eight contacts, of 90 days at most."""
    person = Customer(ruleset(trigger("asked", ladder=(Step("agent"),), expires_ms=200 * DAY)), recode=True)
    for number in range(12):
        person.feed(transaction(f"t{number}", number, 1, 1, occurred_at=at(number)))
    latest = actions(person.outputs)[-1]
    assert [told["at"] for told in latest.handoff] == [at(number).isoformat() for number in range(3, 11)]
    (later,) = actions(person.feed(transaction("t99", 99, 1, 1, occurred_at=at(99))))
    assert [told["at"] for told in later.handoff] == [at(number).isoformat() for number in range(9, 12)]
