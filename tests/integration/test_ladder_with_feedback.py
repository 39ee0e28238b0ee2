"""A ladder over four virtual days: a real worker on the records' time, and a notifier that reports what happened."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record, to_ms
from schemas.dead_letter import Reason
from schemas.encode import encode
from tests.support.oracle_check import check_against_oracle
from tests.support.system import QUEUES, Event, System, event
from tests.support.worker_process import wait_until

with warnings.catch_warnings():
    # kafka-python reads its own data by a call that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from streams.kits.notifier import Notifier, NotifierConfig, Outcome, feedback_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kafka.*")

RULES = Path(__file__).parent / "rules" / "ladder"
START = datetime.fromisoformat("2026-03-02T10:00:00+08:00")
CUSTOMERS = ("silent", "reader", "broken", "late", "buyer", "closed")


class Phones:
    """The customers' side: what reached them, and what was taken back."""

    def __init__(self) -> None:
        self.inbox: dict[tuple[str, int], NextBestAction] = {}
        self.taken_back: list[tuple[str, int, str]] = []

    def deliver(self, action: NextBestAction) -> None:
        """By customer and step."""
        assert (action.customer_id, action.step) not in self.inbox
        self.inbox[action.customer_id, action.step] = action

    def withdraw(self, cancellation: Cancellation) -> None:
        """Customer, step and reason."""
        (step,) = (a.step for a in self.inbox.values() if a.action_id == cancellation.action_id)
        self.taken_back.append((cancellation.customer_id, step, cancellation.reason))

    def channels(self, customer: str) -> list[tuple[str, float]]:
        """The channels that reached a customer, each with the day."""
        found = sorted((step, action) for (owner, step), action in self.inbox.items() if owner == customer)
        return [(action.channel, round((action.created_at - START) / timedelta(days=1), 3)) for _, action in found]


class World:
    """The system with its notifier."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.phones = Phones()
        self.handled = 0
        config = NotifierConfig(
            (system.kafka,), ("push", "sms", "wechat"), f"{system.name}.phones", topic_prefix=f"{system.name}."
        )
        self.notifier = Notifier(config, self.phones, now_ms=_time_of)

    def reach(self, days: float, *events: Event) -> None:
        """Lets time pass until a day, with these events, and the notifier hand out what came of it."""
        self.system.publish([*events, _passer_by(days)])
        self.settle()

    def report(self, customer: str, step: int, outcome: Outcome, days: float) -> None:
        """A phone reports what became of a step."""
        self.notifier.report(self.phones.inbox[customer, step], outcome, START + timedelta(days=days))

    def settle(self) -> None:
        """Everything is processed, and everything on the queues is handed out."""
        self.notifier.flush()
        self.system.wait_until_drained()
        waiting = sum(sum(self.system.ends(queue).values()) for queue in QUEUES)

        def all_handed_out() -> bool:
            self.handled += self.notifier.poll(200)
            return self.handled == waiting

        wait_until(all_handed_out, lambda: f"{waiting} messages are handed out; {self.handled} are", 60)


def test_four_days_of_a_ladder_with_every_kind_of_answer(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """Six customers are asked at once, and what each does, or does not do, decides what comes next."""
    with System(kafka, redis_url, tmp_path, rules=RULES, name="ladder", partitions=1) as system:
        system.create_topics()
        system.start_worker().wait_for_partitions()
        world = World(system)
        try:
            phones = world.phones
            world.reach(0.1, *(_payment(customer) for customer in CUSTOMERS))
            assert {phones.channels(customer)[0] for customer in CUSTOMERS} == {("push", 0.0)}

            # The first day: one push fails, so another channel is used at once; what nobody had is set aside.
            world.report("broken", 0, "failed", 0.2)
            stranger = phones.inbox["silent", 0].model_copy(update={"action_id": "nobody-had-this"})
            system.publish([_feedback(stranger, "opened", 0.2)])
            world.reach(0.5)
            assert phones.channels("broken") == [("push", 0.0), ("wechat", 0.2)]
            ((letter, _),) = system.dead_letters()
            assert (letter.reason, letter.field) == (Reason.UNKNOWN_ACTION, "action_id")

            # The second day: a purchase ends a ladder, and its push is taken down.
            world.reach(1, _purchase("buyer", 0.9))
            assert phones.taken_back == [("buyer", 0, "ended")]

            # Two days are over: everybody else is asked again. One opens it, twice.
            world.reach(2.1)
            assert all(phones.channels(who)[1:] == [("push", 2.0)] for who in ("silent", "reader", "late", "closed"))
            for _ in range(2):
                world.report("reader", 1, "opened", 2.2)
            # One had opened the first push in time, and only now it is known.
            world.report("late", 0, "opened", 1.5)
            # One wants no more pushes.
            world.reach(2.5, _opt_out("closed", 2.4))
            assert sorted(phones.taken_back) == [
                ("buyer", 0, "ended"),
                ("closed", 0, "opted_out"),
                ("closed", 1, "opted_out"),
                ("late", 1, "answered_late"),
            ]

            # Four days are over.
            world.reach(4.1)
            assert phones.channels("silent") == [("push", 0.0), ("push", 2.0), ("sms", 4.0)]
            assert phones.channels("reader") == [("push", 0.0), ("push", 2.0)]
            assert phones.channels("broken") == [("push", 0.0), ("wechat", 0.2), ("sms", 2.2)]
            assert phones.channels("late") == [("push", 0.0), ("push", 2.0)]
            assert phones.channels("buyer") == [("push", 0.0)]
            assert phones.channels("closed") == [("push", 0.0), ("push", 2.0), ("sms", 4.0)]
        finally:
            world.notifier.close()
        system.stop_workers()
        verdict = check_against_oracle(system)
        assert (verdict.actions, verdict.cancellations, verdict.dead_letters) == (14, 4, 1)


def _time_of(record: Record) -> int:
    created: datetime = record.created_at  # type: ignore[attr-defined]  # what is on a queue has it
    return to_ms(created)


def _at(days: float) -> str:
    return (START + timedelta(days=days)).isoformat()


def _common(customer: str, name: str, days: float) -> dict[str, Any]:
    return {"tenant": "bank", "event_id": name, "occurred_at": _at(days), "customer_id": customer}


def _payment(customer: str) -> Event:
    return event(
        "bank.transactions",
        customer,
        **_common(customer, f"paid-{customer}", 0),
        account_id=f"a-{customer}",
        sequence=1,
        direction="debit",
        amount="500",
        currency="CNY",
        balance_after="1000",
    )


def _purchase(customer: str, days: float) -> Event:
    return event(
        "bank.maturities",
        customer,
        **_common(customer, f"bought-{customer}", days),
        holding_id=f"h-{customer}",
        sequence=1,
        status="purchased",
        product_id="deposit-90",
        product_kind="deposit",
        amount="50000",
        currency="CNY",
        term_days=90,
        purchased_on="2026-03-03",
        matures_on="2026-06-01",
    )


def _opt_out(customer: str, days: float) -> Event:
    return event(
        "bank.profiles", customer, **_common(customer, f"closed-{customer}", days), sequence=1, consents={"push": False}
    )


def _passer_by(days: float) -> Event:
    """A record of another customer moves the partition's time on."""
    more = {"action": "login", "source": "app"}
    return event("bank.behaviour", "passer-by", **_common("passer-by", f"passing-{days}", days), **more)


def _feedback(action: NextBestAction, outcome: Outcome, days: float) -> Event:
    record = feedback_of(action, outcome, START + timedelta(days=days))
    return Event("bank.feedback", record.customer_id.encode(), encode(record))
