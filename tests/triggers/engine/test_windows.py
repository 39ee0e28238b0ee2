"""Every function over every kind of window, by customer and by account, against samples looked through one by one.

Rule files are read, events come in any order within the lateness rule, some are reversed; each evaluation must see
what a list of all events so far says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bank import Customer, actions, transaction
from triggers.language.loader import load_documents
from triggers.language.model import RuleSet

RULE = """\
trigger: probe
version: 1
title: Shows a feature
owner: tests
status: live
on: transaction
features:
{FEATURES}
when: event.amount > 0
action:
  offer: none
  category: none
  complexity: simple
  priority: 1
  expires: 1h
  ladder: [push]
  message: {template: t, {FIELDS}}
tests:
  - {name: fires, events: [], expect: [{at: "2026-01-01 10:00"}]}
  - {name: silent, events: [], expect: []}
"""
WINDOWS = ("1h", "36h", "7d", "today", "week", "month", "quarter", "year")
FLOWS = ("sum", "count", "max", "min", "mean", "first", "last", "distinct")
LEVELS = ("max", "min", "first", "last", "distinct", "daily_mean")
BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")


@cache
def rules_of(features: tuple[tuple[str, str], ...], zone: ZoneInfo) -> RuleSet:
    """A rule set whose one trigger shows features, each with a name, at every transaction."""
    text = RULE.replace("{FEATURES}", "\n".join(f"  {name}: {feature}" for name, feature in features))
    loaded = load_documents(
        {
            "probe.yaml": text.replace("{FIELDS}", ", ".join(f"{name}: {name}" for name, _ in features)),
            "policy.yaml": "caps: []\nconsent: []",
            "calendar.yaml": f"timezone: {zone.key}",
        }
    )
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


# --- the naive model -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Booking:
    """A transaction as the model knows it. ``booked`` is its place in its account's own sequence."""

    name: str
    account: str
    at: datetime
    amount: int
    booked: int


def begin_of(window: str, now: datetime, zone: ZoneInfo) -> datetime:
    """Where a window that ends now begins."""
    if window[0].isdigit():
        return now - timedelta(**{{"h": "hours", "d": "days"}[window[-1]]: int(window[:-1])})
    day = now.astimezone(zone).date()
    first = {
        "today": day,
        "week": day - timedelta(days=day.weekday()),
        "month": date(day.year, day.month, 1),
        "quarter": date(day.year, {1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 4, 7: 7, 8: 7, 9: 7}.get(day.month, 10), 1),
        "year": date(day.year, 1, 1),
    }[window]
    return datetime(first.year, first.month, first.day, tzinfo=zone)


def flow_value(function: str, samples: list[tuple[datetime, int]], window: str, now: datetime, zone: ZoneInfo) -> Any:
    """The function over the samples in the window. A length of time leaves its beginning out, a period has it."""
    begin = begin_of(window, now, zone)
    exact = window[0].isdigit()
    found = [value for at, value in samples if (at > begin if exact else at >= begin) and at <= now]
    return _function(function, found)


def level_value(
    function: str, steps: list[tuple[datetime, Decimal]], window: str, now: datetime, zone: ZoneInfo
) -> Any:
    """The function over the values that were in force in the window. ``steps`` say what holds from when on."""
    begin = begin_of(window, now, zone)
    before = [step for step in steps if step[0] <= begin]
    inside = [step for step in steps if begin < step[0] <= now]
    in_force = before[-1:] + inside
    if function != "daily_mean":
        return _function(function, [value for _, value in in_force])
    if not in_force:
        return None
    spans = [(max(begin, at), value) for at, value in in_force]
    if now <= spans[0][0]:
        return spans[-1][1]
    ends = [at for at, _ in spans[1:]] + [now]
    weighted = sum(
        (value * int((end - at) / timedelta(milliseconds=1)) for (at, value), end in zip(spans, ends, strict=True)),
        Decimal(0),
    )
    return weighted / int((now - spans[0][0]) / timedelta(milliseconds=1))


def _function(function: str, values: list[Any]) -> Any:
    if function == "count":
        return len(values)
    if function == "distinct":
        return len(set(values))
    if function == "sum":
        return sum(values)
    if not values:
        return None
    return {
        "max": max,
        "min": min,
        "first": lambda found: found[0],
        "last": lambda found: found[-1],
        "mean": lambda found: Decimal(sum(found)) / len(found),
    }[function](values)


# --- the comparison -------------------------------------------------------------------------------------------------

