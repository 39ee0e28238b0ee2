"""What the engine decides once for many events is what it would decide for each of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import from_ms, to_ms
from tests.support.bank import Customer, at, profile, transaction
from triggers.engine import plan as plans
from triggers.engine.evaluation import _day_around
from triggers.engine.seen import Seen, pack_seen
from triggers.language.loader import load_ruleset

RULES = Path(__file__).resolve().parents[2] / "benchmarks" / "rules"
KINDS = ("card", "transfer", "salary", "redemption", "other")


def life(seed: int) -> Iterator[Any]:
    """A customer's transactions of every direction and kind, also between own accounts."""
    rng = random.Random(seed)
    yield profile("p", 1, occurred_at=at(0), tier="high", consents={"sms": True})
    balance = 60_000
    for number in range(1, 60):
        kind = rng.choice(KINDS)
        amount = rng.choice([50, 6_000, 30_000]) * rng.choice([1, -1])
        balance += amount
        fields = {"kind": kind, "own_account": rng.random() < 0.1, "occurred_at": at(number)}
        yield transaction(f"t{number}", number, amount, balance, **fields)


@pytest.mark.parametrize("seed", range(5))
def test_leaving_out_what_kinds_and_flags_decide_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outputs and the same state as where every condition is evaluated for every event."""
    rules = load_ruleset([RULES]).ruleset
    assert rules is not None
    quick = Customer(rules)
    outputs = [quick.feed(record) for record in life(seed)]
    monkeypatch.setattr(plans, "decides", lambda *_: False)
    thorough = Customer(rules)
    assert [thorough.feed(record) for record in life(seed)] == outputs
    assert thorough.stage.encode(thorough.state) == quick.stage.encode(quick.state)
    assert any(outputs)


def test_a_card_payment_concerns_few_triggers() -> None:
    """What asks for a credit or a salary is not evaluated for it; what waits to be armed again is."""
    rules = load_ruleset([RULES]).ruleset
    assert rules is not None
    plan = plans.Plan(rules)
    payment = transaction("t", 1, -10, 100, kind="card")
    possible = [trigger.id for trigger in plan.woken("transaction", None).possible.of(payment)]
    assert possible == ["balance_drop", "threshold_up", "threshold_down", "idle_money", "many_payments"]


def test_a_trigger_that_waits_to_be_armed_is_asked_at_every_event() -> None:
    """Whatever the event is: only its condition to fire may be left out."""
    rules = load_ruleset([RULES]).ruleset
    assert rules is not None
    salary = next(trigger for trigger in rules.triggers if trigger.id == "salary_arrived")
    payment = transaction("t", 1, -10, 100, kind="card")
    assert plans.Woken([salary], "transaction").possible.of(payment) == []
    armed = replace(salary, rearm=salary.when)
    assert plans.Woken([armed], "transaction").possible.of(payment) == [armed]


def test_an_event_is_seen_by_its_whole_key() -> None:
    """Bytes that lie across two fields of the remembered rows are no key."""
    seen = Seen()
    seen.add(0x1122334455667788, 0x0102030405060708, 10**12)
    assert 0x1122334455667788 in seen
    assert int.from_bytes(seen.rows[4:12], "little") not in seen
    assert 0x0102030405060708 not in seen


@given(st.lists(st.integers(0, 40), min_size=1, max_size=40), st.integers(0, 30), st.booleans())
def test_what_no_repeat_can_reach_is_forgotten(times: list[int], lateness: int, in_order: bool) -> None:
    """All of it and nothing else, and the rest stays in the order in which it came."""
    seen = Seen(newest=max(times))
    came = list(enumerate(sorted(times) if in_order else times))
    seen.rows += b"".join(pack_seen(key, moment) for key, moment in came)
    seen.prune(lateness)
    kept = [pack_seen(key, moment) for key, moment in came if moment >= seen.newest - lateness]
    assert seen.rows == b"".join(kept)


def test_an_hour_in_which_a_day_begins_is_of_two_days() -> None:
    """Midnight in India is half past six in London."""
    midnight = to_ms(datetime(2026, 3, 2, tzinfo=ZoneInfo("Asia/Kolkata")))
    assert _day_around(midnight - 1, ZoneInfo("Asia/Kolkata")) == (midnight - 1, midnight, date(2026, 3, 1))
    assert _day_around(midnight, ZoneInfo("Asia/Kolkata")) == (midnight, midnight + 1, date(2026, 3, 2))


@given(
    st.integers(-2_000_000_000_000, 4_000_000_000_000),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Asia/Kolkata", "America/Havana", "Australia/Lord_Howe"]),
    st.data(),
)
def test_the_day_of_an_hour_is_the_day_of_each_of_its_moments(moment: int, name: str, data: st.DataObject) -> None:
    """Also where clocks are put forward or back, and in zones that are half an hour off."""
    zone = ZoneInfo(name)
    begin, end, day = _day_around(moment, zone)
    assert begin <= moment < end
    for inside in (moment, begin, end - 1, data.draw(st.integers(begin, end - 1))):
        assert from_ms(inside).astimezone(zone).date() == day
    assert isinstance(day, date)
