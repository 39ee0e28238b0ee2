"""Quiet hours know the bank's calendar: weekends, holidays, and weekend days that are worked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triggers
from tests.support.bank import Customer, actions, decisions, transaction
from tests.support.casework import FIRES, SILENT, load_trigger, trigger_text
from tests.support.rules import DAY, ruleset, trigger
from tests.triggers.language.rule_texts import GOOD
from triggers.language.calendar import Calendar
from triggers.language.loader import load_documents
from triggers.language.model import Policy, Quiet, Step

CHINA = (Path(triggers.__file__).parent / "library" / "calendar.yaml").read_text("utf-8")
DESK = frozenset({"manager"})
NIGHT = Quiet(DESK, 18 * 60, 9 * 60)
CLOSED = Quiet(DESK, 0, 24 * 60, "closed")
"""The Spring Festival of 2026 is from Sunday, 15 February to Monday the 23rd; the Saturday before is worked."""


def local(text: str) -> datetime:
    """A time in the bank's time zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)


def calendar() -> Calendar:
    """The shipped one."""
    return load_trigger(trigger_text(FIRES, SILENT), calendar=CHINA)[0].policy.calendar


def customer(*quiet: Quiet, expires_ms: int = 30 * DAY, ladder: tuple[Step, ...] = (Step("manager"),)) -> Customer:
    """A customer whose manager has these quiet hours."""
    policy = Policy(caps=(), consent=frozenset(), quiet=quiet or (NIGHT, CLOSED), calendar=calendar())
    return Customer(ruleset(trigger("any", ladder=ladder, expires_ms=expires_ms), policy=policy), recode=True)


@pytest.mark.parametrize(
    ("when", "sent"),
    [
        ("2026-02-14 17:59", "2026-02-14 17:59"),
        ("2026-02-14 18:00", "2026-02-24 09:00"),
        ("2026-02-15 10:00", "2026-02-24 09:00"),
        ("2026-02-23 23:59", "2026-02-24 09:00"),
        ("2026-02-24 08:59", "2026-02-24 09:00"),
        ("2026-02-24 09:00", "2026-02-24 09:00"),
        ("2026-02-27 18:00", "2026-02-28 09:00"),
        ("2026-03-06 18:00", "2026-03-09 09:00"),
        ("2026-03-07 00:00", "2026-03-09 09:00"),
    ],
)
def test_a_desk_is_not_asked_on_closed_days(when: str, sent: str) -> None:
    """Over the night, the weekend and nine days of holidays; a Saturday that is worked is a day like others."""
    person = customer()
    person.feed(transaction("t1", 1, 1, 1, occurred_at=local(when)))
    person.run_to(local("2026-04-01 00:00"))
    assert [action.created_at for action in actions(person.outputs)] == [local(sent)]


@pytest.mark.parametrize(("days", "sent"), [(9, False), (10, True)])
def test_what_expires_before_the_desk_opens_is_told_at_once(days: int, sent: bool) -> None:
    """From Saturday morning, the 14th at 19:00, to Tuesday, the 24th at 9:00 it is nine days and fourteen hours."""
    person = customer(expires_ms=days * DAY)
    found = person.feed(transaction("t1", 1, 1, 1, occurred_at=local("2026-02-14 19:00")))
    assert decisions(found) == [("deferred", "quiet_hours") if sent else ("suppressed", "expired")]
    (decision,) = found
    assert decision.detail["until"] == "2026-02-24T01:00:00+00:00"
    assert bool(actions(person.run_to(local("2026-03-01 00:00")))) is sent


def test_the_decision_names_the_closed_day() -> None:
    """As the bank's calendar has it."""
    (decision,) = customer().feed(transaction("t1", 1, 1, 1, occurred_at=local("2026-02-17 10:00")))
    assert decision.detail == {
        "channel": "manager",
        "hour": "10:00",
        "day": "2026-02-17, closed",
        "until": "2026-02-24T01:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("quiet", "when", "sent"),
    [
        (Quiet(DESK, 12 * 60, 14 * 60, "closed"), "2026-03-06 12:00", "2026-03-06 12:00"),
        (Quiet(DESK, 12 * 60, 14 * 60, "closed"), "2026-03-07 12:00", "2026-03-07 14:00"),
        (Quiet(DESK, 12 * 60, 14 * 60, "open"), "2026-03-06 13:59", "2026-03-06 14:00"),
        (Quiet(DESK, 12 * 60, 14 * 60, "open"), "2026-03-07 12:00", "2026-03-07 12:00"),
        (Quiet(DESK, 22 * 60, 7 * 60, "open"), "2026-03-07 06:00", "2026-03-07 07:00"),
        (Quiet(DESK, 22 * 60, 7 * 60, "open"), "2026-03-09 06:00", "2026-03-09 06:00"),
        (Quiet(DESK, 0, 24 * 60, "open"), "2026-03-09 06:00", "2026-03-14 00:00"),
    ],
)
def test_hours_may_be_of_closed_or_open_days_alone(quiet: Quiet, when: str, sent: str) -> None:
    """What goes past midnight belongs to the day on which it began."""
    person = customer(quiet)
    person.feed(transaction("t1", 1, 1, 1, occurred_at=local(when)))
    person.run_to(local("2026-04-01 00:00"))
    assert [action.created_at for action in actions(person.outputs)] == [local(sent)]


