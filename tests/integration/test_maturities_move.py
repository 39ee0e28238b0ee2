"""Reminders of holdings whose date moves after the reminder was scheduled, by a real worker on the records' time."""

from __future__ import annotations

from pathlib import Path

from tests.support.oracle_check import check_against_oracle
from tests.support.system import Event, System, event
from tests.support.worker_process import ROOT

RULES = ROOT / "triggers" / "library" / "maturity" / "maturity_due.yaml"


def test_a_corrected_maturity_fires_at_its_new_date_only_and_a_redeemed_one_never(
    kafka: str, redis_url: str, tmp_path: Path
) -> None:
    """Four holdings due on 15 April: one stays, one moves to May, one to March, one is redeemed; each reminder goes out

    seven days before the date that holds, and no other.
    """
    with System(kafka, redis_url, tmp_path, rules=RULES, name="maturities", partitions=1) as system:
        system.create_topics()
        system.start_worker().wait_for_partitions()
        system.publish(
            _holding(customer, 1, "purchased", "2026-01-15", "2026-04-15")
            for customer in ("stays", "later", "sooner", "redeemed")
        )
        system.wait_until_drained()
        # 09:00 in Shanghai on 8 April: the reminders stand in the timer index.
        assert system.meta(0).first_due_ms["customer"] == 1_775_610_000_000

        system.publish(
            [
                _holding("later", 2, "corrected", "2026-02-01", "2026-05-15"),
                _holding("sooner", 2, "corrected", "2026-02-01", "2026-03-20"),
                _holding("redeemed", 2, "redeemed", "2026-02-01", "2026-04-15"),
            ]
        )
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
