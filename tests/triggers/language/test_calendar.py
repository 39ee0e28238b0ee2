"""Business days by the bank's calendar, against days counted one by one; the calendar that ships."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triggers
from triggers.language.calendar import Calendar, Hours, first_day
from triggers.language.loader import load_ruleset

_DAY = timedelta(days=1)
days = st.dates(date(2025, 12, 1), date(2026, 3, 31))
calendars = st.builds(
    Calendar,
    weekend=st.frozensets(st.integers(0, 6), max_size=6),
    holidays=st.frozensets(days, max_size=12),
    worked=st.frozensets(days, max_size=8),
)


def works(calendar: Calendar, day: date) -> bool:
    """Whether a day is worked, said another way."""
    off = day.weekday() in calendar.weekend or day in calendar.holidays
    return day in calendar.worked or not off


@pytest.fixture(scope="module")
def china() -> Calendar:
    """The calendar that ships."""
    loaded = load_ruleset([Path(triggers.__file__).parent / "library"])
    assert loaded.ruleset is not None
    return loaded.ruleset.policy.calendar


@settings(deadline=None)
@given(calendars, days, days)
def test_business_days_between_two_days_are_counted_one_by_one(calendar: Calendar, one: date, other: date) -> None:
    """From the first on, before the second; the other way round the same number below zero."""
    first, last = sorted((one, other))
    count = sum(works(calendar, first + n * _DAY) for n in range((last - first).days))
    assert calendar.between(first, last) == count
    assert calendar.between(last, first) == -count


@settings(deadline=None)
@given(calendars, days, st.integers(0, 12))
def test_so_many_business_days_before_and_after(calendar: Calendar, day: date, count: int) -> None:
    """Each step goes to the next day that is worked."""
    before = after = day
    for _ in range(count):
        before -= _DAY
        while not works(calendar, before):
            before -= _DAY
        after += _DAY
        while not works(calendar, after):
            after += _DAY
    assert (calendar.before(day, count), calendar.after(day, count)) == (before, after)


@settings(deadline=None)
@given(calendars, days)
def test_a_day_rolls_to_the_nearest_business_day(calendar: Calendar, day: date) -> None:
    """It stays where it is one, or where nothing is to move it."""
    rolled = {direction: calendar.roll(day, direction) for direction in ("none", "next", "previous")}  # type: ignore[arg-type]
    assert rolled["none"] == day
    assert calendar.is_business_day(day) == works(calendar, day)
    if works(calendar, day):
        assert set(rolled.values()) == {day}
    else:
        assert rolled["previous"] < day < rolled["next"]
        between = [rolled["previous"] + n * _DAY for n in range(1, (rolled["next"] - rolled["previous"]).days)]
        assert works(calendar, rolled["next"])
        assert works(calendar, rolled["previous"])
        assert not any(works(calendar, other) for other in between)


@settings(max_examples=150)
@given(calendars, days, st.integers(0, 23), st.integers(1, 24 * 8))
def test_time_on_business_days_is_counted_hour_by_hour(calendar: Calendar, day: date, hour: int, length: int) -> None:
    """Days that are not worked do not count."""
    moment = datetime.combine(day, time(hour), tzinfo=ZoneInfo("Asia/Shanghai"))
    end, left = moment, length
    while left:
        left -= works(calendar, end.date())
        end += timedelta(hours=1)
    assert calendar.when_over(moment, timedelta(hours=length)) == end


def test_dates_at_the_ends_of_time_are_counted_at_once() -> None:
    """An event may name any date; products without an end are often given the last one there is."""
    calendar = Calendar(holidays=frozenset({date(2026, 1, 1)}))
    assert calendar.between(date.min, date.max) > 2_600_000
    assert calendar.before(date.max, 3) == date(9999, 12, 28)
    assert calendar.before(date.min, 5) == date.min
    assert calendar.after(date.max, 5) == date.max
    assert calendar.roll(date.max, "next") == date.max


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2025-01-26", True),  # Sunday, worked for the Spring Festival
        ("2025-01-27", True),
        ("2025-01-28", False),
        ("2025-02-04", False),
        ("2025-02-05", True),
        ("2025-02-08", True),  # Saturday
        ("2025-10-08", False),
        ("2025-10-11", True),  # Saturday
        ("2025-10-12", False),
        ("2026-01-02", False),
        ("2026-01-04", True),  # Sunday
        ("2026-02-14", True),  # Saturday
        ("2026-02-16", False),
        ("2026-02-23", False),
        ("2026-02-24", True),
        ("2026-02-28", True),  # Saturday
        ("2026-05-09", True),  # Saturday
        ("2026-06-19", False),
        ("2026-09-20", True),  # Sunday
        ("2026-10-07", False),
        ("2026-10-08", True),
        ("2027-01-01", True),  # a year that is not covered: weekends only
        ("2027-01-02", False),
    ],
)
def test_the_calendar_that_ships(china: Calendar, day: str, worked: bool) -> None:
    """Mainland China's public holidays and adjusted working weekends of 2025 and 2026."""
    assert china.is_business_day(date.fromisoformat(day)) is worked


def test_the_business_days_of_a_year_that_ships(china: Calendar) -> None:
    """248 working days in each of 2025 and 2026: 365 less weekends and holidays, with what is worked for them."""
    assert china.covers == {2025, 2026}
    assert china.between(date(2025, 1, 1), date(2026, 1, 1)) == 248
    assert china.between(date(2026, 1, 1), date(2027, 1, 1)) == 248


def moment(*parts: int) -> datetime:
    """A time at the bank."""
    return datetime(*parts, tzinfo=ZoneInfo("Asia/Shanghai"))  # type: ignore[arg-type, misc]


def test_slots_are_the_next_open_hours() -> None:
    """Over lunch, night, weekend and holiday; the one that has begun is no offer."""
    calendar = Calendar(
        holidays=frozenset({date(2026, 3, 9)}),
        hours=(Hours(time(10), time(12)), Hours(time(14), time(15, 30))),
        desk_hours={"private": (Hours(time(9), time(17)),)},
    )
    friday = moment(2026, 3, 6, 11, 0)
    assert calendar.slots(friday, 3) == [
        moment(2026, 3, 6, 14),
        moment(2026, 3, 10, 10),
        moment(2026, 3, 10, 11),
    ]
    assert calendar.slots(friday, 2, "private") == [moment(2026, 3, 6, 12), moment(2026, 3, 6, 13)]
    assert calendar.slots(friday, 1, "vip") == [moment(2026, 3, 6, 14)]
    assert calendar.slots(moment(9999, 12, 31, 23), 2) == []


@pytest.mark.parametrize(
    ("since", "begins"),
    [
        ("today", date(2026, 5, 20)),
        ("week", date(2026, 5, 18)),
        ("month", date(2026, 5, 1)),
        ("quarter", date(2026, 4, 1)),
        ("year", date(2026, 1, 1)),
    ],
)
def test_where_a_period_begins(since: str, begins: date) -> None:
    """A week with its Monday."""
    assert first_day(since, date(2026, 5, 20)) == begins  # type: ignore[arg-type]
