"""A backtest does to each customer what a worker on the records' clock does, and its sums add up in any order."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import permutations
from random import Random
from typing import Any

from schemas.base import Record, to_ms
from schemas.encode import encode
from schemas.topics import TOPIC
from tests.support.bank import at, maturity, profile, transaction
from tests.support.rules import DAY, NO_LIMITS, ruleset, trigger
from triggers.casework.backtest import Arrival, Backtest, Cell, Tally, Would, drafts_in_shadow
from triggers.language.model import Cap, OnMaturity, OnSilence, Policy, Quiet, RuleSet, Step

TOPICS = {
    "transaction": "bank.transactions",
    "maturity": "bank.maturities",
    "profile": "bank.profiles",
    "behaviour": "bank.behaviour",
    "feedback": "bank.feedback",
}


def arrivals(records: Sequence[Any], source: int = 0) -> list[Arrival]:
    """Records as the messages of one source, from line 1."""
    return [
        Arrival(TOPIC[TOPICS[record.record_type]], record.customer_id.encode(), encode(record), source, line)
        for line, record in enumerate(records, start=1)
    ]


def backtest(rules: RuleSet, *customers: Sequence[Any], until: Any = None, **more: Any) -> Tally:
    """The sums of some customers' records."""
    times = [to_ms(record.occurred_at) for records in customers for record in records]
    until_ms = to_ms(until) if until is not None else max(times)
    run = Backtest(rules, "bank", (), until_ms=until_ms, **more)
    for records in customers:
        run.run_customer(arrivals(records))
    run.tally.close()
    return run.tally


def day(cell: Cell) -> str:
    return date.fromordinal(cell.day).isoformat()


def test_actions_are_counted_by_trigger_tier_channel_and_day() -> None:
    """The day is the bank's: 23:30 in Shanghai is still that day, though it is the next but one hour in UTC."""
    rules = ruleset(trigger("one"), trigger("two", priority=10, ladder=(Step("sms"),)))
    records = [
        transaction("t1", 1, 1, 1, occurred_at=at(hours=13.5)),  # 23:30 in Shanghai
        profile("p1", 1, tier="mid", occurred_at=at(hours=13.75)),
        transaction("t2", 2, 1, 2, occurred_at=at(hours=14.5)),
    ]
    tally = backtest(rules, records)
    assert {(cell.trigger, cell.tier, cell.channel, day(cell)): count for cell, count in tally.actions.items()} == {
        ("one", "unknown", "push", "2026-03-02"): 1,
        ("one", "mid", "push", "2026-03-03"): 1,
    }
    assert tally.suppressed == {("two", "outranked"): 2}
    assert tally.events == {"bank.transactions": 2, "bank.profiles": 1}
    assert (tally.first_ms, tally.last_ms) == (to_ms(at(hours=13.5)), to_ms(at(hours=14.5)))


def test_a_timer_before_an_event_belongs_to_the_tier_before_it() -> None:
    """The second step was sent while the customer was still in the old tier."""
    rules = ruleset(trigger("one", ladder=(Step("push"), Step("sms", after_ms=DAY))))
    records = [
        profile("p1", 1, tier="mid"),
        transaction("t1", 1, 1, 1),
        profile("p2", 2, tier="high", occurred_at=at(2)),
    ]
    tally = backtest(rules, records)
    assert {(cell.tier, cell.channel, day(cell)) for cell in tally.actions} == {
        ("mid", "push", "2026-03-02"),
        ("mid", "sms", "2026-03-03"),
    }


def test_the_clock_runs_on_to_the_end_of_the_input_and_no_further() -> None:
    """A silence that is complete when the last event of anybody comes is told; a moment earlier it is not."""
    rules = ruleset(trigger("quiet", on=(OnSilence("transaction", None, 10 * DAY),)))
    records = [transaction("t1", 1, 1, 1)]
    assert backtest(rules, records, until=at(10)).actions.total() == 1
    assert backtest(rules, records, until=at(10, milliseconds=-1)).actions.total() == 0


def test_what_cannot_be_read_or_comes_too_late_is_located() -> None:
    """The others take effect; each reason is counted, and the first places are kept in the order of the input."""
    good = transaction("t2", 2, 1, 2, occurred_at=at(30))
    messages = arrivals([good, transaction("t1", 1, 1, 1)])
    bad = [
        Arrival(TOPIC["bank.transactions"], b"c1", b'{"tenant":"bank"}', 0, 9),
        Arrival(TOPIC["bank.transactions"], b"other", encode(good), 0, 8),
        Arrival(TOPIC["bank.transactions"], None, encode(good), 0, 7),
        Arrival(TOPIC["bank.transactions"], b"c1", b"", 0, 6),
    ]
    run = Backtest(ruleset(trigger("one")), "bank", (), until_ms=to_ms(at(30)), show_errors=3)
    run.run_customer([*bad, *messages])
    run.tally.close()
    assert run.tally.errors == {
        "MISSING_FIELD": 1,
        "KEY_MISMATCH": 1,
        "MISSING_KEY": 1,
        "EMPTY_VALUE": 1,
        "TOO_LATE": 1,
    }
    assert [(one.position, one.code, one.field) for one in run.tally.located] == [
        (2, "TOO_LATE", "occurred_at"),
        (6, "EMPTY_VALUE", ""),
        (7, "MISSING_KEY", ""),
    ]
    assert run.tally.actions.total() == 1
    assert run.tally.events.total() == 2


