"""F6: events shuffled, 1 h to 3 d late, twice, too late; maturities twice, corrected, out of order."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.faults import fault_system, settle
from tests.support.oracle_check import check_against_oracle
from tests.support.system import Event, System, event, payment
from tests.support.worker_process import ROOT

RULES = ROOT / "triggers" / "library" / "maturity" / "maturity_due.yaml"
CAPPED = Path(__file__).parent / "rules" / "capped"
BEGIN = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
DAYS = 12


def test_late_events_count_within_the_lateness_rule_and_each_is_accounted_for(
    kafka: str, redis_url: str, tmp_path: Path, seed: int
) -> None:
    """A payment a day of each customer, in any order up to 3 days late and some of them twice: one decision for each,

    sent or with the reason why not, and never more than the caps. Of two that are 8 days late, the one is set aside as
    too late: it may be a repeat. The other one's account sequence shows that it is new.
    """
    rng = random.Random(seed)
    customers = [f"c{number}" for number in range(25)]
    timed: list[tuple[datetime, int, Event]] = []
    for customer in customers:
        for day in range(DAYS):
            at = BEGIN + timedelta(days=day, minutes=rng.randrange(600))
            for _ in range(1 + (rng.random() < 0.2)):
                late = timedelta(hours=rng.uniform(1, 72)) if rng.random() < 0.5 else timedelta()
                timed.append((at + late, len(timed), payment(customer, 10 * day, at.isoformat())))
        for number in (35, 10 * DAYS):
            late_one = payment(customer, number, (BEGIN + timedelta(days=3)).isoformat())
            timed.append((BEGIN + timedelta(days=99), len(timed), late_one))
    events = [item for *_, item in sorted(timed, key=lambda one: one[:2])]
    with fault_system(kafka, redis_url, tmp_path, name="f06", rules=CAPPED) as system:
        system.start_worker().wait_for_partitions(system.partitions)
        system.publish(events)
        verdict = settle(system)
        system.stop_workers()
        payments = {f"transaction:{customer}-{10 * day}" for customer in customers for day in range(DAYS + 1)}
        decided = Counter(one["occasion"] for one in system.decisions())
        assert decided == dict.fromkeys(payments, 1), "a payment has no decision, or more than one"
        reasons = Counter((one["outcome"], one["reason"]) for one in system.decisions())
        assert reasons.keys() == {("sent", "sent"), ("suppressed", "capped")}
        assert {(about.reason, record.key) for about, record in system.dead_letters()} == {
            ("TOO_LATE", customer.encode()) for customer in customers
        }
        by_day = Counter((action["customer_id"], action["created_at"][:10]) for action in system.actions())
        assert max(by_day.values()) == 1, "more than one a day"
        assert verdict.actions == reasons["sent", "sent"] >= len(customers)


@pytest.mark.parametrize(
    "disordered",
    [pytest.param(False, id="in-order", marks=pytest.mark.thorough), pytest.param(True, id="disordered")],
)
def test_a_corrected_maturity_fires_at_its_new_date_only_and_a_redeemed_one_never(
    kafka: str, redis_url: str, tmp_path: Path, *, disordered: bool
) -> None:
    """Four holdings due on 15 April: one stays, one moves to May, one to March, one is redeemed; each reminder goes out

    seven days before the date that holds, and no other. ``disordered``: all twice, and the corrections come first.
    """
    bought = [
        _holding(customer, 1, "purchased", "2026-01-30" if disordered else "2026-01-15", "2026-04-15")
        for customer in ("stays", "later", "sooner", "redeemed")
    ]
    changed = [
        _holding("later", 2, "corrected", "2026-02-01", "2026-05-15"),
        _holding("sooner", 2, "corrected", "2026-02-01", "2026-03-20"),
        _holding("redeemed", 2, "redeemed", "2026-02-01", "2026-04-15"),
    ]
    with fault_system(kafka, redis_url, tmp_path, name="f06-due", rules=RULES, partitions=1) as system:
        system.start_worker().wait_for_partitions()
        if disordered:
            system.publish([*changed, *bought, *changed, *bought])
        else:
            system.publish(bought)
            system.wait_until_drained()
            # 09:00 in Shanghai on 8 April: the reminders stand in the timer index.
            assert system.meta(0).first_due_ms["customer"] == 1_775_610_000_000
            system.publish(changed)
        system.wait_until_drained()
        assert system.actions() == []

        # A record of another customer moves the time on, day by day.
        _reach(system, "2026-03-12")
        assert _reminders(system) == []
        _reach(system, "2026-03-14")
        sooner = ("sooner", "push", "2026-03-13T01:00:00Z", "maturity:h-sooner:2026-03-20:2:0")
        assert _reminders(system) == [sooner]
        _reach(system, "2026-04-07")
        assert _reminders(system) == [sooner]
        _reach(system, "2026-04-30")
        stays = ("stays", "push", "2026-04-08T01:00:00Z", "maturity:h-stays:2026-04-15:1:0")
        assert _reminders(system) == [sooner, stays]
        _reach(system, "2026-06-30")
        later = ("later", "push", "2026-05-08T01:00:00Z", "maturity:h-later:2026-05-15:2:0")
        assert _reminders(system) == [sooner, stays, later]

        system.stop_workers()
        # Each with its ladder's second step: nobody has opened the first.
        assert check_against_oracle(system).triggers == {"maturity_due": 6}


def _holding(customer: str, sequence: int, status: str, day: str, matures_on: str) -> Event:
    return event(
        "bank.maturities",
        customer,
        tenant="bank",
        event_id=f"{customer}-{sequence}",
        occurred_at=f"{day}T14:00:00+08:00",
        customer_id=customer,
        holding_id=f"h-{customer}",
        sequence=sequence,
        status=status,
        product_id="deposit-90",
        product_kind="deposit",
        amount="50000",
        currency="CNY",
        term_days=90,
        purchased_on="2026-01-15",
        matures_on=matures_on,
    )


def _reach(system: System, day: str) -> None:
    """Moves the partition's time on to a day and waits until what is due then has run."""
    system.publish(
        [
            event(
                "bank.behaviour",
                "passer-by",
                tenant="bank",
                event_id=f"passing-{day}",
                occurred_at=f"{day}T12:00:00+08:00",
                customer_id="passer-by",
                action="login",
                source="app",
            )
        ]
    )
    system.wait_until_drained()


def _reminders(system: System) -> list[tuple[str, str, str, str]]:
    """The reminders so far, by time, without later steps of a ladder. No SMS: nobody's consent is on record."""
    first = [action for action in system.actions() if action["step"] == 0]
    found = [(a["customer_id"], a["channel"], a["created_at"], a["occasion"]) for a in first]
    return sorted(found, key=lambda one: one[2])
