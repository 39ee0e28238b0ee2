"""What stops a ladder, and what is withdrawn from which queue: a purchase, an opt-out, an exclusion, a named event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from schemas.actions import Cancellation
from tests.support.bank import (
    Customer,
    actions,
    at,
    behaviour,
    cancellations,
    decisions,
    maturity,
    profile,
    transaction,
)
from tests.support.rules import DAY, HOUR, NO_LIMITS, ruleset, trigger
from triggers.language.model import Attempts, Offer, OnEvent, OnMaturity, Policy, Quiet, Step, Trigger

LADDER = (Step("push"), Step("sms", 2 * DAY), Step("wechat", 2 * DAY))
KINDS: Mapping[str, Any] = {"offer_deposit": "deposit", "offer_fund": "fund", "offer_service": "service"}
DUE = date(2026, 9, 1)


def offering(name: str, *, until: tuple[OnEvent, ...] = (), **more: Any) -> Trigger:
    """A trigger that offers a deposit, a fund or a service on each transaction of 1."""
    more = {"ladder": LADDER, "expires_ms": 10 * DAY, "category": name, **more}
    found = trigger(name, lambda scope: scope.event.amount == 1, "event.amount", **more)
    return replace(found, action=replace(found.action, until=until))


def person_with(*triggers: Trigger, policy: Policy = NO_LIMITS) -> Customer:
    """One who has had push and SMS of each ladder, three days in."""
    offers = {name: Offer(name, kind) for name, kind in KINDS.items()}
    person = Customer(replace(ruleset(*triggers, policy=policy), offers=offers), recode=True)
    person.feed(transaction("t1", 1, 1, 1))
    person.run_to(at(3))
    return person


def withdrawn(outputs: list[Any]) -> list[tuple[str, str, str, str]]:
    """Trigger, channel, reason and cause of each withdrawal."""
    return [(gone.trigger, gone.channel, gone.reason, gone.caused_by) for gone in cancellations(outputs)]


def test_a_purchase_ends_what_offered_that_kind_of_product() -> None:
    """On each queue that had one of its actions; nothing more of it comes."""
    person = person_with(offering("deposit"))
    outputs = person.feed(maturity("m1", 1, "purchased", DUE, occurred_at=at(3)))
    assert withdrawn(outputs) == [("deposit", "push", "bought", "m1"), ("deposit", "sms", "bought", "m1")]
    assert decisions(outputs) == [("cancelled", "bought")]
    assert person.run_to(at(30)) == []


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("fund", maturity("m1", 1, "purchased", DUE, occurred_at=at(3))),
        ("service", maturity("m1", 1, "purchased", DUE, occurred_at=at(3))),
        ("deposit", maturity("m1", 1, "purchased", DUE, occurred_at=at(-1))),
        ("deposit", maturity("m1", 1, "corrected", DUE, occurred_at=at(3))),
    ],
)
def test_another_purchase_ends_nothing(name: str, record: Any) -> None:
    """Of another kind, from before the offer, or none at all."""
    person = person_with(offering(name))
    assert person.feed(record) == []
    assert len(actions(person.run_to(at(30)))) == 1


def test_what_a_purchase_itself_led_to_goes_on() -> None:
    """Thanks for a deposit, with another deposit in them."""
    thanks = offering("deposit", on=(OnEvent("maturity", "purchased"),))
    thanks = replace(thanks, when=None, clauses=())
    person = person_with(thanks)
    assert len(actions(person.feed(maturity("m1", 1, "purchased", DUE, occurred_at=at(3))))) == 1
    assert len(actions(person.run_to(at(30)))) == 2


def test_a_purchase_of_what_was_offered_counts_as_its_sale() -> None:
    """The attempts in its category begin anew, and no other's."""
    policy = Policy(caps=(), consent=frozenset(), attempts=Attempts(9, 90 * DAY))
    person = person_with(offering("deposit"), policy=policy)
    person.state.attempts["other"] = (3, 0)
    person.feed(maturity("m1", 1, "purchased", DUE, occurred_at=at(3)))
    assert person.state.attempts == {"other": (3, 0)}


def test_a_redemption_withdraws_the_reminders_of_the_holding_alone() -> None:
    """And the ladder of the reminder ends."""
    reminder = trigger("due", on=(OnMaturity(7),), ladder=LADDER, expires_ms=10 * DAY)
    person = Customer(ruleset(reminder, offering("fund")), recode=True)
    person.feed(maturity("m1", 1, "purchased", date(2026, 3, 12), occurred_at=at(0)))
    person.feed(transaction("t1", 1, 1, 1))
    person.run_to(at(3.5))
    outputs = person.feed(maturity("m2", 2, "redeemed", date(2026, 3, 12), occurred_at=at(3.5)))
    assert {(gone.trigger, gone.reason) for gone in cancellations(outputs)} == {("due", "redeemed")}
    assert {action.trigger for action in actions(person.run_to(at(30)))} == {"fund"}


def test_a_reversal_withdraws_every_step_that_went_out() -> None:
    """Each on its own queue."""
    person = person_with(offering("service"))
    outputs = person.feed(transaction("t2", 2, -1, 0, reversal_of="t1", occurred_at=at(3)))
    assert withdrawn(outputs) == [("service", "push", "reversed", "t2"), ("service", "sms", "reversed", "t2")]
    assert person.run_to(at(30)) == []


