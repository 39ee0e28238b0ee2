"""Schedules and waits under ``on``: what each form means, and each mistake at its place."""

from __future__ import annotations

from datetime import time

import pytest

from tests.triggers.language.rule_texts import load, places, vary
from triggers.language.calendar import WEEKDAYS
from triggers.language.model import OnEvery
from triggers.language.reader import HOUR_MS, MINUTE_MS

CALENDAR = "covers: [2026]"
ENDS = (
    ("    events: []", '    from: "2026-03-01 10:00"\n    until: "2026-03-02 10:00"\n    events: []'),
    ("    customer: {balance: 200000}", '    until: "2026-03-20 10:00"\n    customer: {balance: 200000}'),
)


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ('{every: day, at: "09:00"}', OnEvery("day", time(9))),
        ('{every: week, on_day: friday, at: "17:30"}', OnEvery("week", time(17, 30), WEEKDAYS.index("friday"))),
        ('{every: month, on_day: 1, at: "09:00"}', OnEvery("month", time(9), 1, 1, "next", HOUR_MS)),
        ('{every: month, on_day: last, at: "09:00", roll: previous}', OnEvery("month", time(9), 31, 1, "previous")),
        ('{every: quarter, on_day: 15, at: "09:00"}', OnEvery("quarter", time(9), 15, 1)),
        ('{every: quarter, on_day: last, at: "09:00"}', OnEvery("quarter", time(9), 31, 3)),
        ('{every: quarter, on_day: 1, month: 2, at: "09:00"}', OnEvery("quarter", time(9), 1, 2)),
        ('{every: year, on_day: 5, at: "09:00"}', OnEvery("year", time(9), 5, 1)),
        ('{every: year, on_day: last, at: "09:00"}', OnEvery("year", time(9), 31, 12)),
        ('{every: year, month: 2, on_day: last, at: "09:00"}', OnEvery("year", time(9), 31, 2)),
        ('{every: day, at: "09:00", roll: none, spread: none}', OnEvery("day", time(9), roll="none", spread_ms=0)),
        ('{every: day, at: "09:00", spread: 0}', OnEvery("day", time(9), spread_ms=0)),
        ('{every: day, at: "09:00", spread: 30m}', OnEvery("day", time(9), spread_ms=30 * MINUTE_MS)),
    ],
)
def test_schedules(on: str, expected: OnEvery) -> None:
    """The next business day and an hour's spread where nothing else is said; last is the period's last day."""
    loaded = load({"good.yaml": vary(("on: transaction", f"on: {on}"), *ENDS), "calendar.yaml": CALENDAR})
    assert loaded.ruleset is not None, loaded.problems
    assert loaded.ruleset.triggers[0].on == (expected,)


