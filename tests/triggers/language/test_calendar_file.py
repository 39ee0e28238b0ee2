"""``calendar.yaml``: what it may say, and each mistake at its place."""

from __future__ import annotations

from datetime import date, time

import pytest

from tests.triggers.language.rule_texts import GOOD, load, places
from triggers.language.calendar import Calendar, Hours


def calendar_of(text: str) -> Calendar:
    """The calendar of a file without mistakes."""
    loaded = load({"good.yaml": GOOD, "calendar.yaml": text})
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset.policy.calendar


def test_a_calendar_says_when_the_bank_works() -> None:
    """Days alone and spans, weekend days that are worked, hours for all and for a desk."""
    found = calendar_of(
        "weekend: [friday, saturday]\n"
        'hours: [{from: "09:00", to: "12:00"}, {from: "14:00", to: "17:00"}]\n'
        'desk_hours: {vip: {from: "08:00", to: "20:00"}}\n'
        "slot: 30m\n"
        "holidays: [2026-01-01, {from: 2026-12-30, to: 2027-01-02, name: Year's end}]\n"
        "working_days: [2026-01-03, 2026-12-31]\n"
    )
    assert found == Calendar(
        weekend=frozenset({4, 5}),
        holidays=frozenset(
            {date(2026, 1, 1), date(2026, 12, 30), date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 2)}
        ),
        worked=frozenset({date(2026, 1, 3), date(2026, 12, 31)}),
        covers=frozenset({2026}),
        hours=(Hours(time(9), time(12)), Hours(time(14), time(17))),
        desk_hours={"vip": (Hours(time(8), time(20)),)},
        slot_minutes=30,
    )


def test_an_empty_calendar_knows_weekends_only() -> None:
    """It covers no year."""
    assert calendar_of("{}") == Calendar()
    assert calendar_of("weekend: []").is_business_day(date(2026, 3, 1))


def test_the_years_covered_may_be_stated() -> None:
    """A year may have no holiday at all, and still be known."""
    assert calendar_of("covers: [2026, 2027]\nholidays: [2026-01-01]").covers == {2026, 2027}


@pytest.mark.parametrize(
    ("text", "line", "column", "code", "says"),
    [
        (
            "holidays: [2026-01-01, {from: 2025-12-31, to: 2026-01-02}]",
            1,
            24,
            "E018",
            "2026-01-01 is stated as a holiday already on line 1",
        ),
        ("holidays: [{from: 2026-01-03, to: 2026-01-01}]", 1, 35, "E018", "ends before it begins on 2026-01-03"),
        ("holidays: [{from: 2026-01-01, to: 2026-03-01}]", 1, 35, "E014", "at most 31 days"),
        ("holidays: [2026-02-30]", 1, 12, "E016", 'the day "2026-02-30" does not exist'),
        ("holidays: [1 January]", 1, 12, "E016", "expected a day such as 2026-03-02"),
        ("holidays: [{frm: 2026-01-01, to: 2026-01-02}]", 1, 13, "E010", 'did you mean "from"?'),
        ("holidays: 2026-01-01", 1, 11, "E012", "a list of holidays"),
        ("covers: [2025]\nholidays: [2026-01-01]", 2, 12, "E018", "covers does not name the year 2026"),
        ("covers: [soon]", 1, 10, "E012", "a whole number"),
        ("working_days: [2026-03-03]", 1, 16, "E018", "2026-03-03 is a Tuesday and no holiday"),
        ("working_days: [2026-03-07, 2026-03-07]", 1, 28, "E018", "a working day already on line 1"),
        ("weekend: [saturnday]", 1, 11, "E013", 'did you mean "saturday"?'),
        (
            "weekend: [monday, tuesday, wednesday, thursday, friday, saturday, sunday]",
            1,
            10,
            "E018",
            "at least one business day",
        ),
        ('hours: {from: "17:00", to: "09:00"}', 1, 28, "E018", "closes after it opens at 17:00"),
        ('hours: {from: "09:00"}', 1, 8, "E011", 'missing key "to"'),
        ('hours: {from: nine, to: "17:00"}', 1, 15, "E016", 'a time of day such as "09:00"'),
        (
            'hours: [{from: "09:00", to: "12:00"}, {from: "11:00", to: "13:00"}]',
            1,
            39,
            "E018",
            "in order, without overlap",
        ),
        ('desk_hours: {vipp: {from: "09:00", to: "17:00"}}', 1, 14, "E010", 'did you mean "vip"?'),
        ("slot: 1m", 1, 7, "E015", "outside the allowed 5m"),
        ("slot: 9h", 1, 1, "E018", "fits in none of the opening hours"),
        ("holiday: []", 1, 1, "E010", 'did you mean "holidays"?'),
    ],
)
def test_mistakes(text: str, line: int, column: int, code: str, says: str) -> None:
    """Each is one problem, at the value that is wrong."""
    loaded = load({"good.yaml": GOOD, "calendar.yaml": text})
    assert places(loaded)[:1] == [("calendar.yaml", line, column, code)]
    assert says in loaded.problems[0].message
    assert len({problem.line for problem in loaded.problems}) == 1
