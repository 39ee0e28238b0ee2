"""Feedback on the steps of a ladder: late, repeated, out of order, about nothing; and what a failure leads to."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from schemas.dead_letter import Reason
from schemas.decode import Rejected
from tests.support.bank import Customer, actions, at, cancellations, decisions, feedback, transaction
from tests.support.rules import DAY, HOUR, NO_LIMITS, ruleset, trigger
from triggers.desk.records import request_id
from triggers.engine.state import CustomerState
from triggers.language.model import OnDerived, OnEvent, Policy, Step

AGAIN = (Step("push"), Step("push", 2 * DAY, "opened"), Step("sms", 2 * DAY, "opened"))


def customer(*ladder: Step, expires_ms: int = 10 * DAY, policy: Policy = NO_LIMITS, others: tuple = ()) -> Customer:  # type: ignore[type-arg]
    """One who has just had the first step."""
    asked = trigger("asked", ladder=ladder or AGAIN, expires_ms=expires_ms)
    person = Customer(ruleset(asked, *others, policy=policy), recode=True)
    person.feed(transaction("t1", 1, 1, 1))
    return person


def channels(person: Customer) -> list[tuple[str, float]]:
    """The channels that were used, each with the day."""
    return [(action.channel, (action.created_at - at(0)).total_seconds() / 86400) for action in actions(person.outputs)]


def test_nobody_opens_and_the_ladder_goes_from_push_to_push_to_sms() -> None:
    """Two days after each step."""
    person = customer()
    person.run_to(at(30))
    assert channels(person) == [("push", 0), ("push", 2), ("sms", 4)]


def test_feedback_on_an_action_that_nobody_had_is_set_aside() -> None:
    """With a reason of its own: nothing wakes, nothing is noted."""
    person = customer(others=(trigger("hears", on=(OnEvent("feedback"),)),))
    (sent,) = actions(person.outputs)
    (refused,) = person.feed(feedback("f1", sent, "opened", action_id="none", occurred_at=at(1)))
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.field) == (Reason.UNKNOWN_ACTION, "action_id")
    # The same event, mended and sent again, counts.
    outputs = person.feed(feedback("f1", sent, "opened", occurred_at=at(1)))
    assert [action.trigger for action in actions(outputs)] == ["hears"]


@pytest.mark.parametrize("channel", ["manager", "agent", "branch"])
def test_people_may_speak_with_a_customer_without_an_action(channel: str) -> None:
    """A call of their own counts as any, and no ladder has to do with it."""
    person = customer(others=(trigger("hears", on=(OnEvent("feedback"),)),))
    (sent,) = actions(person.outputs)
    outputs = person.feed(feedback("f1", sent, "answered", action_id="talk:7", channel=channel, occurred_at=at(1)))
    assert [action.trigger for action in actions(outputs)] == ["hears"]
    assert person.state.journeys[0].outcome == ""


@pytest.mark.parametrize("action_id", ["own-call", "talk:", "talk", "7talk:1"])
@pytest.mark.parametrize("channel", ["manager", "agent", "branch"])
def test_a_wrong_id_of_people_is_set_aside(channel: str, action_id: str) -> None:
    """As on any channel: only what says that it is a talk of their own is one. The reason says how."""
    person = customer(others=(trigger("hears", on=(OnEvent("feedback"),)),))
    (sent,) = actions(person.outputs)
    (refused,) = person.feed(feedback("f1", sent, "bought", action_id=action_id, channel=channel, occurred_at=at(1)))
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.field) == (Reason.UNKNOWN_ACTION, "action_id")
    assert refused.problem.endswith("has an id that begins with talk:")
    assert person.state.contacted == 0


@pytest.mark.parametrize("channel", ["push", "sms"])
def test_a_talk_is_of_people(channel: str) -> None:
    """A message has an action, whatever its id says; so has what a desk asks of its own people."""
    person = customer()
    (sent,) = actions(person.outputs)
    for action_id in ("talk:7", "desk:7"):
        (refused,) = person.feed(
            feedback("f1", sent, "bought", action_id=action_id, channel=channel, occurred_at=at(1))
        )
        assert isinstance(refused, Rejected)
        assert refused.reason == Reason.UNKNOWN_ACTION


@pytest.mark.parametrize("channel", ["manager", "branch"])
def test_what_becomes_of_a_request_to_people_is_no_contact(channel: str) -> None:
    """A manager who answers a request has not spoken with the customer; it is not set aside either."""
    person = customer(others=(trigger("hears", on=(OnEvent("feedback"),)),))
    (sent,) = actions(person.outputs)
    asked = request_id("bank", "c1", "handover")
    assert person.feed(feedback("f1", sent, "answered", action_id=asked, channel=channel, occurred_at=at(1))) == []
    assert person.state.contacted == 0
    person.feed(feedback("f2", sent, "answered", action_id="talk:7", channel=channel, occurred_at=at(1)))
    assert person.state.contacted == int(at(1).timestamp() * 1000)


@pytest.mark.parametrize(
    "action_id",
    [
        "desk:7",
        "desk:",
        "desk:.",
        request_id("bank", "c2", "handover"),
        request_id("other", "c1", "handover"),
        request_id("bank", "c1", "handover")[:-1],
        request_id("bank", "c1", "handover").replace("desk:", "desk:0"),
    ],
)
def test_an_id_that_no_desk_gave_is_set_aside(action_id: str) -> None:
    """Mistyped, or of another customer or another bank: what begins as a request's id need not be one."""
    person = customer()
    (sent,) = actions(person.outputs)
    refused = person.feed(feedback("f1", sent, "answered", action_id=action_id, channel="manager", occurred_at=at(1)))
    assert refused == [
        Rejected(Reason.UNKNOWN_ACTION, "action_id", "no desk has asked anybody for something under this id")
    ]


