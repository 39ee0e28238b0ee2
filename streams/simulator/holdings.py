"""Deposits, wealth products and loans of the simulated customers: bought, corrected, redeemed, rolled over, matured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random
from typing import Final

from schemas.events import Maturity
from streams.simulator.customers import Customer
from streams.simulator.records import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    BankRecord,
    bank_record,
    day_of,
    moment,
    money,
)

TOPIC: Final = "bank.maturities"
_FATES: Final = ("matured", "matured", "corrected", "corrected", "redeemed", "rolled_over")
_LEAD_DAYS: Final = 7


def hold(
    customer: Customer, count: int, days: int, tenant: str, random: Random, next_id: Callable[[], str]
) -> Iterator[BankRecord]:
    """The records of so many holdings. What matures is paid out to the customer's account now and then."""
    for index in range(count):
        holding = _Holding(customer, f"{customer.id}-H{index + 1}", days, tenant, random, next_id)
        yield holding.purchase()
        yield from holding.end(random.choice(_FATES))


class _Holding:
    """One holding: its terms, and the records that tell its life in sequence."""

    def __init__(
        self,
        customer: Customer,
        holding_id: str,
        days: int,
        tenant: str,
        random: Random,
        next_id: Callable[[], str],
    ) -> None:
        self._customer = customer
        self._days = days
        self._random = random
        self._next_id = next_id
        self._tenant = tenant
        self._due = random.randrange(min(12, days), days + _LEAD_DAYS)
        self._bought = self._due - random.choice((30, 60, 90))
        self._kind = random.choice(("deposit", "deposit", "deposit", "wealth", "wealth", "loan"))
        self._cents = random.randrange(8_000_00, 300_000_00)
        self._holding_id = holding_id
        self._sequence = 0

    def purchase(self) -> BankRecord:
        """Bought before the first simulated day, it is told at the start."""
        return self._tell("purchased", START_MS + max(self._bought, 0) * DAY_MS + 10 * HOUR_MS)

    def end(self, fate: str) -> Iterator[BankRecord]:
        """What becomes of it, as far as the simulated time reaches."""
        # Around its reminder: some before it went out, some after, when it must be withdrawn.
        around = self._due - self._random.randrange(1, 2 * _LEAD_DAYS)
        early = START_MS + max(around, self._bought + 1, 1) * DAY_MS + self._random.randrange(8 * HOUR_MS, 20 * HOUR_MS)
        if fate == "redeemed":
            yield from self._tell_in_time("redeemed", early)
            return
        if fate == "corrected":
            self._due += self._random.randrange(3, 20)
            yield from self._tell_in_time("corrected", early)
            fate = "matured"
        due_ms = START_MS + self._due * DAY_MS + self._random.randrange(HOUR_MS, 6 * HOUR_MS)
        yield from self._tell_in_time(fate, due_ms)
        if (
            fate == "matured"
            and self._kind != "loan"
            and due_ms < START_MS + self._days * DAY_MS
            and self._random.random() < 0.5
        ):
            self._customer.books.move(due_ms + HOUR_MS, self._cents, kind="redemption")
            self._customer.books.move(due_ms + 2 * DAY_MS, -self._cents, kind="purchase", channel="mobile")

    def _tell_in_time(self, status: str, at_ms: int) -> Iterator[BankRecord]:
        if at_ms < START_MS + self._days * DAY_MS:
            yield self._tell(status, at_ms)

    def _tell(self, status: str, at_ms: int) -> BankRecord:
        self._sequence += 1
        bought: date = day_of(self._bought)
        due = day_of(self._due)
        record = Maturity.model_validate(
            {
                "tenant": self._tenant,
                "event_id": self._next_id(),
                "occurred_at": moment(at_ms),
                "customer_id": self._customer.id,
                "account_id": f"{self._customer.id}-1",
                "holding_id": self._holding_id,
                "sequence": self._sequence,
                "status": status,
                "product_id": f"{self._kind}-{(due - bought) // timedelta(days=1)}",
                "product_kind": self._kind,
                "amount": money(self._cents),
                "currency": "CNY",
                "term_days": (due - bought) // timedelta(days=1),
                "expected_yield": {"wealth": "0.0265", "deposit": "0.0155", "loan": None}[self._kind],
                "purchased_on": bought,
                "matures_on": due,
            }
        )
        return bank_record(TOPIC, record, at_ms + self._random.randrange(MINUTE_MS))
