"""A contact at a quiet hour waits: for how long, what becomes of it, and what it leaves on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, behaviour, cancellations, decisions, profile, transaction
from tests.support.rules import DAY, HOUR, ruleset, trigger
from triggers.language.model import Cap, OnEvent, Policy, Quiet, Step, Trigger

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = Quiet(frozenset({"push", "sms"}), 21 * 60, 8 * 60)
NOON = Quiet(frozenset({"push"}), 12 * 60, 14 * 60)


def local(text: str, zone: str = "Asia/Shanghai") -> datetime:
    """A time in the bank's time zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def customer(*triggers: Trigger, recode: bool = True, **more: Any) -> Customer:
    """A customer of a bank that is quiet at night and, by push, at noon."""
    policy = Policy(**{"caps": (), "consent": frozenset(), "quiet": (NIGHT, NOON), **more})
    return Customer(ruleset(*(triggers or (trigger("any"),)), policy=policy), recode=recode)


def at_night(person: Customer, when: str = "2026-03-02 22:40") -> list[Any]:
    """What comes of a transaction at this time."""
    return person.feed(transaction("t1", 1, 1, 1, occurred_at=local(when)))


@pytest.mark.parametrize(
    ("when", "sent"),
    [
        ("2026-03-02 20:59", "2026-03-02 20:59"),
        ("2026-03-02 21:00", "2026-03-03 08:00"),
        ("2026-03-03 00:00", "2026-03-03 08:00"),
        ("2026-03-03 07:59", "2026-03-03 08:00"),
        ("2026-03-03 08:00", "2026-03-03 08:00"),
        ("2026-03-03 12:00", "2026-03-03 14:00"),
        ("2026-03-03 14:00", "2026-03-03 14:00"),
    ],
)
def test_a_contact_at_a_quiet_hour_goes_out_when_the_hour_is_over(when: str, sent: str) -> None:
    """The hours are the bank's own, also past midnight; they begin and end on the minute."""
    person = customer()
    at_night(person, when)
    person.run_to(local("2026-03-05 00:00"))
    assert [action.created_at for action in actions(person.outputs)] == [local(sent)]


def test_a_deferral_is_on_record_with_its_moment() -> None:
    """One decision when it is put off, another when it goes out."""
    person = customer()
    (deferred,) = at_night(person)
    assert (deferred.outcome, deferred.reason, deferred.action_id) == ("deferred", "quiet_hours", None)
    assert deferred.detail == {"channel": "push", "hour": "22:40", "until": "2026-03-03T00:00:00+00:00"}
    assert decisions(person.run_to(local("2026-03-03 08:00"))) == [("sent", "sent")]


def test_what_waits_expires_as_if_it_had_not_waited() -> None:
    """The action counts from the occasion; one that would come too late is not sent, and not waited for."""
    person = customer(trigger("any", expires_ms=10 * HOUR))
    at_night(person)
    (action,) = actions(person.run_to(local("2026-03-03 08:00")))
    assert action.expires_at == local("2026-03-03 08:40")
    hasty = customer(trigger("any", expires_ms=HOUR))
    (expired,) = at_night(hasty)
    assert (expired.outcome, expired.reason) == ("suppressed", "expired")
    assert expired.detail["until"] == "2026-03-03T00:00:00+00:00"
    assert expired.detail["expires_at"] == "2026-03-02T15:40:00+00:00"
    assert hasty.state.timers == {}


def test_what_waited_too_long_for_the_system_is_not_sent() -> None:
    """On the wall clock the sweep may come late: then the action has expired."""
    person = customer(trigger("any", expires_ms=12 * HOUR))
    at_night(person)
    late = int(local("2026-03-03 10:41").timestamp() * 1000)
    outputs = person.run_to(local("2026-03-03 10:41"), now=late)
    assert decisions(outputs) == [("suppressed", "expired")]
    assert person.state.journeys == []


def test_what_waits_passes_the_gate_again() -> None:
    """Who opts out at night hears nothing in the morning; the trigger is free to fire again."""
    person = customer(trigger("any", once_per_ms=30 * DAY))
    at_night(person)
    person.feed(profile("p1", 1, consents={"push": False}, occurred_at=local("2026-03-03 02:00")))
    assert decisions(person.run_to(local("2026-03-03 08:00"))) == [("suppressed", "no_consent")]
    assert person.state.journeys == []
    person.feed(profile("p2", 2, consents={}, occurred_at=local("2026-03-03 09:00")))
    again = person.feed(transaction("t2", 2, 1, 2, occurred_at=local("2026-03-03 10:00")))
    assert decisions(again) == [("sent", "sent")]


def test_what_waits_counts_as_fired_until_then() -> None:
    """A second event of the night does not make a second contact."""
    person = customer(trigger("any", once_per_ms=30 * DAY))
    at_night(person)
    second = person.feed(transaction("t2", 2, 1, 2, occurred_at=local("2026-03-02 23:00")))
    assert decisions(second) == [("suppressed", "once_per")]


def test_what_waits_takes_the_place_of_the_others() -> None:
    """At one occasion the customer hears one thing, now or in the morning."""
    person = customer(trigger("low", priority=1, ladder=(Step("email"),)), trigger("high"))
    assert decisions(at_night(person)) == [("deferred", "quiet_hours"), ("suppressed", "outranked")]


def test_a_reversal_cancels_what_waits() -> None:
    """Nothing went out, so nothing is withdrawn; the decision says why it never comes."""
    person = customer()
    at_night(person)
    outputs = person.feed(transaction("t2", 2, -1, 0, reversal_of="t1", occurred_at=local("2026-03-03 01:00")))
    assert cancellations(outputs) == []
    assert decisions(outputs) == [("cancelled", "reversed")]
    assert person.run_to(local("2026-03-09 00:00")) == []