# About the days on which the clocks change in Berlin, the end of a quarter, and an hour at a time: many ties.
hours = st.integers(0, 24 * 12)
bookings = st.lists(st.tuples(st.sampled_from(["a1", "a2"]), hours, st.integers(1, 5)), min_size=1, max_size=14)
within_a_week = st.lists(
    st.tuples(st.just("a1"), st.integers(0, 150), st.integers(1, 5)),
    min_size=1,
    max_size=14,
    unique_by=lambda booking: booking[1],
)
FIRST_DAY = datetime(2026, 3, 24, 23, 0, tzinfo=UTC)


def _in_order(drawn: list[tuple[str, int, int]]) -> list[Booking]:
    """The bookings with names, in the order of their times, each account's own sequence rising."""
    ordered = sorted(drawn, key=lambda booking: booking[1])
    return [
        Booking(f"t{index}", account, FIRST_DAY + timedelta(hours=hour), amount, index)
        for index, (account, hour, amount) in enumerate(ordered)
    ]


def _record(booking: Booking, after: int, **more: Any) -> Any:
    fields = {"account_id": booking.account, "occurred_at": booking.at, **more}
    return transaction(booking.name, booking.booked + 1, booking.amount, after, **fields)


def _shown(customer: Customer, record: Any) -> dict[str, Decimal | None]:
    """The features at a record, by name."""
    (action,) = actions(customer.feed(record))
    return {name: Decimal(text) if text else None for name, text in action.fields.items()}


def _close(found: Decimal | None, expected: Any) -> bool:
    """Equal; a mean has more digits than either side keeps."""
    if found is None or expected is None:
        return found is expected
    return abs(found - Decimal(expected)) < Decimal("1e-12")


@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=20, deadline=None)
@given(bookings, st.sampled_from([SHANGHAI, BERLIN]), st.data())
def test_flows(window: str, drawn: list[Any], zone: ZoneInfo, data: st.DataObject) -> None:
    """Every function, of the customer and of the account. Late events see, at their own time, what belongs before them;
    what was reversed is in no window any more."""
    wanted = [(function, by) for function in FLOWS for by in ("customer", "account")]
    rules = rules_of(
        tuple(
            (f"{function}_{by}", f"{{{function}: event.amount, over: {window}, by: {by}}}") for function, by in wanted
        ),
        zone,
    )
    arrivals = data.draw(st.permutations(_in_order(drawn)), label="arrivals")
    customer, here, newest = Customer(rules), list[Booking](), FIRST_DAY
    for place, booking in enumerate(arrivals):
        if booking.at < newest - timedelta(days=7):
            continue  # beyond the lateness rule: set aside, unless its sequence is new
        newest = max(newest, booking.at)
        here.append(booking)
        shown = _shown(customer, _record(booking, 1000))
        for function, by in wanted:
            known = sorted(
                (other for other in here if by == "customer" or other.account == booking.account),
                key=lambda other: (other.at, here.index(other)),
            )
            expected = flow_value(function, [(other.at, other.amount) for other in known], window, booking.at, zone)
            assert _close(shown[f"{function}_{by}"], expected), (function, by)
        if data.draw(st.integers(0, 5), label="reversed") == 0:
            here.remove(booking)
            back = replace(booking, name=f"r{booking.name}", booked=1000 + place)
            customer.feed(_record(back, 1000, reversal_of=booking.name, direction="debit"))


@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=20, deadline=None)
@given(bookings, st.sampled_from([SHANGHAI, BERLIN]))
def test_levels(window: str, drawn: list[Any], zone: ZoneInfo) -> None:
    """Every function, of the customer and of the account. What held at the window's beginning counts until the first
    change."""
    names = {"customer": "customer.balance", "account": "account.balance"}
    wanted = [(function, by) for function in LEVELS for by in names]
    rules = rules_of(
        tuple(
            (f"{function}_{by}", f"{{{function}: {names[by]}, over: {window}, by: {by}}}") for function, by in wanted
        ),
        zone,
    )
    customer = Customer(rules)
    balances: dict[str, int] = {}
    steps: dict[str, list[tuple[datetime, Decimal]]] = {"a1": [], "a2": [], "": []}
    for booking in _in_order(drawn):
        account = booking.account
        # Becoming known is no inflow: an account begins, a moment before, with what it held.
        opening = booking.at - timedelta(milliseconds=1)
        if account not in balances:
            balances[account] = 100
            steps[account].append((opening, Decimal(100)))
            if not steps[""]:
                steps[""].append((opening, Decimal(100)))
        balances[account] += booking.amount
        steps[account].append((booking.at, Decimal(balances[account])))
        steps[""].append((booking.at, Decimal(sum(balances.values()))))
        shown = _shown(customer, _record(booking, balances[account]))
        for function, by in wanted:
            of = steps["" if by == "customer" else account]
            expected = level_value(function, of, window, booking.at, zone)
            assert _close(shown[f"{function}_{by}"], expected), (function, by)


