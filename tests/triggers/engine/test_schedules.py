"""``every``: each period once, on its day or where a holiday moves it, at the customer's own moment."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import to_ms
from tests.support.bank import Customer, actions, at, behaviour, decisions
from tests.support.rules import DAY, HOUR, NO_LIMITS, ruleset, trigger
from triggers.engine.schedule import Every, next_day
from triggers.language.calendar import Calendar
from triggers.language.model import OnEvery, OnSilence, Policy, RuleSet

SHANGHAI = ZoneInfo("Asia/Shanghai")
NINE = time(9)


def known(wake: OnEvery, **policy: Any) -> Customer:
    """A customer first known on Monday, 2 March 2026, 10:00 in Shanghai."""
    customer = Customer(rules_of(wake, **policy), recode=True)
    customer.feed(behaviour("first", "login"))
    return customer


def rules_of(wake: OnEvery, name: str = "rules", **policy: Any) -> RuleSet:
    return ruleset(trigger("routine", on=(wake,)), policy=replace(NO_LIMITS, **policy), name=name)


def fired(customer: Customer, until: datetime) -> list[str]:
    """When the trigger fired, in the bank's time."""
    zone = customer.rules.policy.timezone
    return [f"{action.created_at.astimezone(zone):%Y-%m-%d %H:%M}" for action in actions(customer.run_to(until))]