def test_feedback_from_another_channel_is_set_aside() -> None:
    """What went out by push was not answered by e-mail."""
    person = customer()
    (sent,) = actions(person.outputs)
    (refused,) = person.feed(feedback("f1", sent, "opened", channel="email", occurred_at=at(1)))
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.field) == (Reason.OTHER_CHANNEL, "channel")
    assert person.state.journeys[0].outcome == ""


def test_feedback_from_the_future_is_set_aside() -> None:
    """By the wall clock, as any event."""
    person = customer()
    (sent,) = actions(person.outputs)
    now = int(at(1).timestamp() * 1000)
    (refused,) = person.feed(feedback("f1", sent, "opened", occurred_at=at(1, hours=2)), now)
    assert isinstance(refused, Rejected)
    assert refused.reason == Reason.FROM_THE_FUTURE
    assert person.state.journeys[0].outcome == ""


@pytest.mark.parametrize("order", sorted(permutations(["delivered", "opened", "clicked"])))
def test_outcomes_may_come_in_any_order_and_more_than_once(order: tuple[str, ...]) -> None:
    """The best counts, once: for the ladder and for what is learned of the channel."""
    person = customer()
    (sent,) = actions(person.outputs)
    for turn in range(2):
        for number, outcome in enumerate(order):
            person.feed(feedback(f"f{outcome}", sent, outcome, occurred_at=at(1)))
            person.feed(feedback(f"g{turn}{number}", sent, outcome, occurred_at=at(1)))
    journey = person.state.journeys[0]
    assert (journey.outcome, journey.sent[0].outcome) == ("clicked", "clicked")
    assert person.state.channel_scores == {"push": (2_000_000, int(at(1).timestamp() * 1000))}
    assert actions(person.run_to(at(30))) == []


def test_an_answer_from_before_the_next_step_that_came_after_it_withdraws_it() -> None:
    """Had it come in time, the second push would not have gone out; nothing further does."""
    person = customer()
    (first,) = actions(person.outputs)
    (second,) = actions(person.run_to(at(2)))
    outputs = person.feed(feedback("f1", first, "opened", occurred_at=at(1.9)))
    assert [(gone.action_id, gone.channel, gone.reason) for gone in cancellations(outputs)] == [
        (second.action_id, "push", "answered_late")
    ]
    assert decisions(outputs) == [("cancelled", "answered_late")]
    assert person.feed(feedback("f2", first, "clicked", occurred_at=at(1.95))) == []
    assert actions(person.run_to(at(30))) == []


def test_an_answer_to_the_first_step_after_the_second_went_out_only_ends_the_ladder() -> None:
    """The second was right when it went out."""
    person = customer()
    (first,) = actions(person.outputs)
    person.run_to(at(2))
    assert person.feed(feedback("f1", first, "opened", occurred_at=at(2.1))) == []
    assert actions(person.run_to(at(30))) == []


def test_feedback_after_the_end_counts_and_withdraws_nothing() -> None:
    """The action had expired and the ladder was over: the outcome is noted, and that is all."""
    person = customer(expires_ms=HOUR)
    person.run_to(at(5))
    last = actions(person.outputs)[-1]
    assert person.feed(feedback("f1", last, "bought", occurred_at=at(20))) == []
    assert person.state.journeys[0].outcome == "bought"


@pytest.mark.parametrize("outcome", ["bought", "refused"])
def test_a_sale_and_a_refusal_end_the_ladder_at_once(outcome: str) -> None:
    """What else of it is on a queue is withdrawn there; the action that was answered is not."""
    person = customer(Step("push"), Step("sms", 2 * DAY), Step("manager", 2 * DAY))
    person.run_to(at(2))
    first, second = actions(person.outputs)
    outputs = person.feed(feedback("f1", second, outcome, occurred_at=at(3)))
    assert [(gone.action_id, gone.channel, gone.reason) for gone in cancellations(outputs)] == [
        (first.action_id, "push", outcome)
    ]
    assert decisions(outputs) == [("cancelled", outcome)]
    assert person.run_to(at(30)) == []