@pytest.mark.parametrize("function", LEVELS)
@settings(max_examples=25, deadline=None)
@given(within_a_week, st.sampled_from(WINDOWS), st.data())
def test_late_records_of_a_level_are_placed_where_they_belong(
    function: str, drawn: list[Any], window: str, data: st.DataObject
) -> None:
    """Once all records are here, however they came, the account's balance of each moment is that of its records."""
    booked = _in_order(drawn)
    rules = rules_of((("f", f"{{{function}: account.balance, over: {window}, by: account}}"),), SHANGHAI)
    balance, records, steps = 100, [], [(booked[0].at - timedelta(milliseconds=1), Decimal(100))]
    for booking in booked:
        balance += booking.amount
        records.append(_record(booking, balance))
        steps.append((booking.at, Decimal(balance)))
    customer = Customer(rules, recode=True)
    customer.feed(records[0])
    for record in data.draw(st.permutations(records[1:])):
        customer.feed(record)
    last = Booking("last", "a1", max(booking.at for booking in booked) + timedelta(hours=3), 1, 500)
    steps.append((last.at, Decimal(balance + 1)))
    expected = level_value(function, steps, window, last.at, SHANGHAI)
    assert _close(_shown(customer, _record(last, balance + 1))["f"], expected)


@pytest.mark.parametrize(
    ("window", "moments", "counts"),
    [
        # Berlin puts its clocks forward on Sunday, 29 March 2026, and back on Sunday, 25 October.
        (
            "today",
            ["2026-03-28T22:59+00:00", "2026-03-28T23:00+00:00", "2026-03-29T21:59+00:00", "2026-03-29T22:00+00:00"],
            [1, 1, 2, 1],
        ),
        (
            "today",
            ["2026-10-24T21:59+00:00", "2026-10-24T22:00+00:00", "2026-10-25T22:59+00:00", "2026-10-25T23:00+00:00"],
            [1, 1, 2, 1],
        ),
        ("week", ["2026-03-29T21:59+00:00", "2026-03-29T22:00+00:00", "2026-04-05T21:59+00:00"], [1, 1, 2]),
        ("month", ["2026-03-31T21:59+00:00", "2026-03-31T22:00+00:00", "2026-04-30T21:59+00:00"], [1, 1, 2]),
        ("quarter", ["2026-06-30T21:59+00:00", "2026-06-30T22:00+00:00", "2026-09-30T21:59+00:00"], [1, 1, 2]),
        ("year", ["2026-12-31T22:59+00:00", "2026-12-31T23:00+00:00"], [1, 1]),
    ],
)
def test_a_period_begins_at_midnight_of_the_bank(window: str, moments: list[str], counts: list[int]) -> None:
    """Midnight itself is part of the day that it begins, also where a day has 23 or 25 hours."""
    customer = Customer(rules_of((("f", f"{{count: true, over: {window}}}"),), BERLIN), recode=True)
    for number, (moment, expected) in enumerate(zip(moments, counts, strict=True)):
        record = transaction(f"t{number}", number, 1, 1, occurred_at=datetime.fromisoformat(moment))
        assert _shown(customer, record)["f"] == expected


def test_a_late_event_sees_its_own_window_whole() -> None:
    """Five days late, it looks back over thirty days of its own."""
    customer = Customer(rules_of((("f", "{sum: event.amount, over: 30d}"),), SHANGHAI), recode=True)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    for number in range(36):
        customer.feed(transaction(f"t{number}", number, 1, 1, occurred_at=start + timedelta(days=number)))
    late = transaction("late", 1, 1, 1, account_id="a2", occurred_at=start + timedelta(days=30, hours=1))
    assert _shown(customer, late)["f"] == 31


def test_a_condition_on_the_day_is_asked_each_day() -> None:
    """Also where its other half reads a kind of event alone, which is decided once for all events of that kind."""
    kind = 'event.kind == "salary" or business_days_until("2026-03-09") < 4'
    text = RULE.replace("{FEATURES}", f"  f: {{count: true, where: '{kind}', over: 7d}}").replace("{FIELDS}", "f: f")
    text = text.replace("when: event.amount > 0", f"when: 'event.amount > 0 and ({kind})'")
    loaded = load_documents({"probe.yaml": text, "policy.yaml": "caps: []", "calendar.yaml": "covers: [2026]"})
    assert loaded.ruleset is not None, loaded.problems
    customer = Customer(loaded.ruleset, recode=True)
    fired = [
        bool(
            actions(customer.feed(transaction(f"t{day}", day, 1, 1, occurred_at=datetime(2026, 3, day, 4, tzinfo=UTC))))
        )
        for day in range(2, 7)
    ]
    assert fired == [False, False, True, True, True]
