"""Lead times of holdings: at the bank's hour, moved by corrections, ended by redemptions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.support.bank import Customer, actions, at, cancellations, maturity
from tests.support.rules import NO_LIMITS, ruleset, trigger
from triggers.engine.timers import lead_time
from triggers.language.calendar import Calendar
from triggers.language.model import OnEvent, OnMaturity

WEEK_BEFORE = trigger("due", on=(OnMaturity(7),), expires_ms=30 * 86_400_000)


def nine_in_shanghai(day: date) -> datetime:
    """09:00 at the bank."""
    return datetime(day.year, day.month, day.day, 1, 0, tzinfo=UTC)


def test_a_reminder_fires_at_the_banks_hour_on_the_lead_day() -> None:
    """Seven days before, at 09:00 in Shanghai, once."""
    customer = Customer(ruleset(WEEK_BEFORE))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    assert customer.run_to(nine_in_shanghai(date(2026, 3, 25)) - timedelta(milliseconds=1)) == []
    (action,) = actions(customer.run_to(nine_in_shanghai(date(2026, 3, 25))))
    assert action.created_at == nine_in_shanghai(date(2026, 3, 25))
    assert customer.run_to(at(400)) == []


def test_a_corrected_holding_fires_at_the_new_date_only() -> None:
    """The reminder moves with the due day, both later and earlier."""
    for new in (date(2026, 5, 1), date(2026, 3, 20)):
        customer = Customer(ruleset(WEEK_BEFORE))
        customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
        customer.feed(maturity("m2", 2, "corrected", new))
        (action,) = actions(customer.run_to(at(400)))
        assert action.created_at == nine_in_shanghai(new - timedelta(days=7))


def test_a_correction_after_the_reminder_withdraws_it_and_reminds_again() -> None:
    """What was said of the former day is void."""
    customer = Customer(ruleset(WEEK_BEFORE))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    (first,) = actions(customer.run_to(at(25)))
    (withdrawn,) = cancellations(customer.feed(maturity("m2", 2, "corrected", date(2026, 5, 1), occurred_at=at(26))))
    assert (withdrawn.action_id, withdrawn.reason) == (first.action_id, "corrected")
    (second,) = actions(customer.run_to(at(400)))
    assert second.action_id != first.action_id
    assert second.created_at == nine_in_shanghai(date(2026, 4, 24))


def test_a_day_that_moves_away_and_back_is_reminded_of_anew() -> None:
    """The first reminder was withdrawn; the second is another action, or its consumer would drop it as a repeat."""
    customer = Customer(ruleset(WEEK_BEFORE))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    (first,) = actions(customer.run_to(at(25)))
    customer.feed(maturity("m2", 2, "corrected", date(2026, 5, 1), occurred_at=at(26)))
    (second,) = actions(customer.feed(maturity("m3", 3, "corrected", date(2026, 4, 1), occurred_at=at(27))))
    assert second.action_id != first.action_id
    assert customer.run_to(at(400)) == []


def test_a_correction_of_the_amount_alone_reminds_nobody_twice() -> None:
    """The due day is the same, so is the reminder."""
    customer = Customer(ruleset(WEEK_BEFORE))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    assert actions(customer.run_to(at(25)))
    assert customer.feed(maturity("m2", 2, "corrected", date(2026, 4, 1), amount=1, occurred_at=at(26))) == []
    assert customer.run_to(at(400)) == []


@pytest.mark.parametrize("status", ["redeemed", "rolled_over", "matured"])
def test_a_closed_holding_reminds_never(status: str) -> None:
    """Nothing falls due any more."""
    customer = Customer(ruleset(WEEK_BEFORE))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    customer.feed(maturity("m2", 2, status, date(2026, 4, 1)))
    assert customer.run_to(at(400)) == []


def test_a_redemption_withdraws_the_reminder() -> None:
    """The customer has acted already."""
    customer = Customer(ruleset(WEEK_BEFORE))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    (sent,) = actions(customer.run_to(at(25)))
    (withdrawn,) = cancellations(customer.feed(maturity("m2", 2, "redeemed", date(2026, 4, 1), occurred_at=at(26))))
    assert (withdrawn.action_id, withdrawn.reason) == (sent.action_id, "redeemed")


def test_a_stale_or_repeated_record_says_nothing_new() -> None:
    """The highest sequence of the holding counts, in whatever order they arrive."""
    customer = Customer(ruleset(WEEK_BEFORE, trigger("bought", on=(OnEvent("maturity", "purchased"),))))
    customer.feed(maturity("m3", 3, "redeemed", date(2026, 4, 1)))
    assert customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1))) == []
    assert customer.feed(maturity("m3", 3, "redeemed", date(2026, 4, 1))) == []
    assert customer.run_to(at(400)) == []


def test_a_lead_time_already_passed_reminds_at_once_while_the_day_is_ahead() -> None:
    """Five days' notice is better than none; after the day there is nothing to say."""
    customer = Customer(ruleset(WEEK_BEFORE))
    (action,) = actions(customer.feed(maturity("m1", 1, "purchased", date(2026, 3, 7))))
    assert action.created_at == at()
    past = Customer(ruleset(WEEK_BEFORE))
    assert past.feed(maturity("m1", 1, "purchased", date(2026, 3, 1))) == []
    assert past.run_to(at(400)) == []