@pytest.mark.parametrize(
    ("on", "column", "code", "says"),
    [
        ("{every: fortnight, on_day: 1, at: '09:00'}", 13, "E013", "expected one of day, week, month, quarter, year"),
        ("{every: month, on_day: 1}", 5, "E011", 'missing key "at"'),
        ("{every: month, at: '09:00'}", 5, "E011", 'missing key "on_day" in a schedule: every month on which day'),
        ("{every: week, at: '09:00'}", 5, "E011", "such as monday"),
        ("{every: month, on_dya: 1, at: '09:00'}", 20, "E010", 'did you mean "on_day"?'),
        ("{every: day, on_day: 1, at: '09:00'}", 18, "E018", "every day has no day to choose"),
        ("{every: week, on_day: mondey, at: '09:00'}", 27, "E013", 'did you mean "monday"?'),
        ("{every: week, on_day: 1, at: '09:00'}", 27, "E012", "expected one of monday"),
        ("{every: month, on_day: 32, at: '09:00'}", 28, "E014", "from 1 to 31"),
        ("{every: month, on_day: first, at: '09:00'}", 28, "E012", "a day of the month from 1 to 31, or last"),
        ("{every: month, month: 1, on_day: 1, at: '09:00'}", 20, "E018", "every month has none to choose"),
        ("{every: quarter, month: 4, on_day: 1, at: '09:00'}", 29, "E014", "from 1 to 3"),
        ("{every: month, on_day: 1, at: '9'}", 35, "E016", "a time of day"),
        ("{every: month, on_day: 1, at: '09:00', roll: back}", 50, "E013", "expected one of none, next, previous"),
        ("{every: month, on_day: 1, at: '09:00', spread: 2d}", 52, "E015", "outside the allowed 1m to 1d"),
        ("{on_day: 1, at: '09:00'}", 5, "E011", 'missing key "every"'),
        ("{after: behaviour.browse, within: 24h}", 5, "E011", 'missing key "unless" in a wait'),
        ("{after: browse, unless: product.opened, within: 24h}", 13, "E013", 'unknown event "browse"'),
        (
            "{after: tier.up, unless: product.opened, within: 24h}",
            13,
            "E013",
            "of the topics only, not tier.up;",
        ),
        ("{silence: tag.added, for: 24h}", 15, "E013", "takes events of the topics only, not tag.added;"),
        ("{silence: nonsense, for: 24h}", 15, "E013", "feedback.opened or product.opened"),
        ("{after: behaviour.browse, unless: product.open, within: 24h}", 39, "E013", 'did you mean "product.opened"?'),
        ("{after: behaviour.browse, unless: [profile], within: 24h}", 39, "E012", "an event such as transaction"),
        ("{after: behaviour.browse, unless: behaviour, within: 24h}", 31, "E018", "would end it at once"),
        ("{after: profile, unless: profile, within: 24h}", 22, "E018", "would end it at once"),
        ("{after: behaviour.browse, unless: profile, within: 10s}", 56, "E015", "outside the allowed 1m"),
        ("{maturity: 7d before, roll: forward}", 33, "E013", "expected one of none, next, previous"),
        ("{maturity: 3 business days before, roll: next}", 40, "E018", "leave roll out"),
        ("transaction.salery", 5, "E013", 'did you mean "salary"?'),
        ("profile.new", 5, "E013", "only behaviour, desk, feedback, maturity, transaction have"),
        ("{evry: month}", 5, "E012", "{every: month, on_day: 1, at:"),
    ],
)
def test_mistakes(on: str, column: int, code: str, says: str) -> None:
    """Each is one problem that says what would be right."""
    loaded = load({"good.yaml": vary(("on: transaction", f"on: {on}"), *ENDS), "calendar.yaml": CALENDAR})
    assert places(loaded) == [("good.yaml", 6, column, code)]
    assert says in loaded.problems[0].message


@pytest.mark.parametrize(
    "wake", ['{every: day, at: "09:00"}', "{after: behaviour.browse, unless: profile, within: 10d}"]
)
def test_no_event_is_there_when_time_wakes_the_trigger(wake: str) -> None:
    """Also not the event that began the wait: what it changed is in the customer's state."""
    changes = (("on: transaction", f"on: {wake}"), ("customer.balance <=", "event.amount <="), *ENDS)
    loaded = load({"good.yaml": vary(*changes), "calendar.yaml": CALENDAR})
    assert [problem.code for problem in loaded.problems] == ["E037"]


@pytest.mark.parametrize("on", ["behavior.browse", "[transaction, behavior.browse]"])
def test_nothing_follows_from_an_event_that_cannot_be_read(on: str) -> None:
    """It is suggested the nearest with its kind; what the expressions read of events is not held against it."""
    seen = "  seen: {count: event.outcome, over: 7d}\n  paid: {sum: event.amount, by: account, over: 7d}\n"
    changes = (
        ("on: transaction", f"on: {on}"),
        ("features:\n", f"features:\n{seen}"),
        ("when: ", "when: seen < 1 and paid < 1 and "),
    )
    loaded = load({"good.yaml": vary(*changes)})
    assert [problem.code for problem in loaded.problems if problem.severity == "error"] == ["E013"]
    assert 'did you mean "behaviour.browse"?' in loaded.problems[0].message