def test_a_channel_that_is_closed_too_long_gives_way_to_the_next() -> None:
    """As one that is quiet at night does."""
    person = customer(expires_ms=DAY, ladder=(Step("manager", instead=("push",)),))
    (action,) = actions(person.feed(transaction("t1", 1, 1, 1, occurred_at=local("2026-02-17 10:00"))))
    assert action.channel == "push"


_quiets = st.builds(
    lambda begin, end, days: Quiet(DESK, begin * 60, end * 60, days),
    st.integers(0, 23),
    st.integers(0, 23),
    st.sampled_from(["all", "open", "closed"]),
).filter(lambda quiet: quiet.begin != quiet.end)


@settings(max_examples=150, deadline=None)
@given(st.lists(_quiets, min_size=1, max_size=3), st.booleans(), st.integers(0, 60 * 24 * 60))
def test_nothing_goes_out_at_a_quiet_moment_and_none_waits_longer_than_it_must(
    hours: list[Quiet], closed: bool, minutes: int
) -> None:
    """Against a model that asks minute by minute."""
    quiet = (*hours, CLOSED) if closed else tuple(hours)
    begin = int(local("2026-02-01 00:00").timestamp()) // 60 + minutes
    known = calendar()

    def is_quiet(minute: int) -> bool:
        moment = datetime.fromtimestamp(minute * 60, ZoneInfo("Asia/Shanghai"))
        today, now = moment.date(), moment.hour * 60 + moment.minute
        yesterday = today.fromordinal(today.toordinal() - 1)
        return any(
            (one.begin < one.end and one.begin <= now < one.end and one.begins_on(today, known))
            or (one.begin > one.end and now >= one.begin and one.begins_on(today, known))
            or (one.begin > one.end and now < one.end and one.begins_on(yesterday, known))
            for one in quiet
        )

    allowed = next((minute for minute in range(begin, begin + 30 * 24 * 60) if not is_quiet(minute)), None)
    person = customer(*quiet, expires_ms=29 * DAY)
    person.feed(transaction("t1", 1, 1, 1, occurred_at=datetime.fromtimestamp(begin * 60, UTC)))
    person.run_to(datetime.fromtimestamp((begin + 30 * 24 * 60) * 60, UTC))
    sent = [int(action.created_at.timestamp()) // 60 for action in actions(person.outputs)]
    assert sent == ([] if allowed is None or allowed - begin >= 29 * 24 * 60 else [allowed])


OPEN = "{channels: [push], days: open}"
NOON = "{channels: [push], from: '12:00', to: '20:00'}"


def read(text: str, **beside: Any) -> Any:
    """A policy's quiet hours, and the mistakes in it but for a calendar without holidays."""
    loaded = load_documents({"good.yaml": GOOD, "policy.yaml": text} | {f"{k}.yaml": v for k, v in beside.items()})
    found = [(p.line, p.column, p.code) for p in loaded.problems if p.file == "policy.yaml" and p.code != "W119"]
    return loaded.ruleset.policy.quiet if loaded.ruleset else (), found


def test_days_alone_are_whole_days() -> None:
    """With hours they are these hours of such days."""
    text = "quiet: [{channels: [manager], days: closed}, {channels: [manager], days: open, from: '18:00', to: '09:00'}]"
    assert read(text) == ((CLOSED, Quiet(DESK, 18 * 60, 9 * 60, "open")), [])


@pytest.mark.parametrize(
    ("text", "calendar", "expected"),
    [
        ("{channels: [push], days: holidays}", "", (1, 34, "E013")),
        ("{channels: [push]}", "", (1, 9, "E011")),
        ("{channels: [push], days: closed, from: '18:00'}", "", (1, 9, "E011")),
        ("{channels: [push], days: closed}, {channels: [push], days: open}", "", (1, 43, "E018")),
        ("{channels: [push], days: open}", "weekend: []", (1, 9, "E018")),
        ("{channels: [push], days: open}, {channels: [push], from: '00:00', to: '23:59'}", "", None),
        (f"{OPEN}, {{channels: [push], from: '20:00', to: '12:00'}}, {NOON}", "", (1, 89, "E018")),
        (f"{OPEN}, {{channels: [push], from: '20:00', to: '11:59'}}, {NOON}", "", None),
    ],
)
def test_hours_that_leave_none_are_a_mistake(text: str, calendar: str, expected: tuple[int, int, str] | None) -> None:
    """On open and on closed days together; a week without closed days has the open ones alone."""
    found = read(f"quiet: [{text}]", **({"calendar": calendar} if calendar else {}))[1]
    assert found[:1] == ([] if expected is None else [expected])


def test_closed_days_ask_for_a_calendar_with_holidays() -> None:
    """Else only weekends are closed, and nobody would notice before the Spring Festival."""
    text = "quiet:\n  - {channels: [push], from: '21:00', to: '08:00'}\n  - {channels: [manager], days: closed}\n"
    for beside, expected in (({}, [("policy.yaml", 3, 5, "W119")]), ({"calendar.yaml": CHINA}, [])):
        problems = load_documents({"good.yaml": GOOD, "policy.yaml": text, **beside}).problems
        assert [(p.file, p.line, p.column, p.code) for p in problems] == expected