def test_a_later_step_of_a_ladder_waits_as_well() -> None:
    """A day after 20:00 is 20:00, which is not quiet; two hours later is."""
    person = customer(trigger("any", ladder=(Step("push"), Step("sms", 2 * HOUR), Step("push", DAY))))
    at_night(person, "2026-03-02 20:00")
    person.run_to(local("2026-03-09 00:00"))
    sent = [(action.channel, action.created_at) for action in actions(person.outputs)]
    assert sent == [
        ("push", local("2026-03-02 20:00")),
        ("sms", local("2026-03-03 08:00")),
        ("push", local("2026-03-04 08:00")),
    ]


def test_a_candidate_in_shadow_would_have_waited() -> None:
    """It says so, and waits for nothing."""
    person = customer(trigger("any", status="shadow"))
    (decision,) = at_night(person)
    assert (decision.reason, decision.detail) == ("shadow", {"would": "deferred"})
    assert person.state.timers == {}


def test_an_hour_that_the_clocks_skip_is_over_when_they_have_been_put_forward() -> None:
    """In Berlin there is no 02:30 on 29 March 2026: what waits for it comes at 03:30."""
    policy = Policy(
        caps=(), timezone=ZoneInfo("Europe/Berlin"), quiet=(Quiet(frozenset({"push"}), 22 * 60, 2 * 60 + 30),)
    )
    person = Customer(ruleset(trigger("any"), policy=policy), recode=True)
    person.feed(transaction("t1", 1, 1, 1, occurred_at=local("2026-03-29 00:00", "Europe/Berlin")))
    person.run_to(local("2026-03-30 00:00"))
    assert [action.created_at for action in actions(person.outputs)] == [local("2026-03-29 03:30", "Europe/Berlin")]


@pytest.mark.parametrize(
    ("seen", "sent"),
    # 00:15 UTC is 02:15 for the first time, 01:15 UTC for the second.
    [("2026-10-25T00:15:00", "2026-10-25T00:30:00"), ("2026-10-25T01:15:00", "2026-10-25T01:30:00")],
)
def test_an_hour_that_comes_twice_ends_twice(seen: str, sent: str) -> None:
    """In Berlin the clocks go back from 03:00 to 02:00 on 25 October 2026: what comes at 02:15 waits a quarter."""
    night = Quiet(frozenset({"push"}), 22 * 60, 2 * 60 + 30)
    person = customer(caps=(), timezone=ZoneInfo("Europe/Berlin"), quiet=(night,))
    (deferred,) = person.feed(transaction("t1", 1, 1, 1, occurred_at=datetime.fromisoformat(seen + "+00:00")))
    assert deferred.detail["until"] == sent + "+00:00"
    person.run_to(local("2026-10-26 12:00", "Europe/Berlin"))
    assert [action.created_at for action in actions(person.outputs)] == [datetime.fromisoformat(sent + "+00:00")]


_minute = st.integers(0, 24 * 60 - 1)
_quiet = st.builds(Quiet, st.sampled_from([frozenset({"push"}), frozenset({"push", "sms"})]), _minute, _minute)


def _leaves_an_hour(hours: list[Quiet]) -> bool:
    return all(any(not _is_quiet(hours, channel, minute) for minute in range(24 * 60)) for channel in ("push", "sms"))


def _is_quiet(hours: list[Quiet], channel: str, minute: int) -> bool:
    return any(
        channel in quiet.channels and (minute - quiet.begin) % 1440 < (quiet.end - quiet.begin) % 1440
        for quiet in hours
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_quiet, max_size=3).filter(_leaves_an_hour),
    st.lists(st.tuples(st.sampled_from(["browse", "login"]), st.integers(0, 20_000)), min_size=1, max_size=20),
    st.sampled_from([HOUR, 12 * HOUR, 3 * DAY]),
)
def test_nothing_is_said_at_a_quiet_hour(hours: list[Quiet], visits: list[tuple[str, int]], expires_ms: int) -> None:
    """Whatever the hours; what was put off gets one other decision, and nothing goes out after its expiry."""
    ladder = (Step("push"), Step("sms", 5 * HOUR))
    triggers = [
        trigger(kind, on=(OnEvent("behaviour", kind),), ladder=ladder, expires_ms=expires_ms)
        for kind in ("browse", "login")
    ]
    kept = customer(*triggers, recode=False, quiet=tuple(hours), caps=(Cap(4, DAY),))
    recoded = customer(*triggers, quiet=tuple(hours), caps=(Cap(4, DAY),))
    start = local("2026-03-02 00:00")
    for number, (kind, minutes) in enumerate(sorted(visits, key=lambda visit: visit[1])):
        for person in (kept, recoded):
            person.run_to(start + timedelta(minutes=minutes))
            person.feed(behaviour(f"b{number}", kind, occurred_at=start + timedelta(minutes=minutes)))
    for person in (kept, recoded):
        person.run_to(start + timedelta(days=60))
    assert kept.outputs == recoded.outputs
    for action in actions(kept.outputs):
        moment = action.created_at.astimezone(SHANGHAI)
        assert not _is_quiet(hours, action.channel, moment.hour * 60 + moment.minute)
        assert action.created_at < action.expires_at
    made = [output for output in kept.outputs if isinstance(output, Decision)]
    assert len({decision.decision_id for decision in made}) == len(made)
    deferred = [(d.trigger, d.occasion, d.step) for d in made if d.outcome == "deferred"]
    final = [(d.trigger, d.occasion, d.step) for d in made if d.outcome != "deferred"]
    assert sorted(final) == sorted(set(final))
    assert set(deferred) <= set(final)