def test_a_refusal_with_nothing_left_to_stop_leaves_no_decision() -> None:
    """The one action there was has been answered."""
    person = customer(Step("push"))
    (sent,) = actions(person.outputs)
    assert person.feed(feedback("f1", sent, "refused", occurred_at=at(1))) == []


@pytest.mark.parametrize(
    ("following", "when"),
    [
        (Step("sms", 2 * DAY, "opened"), 0.5),  # another channel: at once
        (Step("push", 2 * DAY, "opened"), 2),  # the same one: it may work in two days
        (Step("push", 2 * DAY, "opened", instead=("sms",)), 0.5),  # one of two: the other, at once
    ],
)
def test_a_failed_delivery_is_not_waited_for(following: Step, when: float) -> None:
    """The customer was not reached, so the next channel is used now."""
    person = customer(Step("push"), following)
    (sent,) = actions(person.outputs)
    person.feed(feedback("f1", sent, "failed", occurred_at=at(0.5)))
    person.run_to(at(30))
    assert channels(person)[1:] == [("push" if when == 2 else "sms", when)]


def test_a_failure_that_comes_after_a_success_changes_nothing() -> None:
    """It was opened: whoever says that it failed is wrong or late."""
    person = customer(Step("push"), Step("sms", 2 * DAY, "clicked"))
    (sent,) = actions(person.outputs)
    person.feed(feedback("f1", sent, "opened", occurred_at=at(0.2)))
    assert person.feed(feedback("f2", sent, "failed", occurred_at=at(0.5))) == []


def test_a_failure_of_an_earlier_step_does_not_hurry_the_ladder() -> None:
    """The later one may have been read, also where it is the last."""
    lost = trigger("lost", on=(OnDerived("action.exhausted"),))
    for ladder in ((Step("push"), Step("sms", 2 * DAY), Step("wechat", 2 * DAY)), (Step("push"), Step("sms", 2 * DAY))):
        person = customer(*ladder, others=(lost,))
        (first,) = actions(person.outputs)
        person.run_to(at(2))
        assert person.feed(feedback("f1", first, "failed", occurred_at=at(2.5))) == []


def test_a_failed_last_step_exhausts_the_ladder_at_once() -> None:
    """Nobody will answer what did not arrive."""
    lost = trigger("lost", on=(OnDerived("action.exhausted"),))
    person = customer(Step("push"), others=(lost,))
    (sent,) = actions(person.outputs)
    outputs = person.feed(feedback("f1", sent, "failed", occurred_at=at(0.5)))
    assert [(action.trigger, action.created_at) for action in actions(outputs)] == [("lost", at(0.5))]


def test_a_step_that_the_gate_refuses_is_passed_over() -> None:
    """The next one comes in its time, and the end is that of what went out."""
    lost = trigger("lost", on=(OnDerived("action.exhausted"),))
    policy = Policy(caps=(), consent=frozenset({"sms"}))
    person = customer(
        Step("push"), Step("sms", 2 * DAY), Step("wechat", 2 * DAY), Step("sms", DAY), policy=policy, others=(lost,)
    )
    person.run_to(at(60))
    assert channels(person) == [("push", 0), ("wechat", 4), ("push", 14)]
    assert [found for found in decisions(person.outputs) if found[0] == "suppressed"] == [
        ("suppressed", "no_consent")
    ] * 2


def test_the_same_feedback_leads_to_the_same_state_whether_or_not_it_is_repeated() -> None:
    """A notifier that sends everything twice changes nothing."""
    once, twice = customer(), customer()
    for person, times in ((once, 1), (twice, 2)):
        (sent,) = actions(person.outputs)
        for outcome in ("delivered", "opened"):
            for _ in range(times):
                person.feed(feedback(f"f{outcome}", sent, outcome, occurred_at=at(1)))
    assert once.stage.encode(once.state) == twice.stage.encode(twice.state)


def test_a_state_from_before_steps_had_outcomes_is_read() -> None:
    """What was not written then has its default."""
    person = customer()
    data = person.stage.encode(person.state)
    sections = msgspec.msgpack.decode(data[1:])
    written = CustomerState.__struct_fields__.index("channel_scores")
    journeys = sections[CustomerState.__struct_fields__.index("journeys")]
    assert [len(sent) for sent in journeys[0][-5]] == [7]
    journeys[0][-5] = [sent[:5] for sent in journeys[0][-5]]
    old = person.stage.decode("c1", data[:1] + msgspec.msgpack.encode(sections[:written]))
    assert old.journeys == person.state.journeys
    assert (old.channel_scores, old.unanswered, old.channels_left) == ({}, {}, None)