def test_on_the_day_still_reminds_after_the_product_system_closed_the_holding() -> None:
    """The product matures at midnight; the offer to replace it goes out in the morning."""
    customer = Customer(ruleset(trigger("replace", on=(OnMaturity(0),))))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    midnight = datetime(2026, 3, 31, 16, 5, tzinfo=UTC)
    customer.feed(maturity("m2", 2, "matured", date(2026, 4, 1), occurred_at=midnight))
    (action,) = actions(customer.run_to(at(400)))
    assert action.created_at == nine_in_shanghai(date(2026, 4, 1))


def test_each_holding_has_its_own_reminder() -> None:
    """Two deposits, two reminders."""
    customer = Customer(ruleset(WEEK_BEFORE))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    customer.feed(maturity("m2", 1, "purchased", date(2026, 4, 2), holding_id="h2"))
    assert [action.created_at.day for action in actions(customer.run_to(at(400)))] == [25, 26]


def test_business_days_skip_the_weekend() -> None:
    """Three business days before Tuesday, 7 April 2026, is Thursday, 2 April."""
    due = lead_time(NO_LIMITS, date(2026, 4, 7), OnMaturity(3, business=True))
    assert due == int(nine_in_shanghai(date(2026, 4, 2)).timestamp() * 1000)


def test_a_timer_due_before_a_record_runs_before_it() -> None:
    """A redemption that arrives after the reminder was due does not unsay it: the reminder went out first."""
    customer = Customer(ruleset(WEEK_BEFORE))
    customer.feed(maturity("m1", 1, "purchased", date(2026, 4, 1)))
    outputs = customer.feed(maturity("m2", 2, "redeemed", date(2026, 4, 1), occurred_at=at(25)))
    (sent,) = actions(outputs)
    assert sent.created_at == nine_in_shanghai(date(2026, 3, 25))
    assert [withdrawn.action_id for withdrawn in cancellations(outputs)] == [sent.action_id]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
@pytest.mark.parametrize("day", [date(1, 1, 1), date(9999, 12, 31)])
@pytest.mark.parametrize("wake", [OnMaturity(7), OnMaturity(3, business=True), OnMaturity(0, roll="next")])
def test_a_due_day_at_the_end_of_time_is_only_very_far_away(zone: str, day: date, wake: OnMaturity) -> None:
    """Products without an end are often given the last day that there is; a mistake may name the first."""
    rules = ruleset(trigger("due", on=(wake,)), policy=replace(NO_LIMITS, timezone=ZoneInfo(zone)))
    customer = Customer(rules, recode=True)
    assert customer.feed(maturity("m1", 1, "purchased", day, purchased_on=date(1, 1, 1))) == []
    assert customer.run_to(at(400)) == []


def test_business_days_are_those_of_the_banks_calendar() -> None:
    """A holiday is left out, a weekend day that is worked counts."""
    off, worked = frozenset({date(2026, 4, 6)}), frozenset({date(2026, 4, 4)})
    for calendar, expected in (
        (Calendar(holidays=off), date(2026, 4, 2)),
        (Calendar(worked=worked), date(2026, 4, 4)),
        (Calendar(holidays=off, worked=worked), date(2026, 4, 3)),
    ):
        policy = replace(NO_LIMITS, calendar=calendar)
        due = lead_time(policy, date(2026, 4, 7), OnMaturity(2, business=True))
        assert due == int(nine_in_shanghai(expected).timestamp() * 1000)


def test_closed_holdings_are_not_kept_for_ever() -> None:
    """A customer who buys and sells all year costs no more than one who holds; what is open stays."""
    customer = Customer(ruleset())
    customer.feed(maturity("open", 1, "purchased", date(2026, 12, 1), holding_id="kept"))
    for number in range(40):
        bought = {"holding_id": f"h{number}", "occurred_at": at(number)}
        customer.feed(maturity(f"p{number}", 1, "purchased", date(2026, 12, 1), **bought))
        customer.feed(maturity(f"r{number}", 2, "redeemed", date(2026, 12, 1), **bought))
    kept = customer.state.holding_map
    assert len(kept) == 33
    assert kept["kept"].open
    assert "h39" in kept