def each(period: str, day: int = 1, **more: Any) -> OnEvery:
    return OnEvery(period, NINE, day, **{"spread_ms": 0, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wake", "expected"),
    [
        (each("month", 1), ["2026-04-01", "2026-05-01", "2026-06-01", "2026-07-01"]),
        (each("month", 1, roll="none"), ["2026-04-01", "2026-05-01", "2026-06-01", "2026-07-01"]),
        (each("month", 31), ["2026-03-31", "2026-04-30", "2026-06-01", "2026-06-30"]),  # 31 May is a Sunday
        (each("month", 31, roll="none"), ["2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30"]),
        (each("month", 31, roll="previous"), ["2026-03-31", "2026-04-30", "2026-05-29", "2026-06-30"]),
        (each("quarter", 31, month=3), ["2026-03-31", "2026-06-30"]),
        (each("quarter", 15, month=2), ["2026-05-15"]),
        (each("year", 29, month=2, roll="none"), []),
        (each("year", 4, month=4), ["2026-04-06"]),  # a Saturday
        (each("week", 4), [f"{date(2026, 3, 6) + timedelta(weeks=week)}" for week in range(17)]),
        (each("week", 0), [f"{date(2026, 3, 9) + timedelta(weeks=week)}" for week in range(17)]),
    ],
)
def test_each_period_once(wake: OnEvery, expected: list[str]) -> None:
    """From the first that is still to come, in the bank's time; to the first of July at ten."""
    assert fired(known(wake), datetime(2026, 7, 1, 2, tzinfo=UTC)) == [f"{day} 09:00" for day in expected]


def test_every_day_that_is_moved_to_a_business_day_is_every_business_day() -> None:
    """Saturday, Sunday and Monday come to one turn."""
    found = fired(known(each("day")), datetime(2026, 3, 16, 12, tzinfo=UTC))
    assert found == [f"2026-03-{day:02} 09:00" for day in (3, 4, 5, 6, 9, 10, 11, 12, 13, 16)]


def test_two_periods_that_a_holiday_moves_to_one_day_are_one_turn() -> None:
    """Two Wednesdays of one long holiday."""
    off = frozenset(date(2026, 10, day) for day in range(1, 15))
    wake = each("week", 3)
    found = fired(known(wake, calendar=Calendar(holidays=off)), datetime(2026, 10, 30, tzinfo=UTC))
    assert found[-4:] == ["2026-09-24 09:00", "2026-10-15 09:00", "2026-10-22 09:00", "2026-10-29 09:00"]


def test_a_time_that_the_clocks_skip_or_repeat_comes_once() -> None:
    """Half past two in Berlin, when the clocks change."""
    wake = replace(each("day", roll="none"), at=time(2, 30))
    customer = known(wake, timezone=ZoneInfo("Europe/Berlin"))
    found = actions(customer.run_to(datetime(2026, 3, 31, tzinfo=UTC)))
    days = [action.created_at.astimezone(ZoneInfo("Europe/Berlin")) for action in found]
    assert [day.day for day in days] == list(range(3, 32))[: len(days)]
    assert f"{days[26]:%d %H:%M}" == "29 03:30"


def test_each_customer_has_a_moment_of_its_own() -> None:
    """The same one each time, within the spread, and spread evenly."""
    wake = each("day", spread_ms=HOUR)
    every = Every("c:routine:0.day.1.1", "routine", wake, Policy())
    offsets = [every.offset(f"customer-{number}") for number in range(6000)]
    assert max(offsets) < HOUR
    by_minute = [sum(1 for offset in offsets if offset // 60_000 == minute) for minute in range(60)]
    assert 60 <= min(by_minute) <= max(by_minute) <= 150
    assert Every("other", "another", wake, Policy()).offset("customer-1") != offsets[1]
    times = [action.created_at for action in actions(known(wake).run_to(at(20)))]
    assert {(moment - times[0]).total_seconds() % 86_400 for moment in times} == {0}
    assert times[0] == datetime(2026, 3, 3, 1, tzinfo=UTC) + timedelta(milliseconds=every.offset("c1"))


def test_a_customer_known_before_its_moment_of_the_day_still_has_it_that_day() -> None:
    """At ten it is past nine; but this customer's turn is later within the spread."""
    spread = each("day", spread_ms=24 * HOUR)
    offset = Every("", "routine", spread, Policy()).offset("c1")
    assert offset > HOUR
    (first, *_) = actions(known(spread).run_to(at(1)))
    assert first.created_at == datetime(2026, 3, 2, 1, tzinfo=UTC) + timedelta(milliseconds=offset)


def test_what_an_outage_missed_is_told_once() -> None:
    """By the wall clock three days are one turn, and the next is the next day's. On history each runs in its time."""
    customer = known(each("day", roll="none"))
    late = datetime(2026, 3, 6, 5, tzinfo=UTC)
    (action,) = actions(customer.run_to(late, now=int(late.timestamp() * 1000)))
    assert (action.occasion, action.created_at) == ("every:0.day.1.1:2026-03-03", late)
    assert fired(customer, datetime(2026, 3, 8, tzinfo=UTC)) == ["2026-03-07 09:00"]
    assert len(actions(known(each("day", roll="none")).run_to(late))) == 4


def test_a_new_rule_set_neither_repeats_a_period_nor_leaves_one_out() -> None:
    """The same days at another hour, or moved by another calendar, are the same schedule."""
    wake = each("month", 1)
    for changed, policy, expected in (
        (replace(wake, at=time(12)), {}, "2026-05-01 12:00"),
        (wake, {"calendar": Calendar(holidays=frozenset({date(2026, 4, 1)}))}, "2026-05-01 09:00"),
        (
            replace(wake, roll="previous"),
            {"calendar": Calendar(holidays=frozenset({date(2026, 5, 1)}))},
            "2026-04-30 09:00",
        ),
    ):
        customer = known(wake)
        assert fired(customer, datetime(2026, 4, 1, 2, tzinfo=UTC)) == ["2026-04-01 09:00"]
        customer.rules = rules_of(changed, "next", **policy)
        customer.feed(behaviour("touch", "login", occurred_at=datetime(2026, 4, 1, 3, tzinfo=UTC)))
        assert fired(customer, datetime(2026, 5, 20, tzinfo=UTC)) == [expected]


def test_a_turn_that_is_due_when_the_rule_set_changes_is_not_lost() -> None:
    """The sweep had not come yet."""
    customer = known(each("month", 1))
    customer.rules = rules_of(each("month", 1), "next")
    outputs = customer.feed(behaviour("touch", "login", occurred_at=datetime(2026, 4, 1, 3, tzinfo=UTC)))
    assert [action.created_at for action in actions(outputs)] == [datetime(2026, 4, 1, 1, tzinfo=UTC)]


def test_other_days_are_another_schedule() -> None:
    """It first comes round after it was adopted."""
    customer = known(each("month", 1))
    assert len(fired(customer, datetime(2026, 4, 1, 2, tzinfo=UTC))) == 1
    customer.rules = rules_of(each("week", 2), "next")
    customer.feed(behaviour("touch", "login", occurred_at=datetime(2026, 4, 20, 3, tzinfo=UTC)))
    assert fired(customer, datetime(2026, 4, 30, tzinfo=UTC)) == ["2026-04-22 09:00", "2026-04-29 09:00"]
    assert [name for name in customer.state.told if name.startswith("c:")] == ["c:routine:0.week.1.2"]


def test_one_timer_stands_in_the_index() -> None:
    """However many schedules there are, a customer has one entry: its earliest."""
    rules = ruleset(trigger("a", on=(each("month"), each("day"))), trigger("b", on=(each("week"),)))
    customer = Customer(rules)
    customer.feed(behaviour("first", "login"))
    assert len(customer.state.timers) == 3
    changed, due = customer.stage.take_due_change(customer.state)
    assert changed
    assert due == int(datetime(2026, 3, 3, 1, tzinfo=UTC).timestamp() * 1000)


def test_the_entry_is_moved_when_it_is_far_too_early() -> None:
    """Who is heard of time and again is not looked up each time, and never in vain; and nothing is ever found late."""
    customer = Customer(ruleset(trigger("quiet", on=(OnSilence("behaviour", None, 30 * DAY),))))
    entries: list[float] = []
    for day in range(100):
        customer.feed(behaviour(f"b{day}", "login", occurred_at=at(day)))
        changed, due = customer.stage.take_due_change(customer.state)
        if changed:
            assert due is not None
            entries.append((due - to_ms(at())) / DAY)
        assert entries[-1] > day, "a sweep would find the entry while the customer is there"
        assert entries[-1] <= day + 30, "the silence would be noticed too late"
    assert entries == [30, 46, 62, 78, 94, 110, 126]


def test_the_entry_is_moved_whenever_it_is_too_late() -> None:
    """What is due earlier than anything before is found in time, however little that is."""
    quiet = trigger("quiet", on=(OnSilence("behaviour", None, 30 * DAY),))
    rules = ruleset(quiet, trigger("soon", on=(OnSilence("behaviour", "browse", 29 * DAY),)))
    customer = Customer(rules)
    customer.feed(behaviour("b1", "login"))
    assert customer.stage.take_due_change(customer.state) == (True, to_ms(at(30)))
    customer.feed(behaviour("b2", "browse", occurred_at=at(0.5)))
    assert customer.stage.take_due_change(customer.state) == (True, to_ms(at(29.5)))
    assert customer.stage.take_due_change(customer.state) == (False, None)


def test_the_condition_is_asked_when_the_time_comes() -> None:
    """A schedule whose condition is not true says nothing, and comes round again."""
    rules = ruleset(trigger("never", lambda _: False, on=(each("day"),)))
    customer = Customer(rules, recode=True)
    customer.feed(behaviour("first", "login"))
    assert customer.run_to(at(5)) == []
    assert customer.state.timers
    assert decisions(customer.outputs) == []


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["day", "week", "month", "quarter", "year"]),
    st.integers(1, 31),
    st.integers(1, 12),
    st.sampled_from(["none", "next", "previous"]),
    st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=60),
    st.dates(date(2026, 1, 20), date(2026, 6, 30)),
)
def test_any_schedule_names_the_days_that_a_walk_over_all_days_finds(
    period: Any, day: int, month: int, roll: Any, holidays: frozenset[date], start: date
) -> None:
    """Every day is asked whether a period's day is moved to it."""
    wake = OnEvery(
        period, NINE, day % 7 if period == "week" else day, month if period == "year" else month % 3 + 1, roll
    )
    policy = Policy(calendar=Calendar(holidays=holidays))
    every = Every("", "t", wake, policy)
    today = datetime.combine(start, time(12), tzinfo=SHANGHAI)
    settled, found = every.settled_by(int(today.timestamp() * 1000)), []
    for _ in range(8):
        turn = every.following(settled)
        settled = turn.day
        found.append(turn.on)
        assert turn.due == int(datetime.combine(turn.on, NINE, tzinfo=SHANGHAI).timestamp() * 1000)
    span = [start + timedelta(days=offset) for offset in range(-120, 9 * 366)]
    moved = {policy.calendar.roll(other, roll) for other in span if named(wake, other)}
    assert found == sorted(on for on in moved if on > start)[:8]


def named(wake: OnEvery, day: date) -> bool:
    """Whether a schedule names a day, said the other way round."""
    if wake.period == "day":
        return True
    if wake.period == "week":
        return day.weekday() == wake.day
    last = monthrange(day.year, day.month)[1]
    months = {
        "month": range(1, 13),
        "quarter": [wake.month, wake.month + 3, wake.month + 6, wake.month + 9],
        "year": [wake.month],
    }
    return day.month in months[wake.period] and (day.day == wake.day or (day.day == last and wake.day > last))


def test_the_day_after_a_day() -> None:
    """Strictly after."""
    assert next_day(each("month", 15), date(2026, 3, 15)) == date(2026, 4, 15)
    assert next_day(each("week", 0), date(2026, 3, 2)) == date(2026, 3, 9)
    assert next_day(each("year", 29, month=2), date(2026, 2, 28)) == date(2027, 2, 28)
    assert next_day(each("year", 29, month=2), date(2027, 2, 28)) == date(2028, 2, 29)