def test_a_customer_of_whom_nothing_can_be_read_is_none() -> None:
    """It is not counted among the customers."""
    run = Backtest(ruleset(trigger("one")), "bank", (), until_ms=0)
    run.run_customer([Arrival(TOPIC["bank.transactions"], b"c1", b"[]", 0, 1)])
    assert (run.tally.customers, run.tally.contacts) == (0, {})


def test_withdrawals_are_counted_by_reason() -> None:
    """A redeemed holding takes its reminder back."""
    rules = ruleset(trigger("due", on=(OnMaturity(7),), expires_ms=7 * DAY))
    records = [
        maturity("m1", 1, "purchased", date(2026, 3, 20)),
        maturity("m2", 2, "redeemed", date(2026, 3, 20), occurred_at=at(13)),
    ]
    tally = backtest(rules, records)
    assert tally.cancelled == {("due", "redeemed"): 1}
    assert tally.actions.total() == 1


def test_what_waits_for_a_better_moment_is_counted_apart() -> None:
    """At 23:00 it waits for the morning, and goes out then: one deferral, one action of the next day."""
    quiet = Quiet(frozenset({"push"}), 22 * 60, 8 * 60)
    live, draft = trigger("live"), trigger("draft", status="draft")
    rules = drafts_in_shadow(ruleset(live, draft, policy=Policy(caps=(), consent=frozenset(), quiet=(quiet,))))
    tally = backtest(rules, [transaction("t1", 1, 1, 1, occurred_at=at(hours=13))], until=at(1))
    assert tally.deferred.total() == 1
    assert {day(cell) for cell in tally.actions} == {"2026-03-03"}
    assert [(one.trigger, one.outcome) for one in tally.shadow] == [("draft", "deferred")]
    assert tally.suppressed == {}


def test_the_customers_with_most_contacts_are_named() -> None:
    """Of equal ones the smaller id; everybody is counted by contacts."""
    rules = ruleset(trigger("one"))
    customers = [
        [transaction(f"t{n}", n, 1, n, customer_id=name) for n in range(1, count + 1)]
        for name, count in [*((f"c{n:02}", 1) for n in range(30)), ("busy", 3), ("second", 2), ("idle", 0)]
    ]
    customers[-1] = [profile("p1", 1, customer_id="idle")]
    tally = backtest(rules, *customers)
    assert [(one.customer, -one.minus_contacts, one.by_trigger) for one in tally.busiest] == [
        ("busy", 3, (("one", 3),)),
        ("second", 2, (("one", 2),)),
        *((f"c{n:02}", 1, (("one", 1),)) for n in range(8)),
    ]
    assert tally.contacts == {0: 1, 1: 30, 2: 1, 3: 1}
    assert tally.customers == 33


def test_shadow_is_counted_apart_and_changes_nothing_live() -> None:
    """The draft would be sent, would be outranked by nobody, would be capped; the live actions are as without it."""
    policy = Policy(caps=(Cap(2, 7 * DAY),), consent=frozenset())
    live = trigger("live", lambda scope: scope.event.amount > 10)
    draft = trigger("draft", status="draft", priority=90)
    rules = ruleset(live, draft, policy=policy)
    records = [transaction(f"t{n}", n, amount, 100 * n) for n, amount in enumerate((1, 20, 20, 20), start=1)]
    without, beside = backtest(rules, records), backtest(drafts_in_shadow(rules), records)
    assert without.actions == beside.actions
    assert without.suppressed == beside.suppressed == {("live", "capped"): 1}
    assert without.shadow == {}
    assert beside.shadow == {
        Would("draft", "sent", ""): 1,
        Would("draft", "sent", "live"): 2,
        Would("draft", "capped", ""): 1,
    }
    assert {cell.trigger for cell in beside.shadow_actions} == {"draft"}
    assert beside.shadow_actions.total() == 3


def test_actions_and_withdrawals_are_handed_out_in_order() -> None:
    """Decisions are not."""
    kept: list[Record] = []
    rules = ruleset(trigger("due", on=(OnMaturity(7),), expires_ms=7 * DAY), policy=NO_LIMITS)
    records = [
        maturity("m1", 1, "purchased", date(2026, 3, 20)),
        maturity("m2", 2, "redeemed", date(2026, 3, 20), occurred_at=at(13)),
    ]
    backtest(rules, records, keep=kept.append)
    assert [record.record_type for record in kept] == ["action", "cancellation"]


def sums(tally: Tally) -> list[object]:
    tally.close()
    return [getattr(tally, name) for name in Tally.__slots__ if name != "readings"]


def test_sums_are_the_same_however_the_customers_are_shared_out() -> None:
    """Every order of three parts, each customer whole in one of them."""
    random = Random(3)
    rules = drafts_in_shadow(ruleset(trigger("one", once_per_ms=DAY), trigger("two", status="draft", priority=99)))
    customers = [
        [
            transaction(f"t{n}", n, 1, n, customer_id=f"c{name}", occurred_at=at(random.random() * 20))
            for n in range(1, random.randrange(2, 8))
        ]
        for name in range(24)
    ]
    whole = sums(backtest(rules, *customers, until=at(20), show_errors=4))
    assert whole[0] == 4
    parts = [backtest(rules, *customers[part::3], until=at(20), show_errors=4) for part in range(3)]
    for order in permutations(parts):
        merged = copy.deepcopy(order[0])
        for part in order[1:]:
            merged.merge(part)
        assert sums(merged) == whole
    assert isinstance(parts[0].actions, Counter)