def test_an_opt_out_takes_back_what_is_on_that_queue_and_the_ladder_goes_on_by_another() -> None:
    """At once; once."""
    person = person_with(offering("service"))
    outputs = person.feed(profile("p1", 1, consents={"sms": False}, occurred_at=at(3)))
    assert withdrawn(outputs) == [("service", "sms", "opted_out", "p1")]
    (decision,) = [found for found in outputs if not isinstance(found, Cancellation)]
    assert (decision.outcome, decision.reason, decision.step, decision.channel) == ("cancelled", "opted_out", 1, "sms")
    assert person.feed(profile("p2", 2, consents={"sms": False}, occurred_at=at(3.1))) == []
    assert [action.channel for action in actions(person.run_to(at(30)))] == ["wechat"]


def test_what_was_withdrawn_is_not_withdrawn_again() -> None:
    """The text message went with its channel, the push goes with the purchase."""
    person = person_with(offering("deposit"))
    person.feed(profile("p1", 1, consents={"sms": False}, occurred_at=at(3)))
    outputs = person.feed(maturity("m1", 1, "purchased", DUE, occurred_at=at(3.1)))
    assert withdrawn(outputs) == [("deposit", "push", "bought", "m1")]


def test_a_consent_that_is_needed_and_no_longer_on_record_closes_the_channel_too() -> None:
    """A profile is whole: what it leaves out is not consented to."""
    policy = Policy(caps=(), consent=frozenset({"sms"}))
    person = Customer(ruleset(offering("service"), policy=policy), recode=True)
    person.feed(profile("p1", 1, consents={"sms": True}))
    person.feed(transaction("t1", 1, 1, 1))
    person.run_to(at(3))
    assert withdrawn(person.feed(profile("p2", 2, occurred_at=at(3)))) == [("service", "sms", "opted_out", "p2")]


def test_an_opt_out_holds_for_what_waits_as_well() -> None:
    """At its moment the step that waited finds its channel closed, and the next one comes in its time."""
    night = Quiet(frozenset({"sms"}), 9 * 60, 20 * 60)
    policy = Policy(caps=(), consent=frozenset(), quiet=(night,))
    person = Customer(ruleset(offering("service"), policy=policy), recode=True)
    person.feed(transaction("t1", 1, 1, 1))
    assert decisions(person.run_to(at(2.1))) == [("deferred", "quiet_hours")]
    person.feed(profile("p1", 1, consents={"sms": False, "push": True}, occurred_at=at(2.2)))
    outputs = person.run_to(at(30))
    assert decisions(outputs) == [("suppressed", "no_consent"), ("sent", "sent")]
    assert [action.channel for action in actions(outputs)] == ["wechat"]


def test_an_opt_out_of_everything_that_was_sent_ends_a_ladder_without_another_step() -> None:
    """There is nothing left that could run out."""
    person = person_with(offering("service", ladder=(Step("push"),)))
    person.feed(profile("p1", 1, consents={"push": False}, occurred_at=at(3)))
    assert person.state.journeys[0].cancelled


@pytest.mark.parametrize("field", ["blacklisted", "employee"])
def test_an_exclusion_stops_everything_at_once(field: str) -> None:
    """What went out, too."""
    person = person_with(offering("service"), offering("fund", on=(OnEvent("transaction"),), priority=40))
    outputs = person.feed(profile("p1", 1, **{field: True}, occurred_at=at(3)))
    assert {(channel, reason) for _, channel, reason, _ in withdrawn(outputs)} == {
        ("push", "excluded"),
        ("sms", "excluded"),
    }
    assert person.run_to(at(30)) == []


def test_what_has_expired_needs_no_withdrawal() -> None:
    """The ladder ends all the same."""
    person = person_with(offering("deposit", expires_ms=HOUR))
    outputs = person.feed(maturity("m1", 1, "purchased", DUE, occurred_at=at(3)))
    assert withdrawn(outputs) == []
    assert decisions(outputs) == [("cancelled", "bought")]
    assert person.run_to(at(30)) == []


UNTIL = (OnEvent("behaviour", "login"), OnEvent("transaction", "salary"))


@pytest.mark.parametrize(
    ("record", "ends"),
    [
        (behaviour("b1", "login", occurred_at=at(3)), True),
        (transaction("t2", 2, 9, 10, kind="salary", occurred_at=at(3)), True),
        (behaviour("b1", "browse", occurred_at=at(3)), False),
        (transaction("t2", 2, 9, 10, kind="card", occurred_at=at(3)), False),
        (behaviour("b1", "login", occurred_at=at(-0.1)), False),
    ],
)
def test_an_event_that_the_action_names_ends_its_ladder(record: Any, *, ends: bool) -> None:
    """Not one of another kind, nor one from before it began; and no other trigger's ladder."""
    person = person_with(offering("service", until=UNTIL), offering("fund", priority=40))
    other = person_with(offering("fund"))
    outputs = person.feed(record)
    assert withdrawn(outputs) == (
        [("service", channel, "ended", record.event_id) for channel in ("push", "sms")] if ends else []
    )
    assert len(actions(person.run_to(at(30)))) == (0 if ends else 1)
    assert withdrawn(other.feed(record)) == []


def test_the_event_that_began_a_ladder_does_not_end_it() -> None:
    """Also where it is named."""
    person = person_with(offering("service", until=(OnEvent("transaction"),)))
    assert len(actions(person.outputs)) == 2
    assert withdrawn(person.feed(transaction("t2", 2, 9, 10, occurred_at=at(3)))) != []
