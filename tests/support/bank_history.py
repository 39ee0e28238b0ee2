"""The history of a small made-up bank: a few months of everything that can happen, the same for the same seed.

Tenant ``bank``, money in CNY, for the triggers that ship. It has salaries and spending, transfers between own accounts,
reversals, holdings that are corrected, redeemed and rolled over, logins, profiles with and without consent, repeated
events, events out of order and some that are too late, and a few messages that are no records.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.system import Event, event

BEGIN = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
DAYS = 120


def bank_history(
    customers: int = 60, days: int = DAYS, seed: int = 7, prefix: str = "c", begin: datetime = BEGIN
) -> list[Event]:
    """The messages in the order in which they are published, about 45 for each customer with the default ``days``."""
    rng = random.Random(seed)
    timed: list[tuple[datetime, int, Event]] = []
    for number in range(customers):
        for at, item in _customer(rng, f"{prefix}{number}", days, begin):
            timed.append((at, len(timed), item))
            if rng.random() < 0.03:  # delivered twice, soon or late
                timed.append((at + rng.choice([timedelta(), timedelta(hours=5), timedelta(days=2)]), len(timed), item))
    timed.sort(key=lambda entry: entry[:2])
    events = [item for _, _, item in timed]
    for position in sorted(rng.sample(range(len(events)), len(events) // 100)):
        # Late: it arrives after up to a few hundred others.
        events.insert(min(len(events), position + rng.randint(1, 400)), events.pop(position))
    for position in rng.sample(range(len(events)), max(3, len(events) // 200)):
        events.insert(position, _garbage(rng))
    return events


def _customer(rng: random.Random, customer: str, days: int, begin: datetime) -> Iterator[tuple[datetime, Event]]:
    account = _Account(customer, Decimal(rng.choice([3_000, 11_000, 48_000, 90_000, 260_000])))
    base = {"tenant": "bank", "customer_id": customer}
    yield (
        begin,
        event(
            "bank.profiles",
            customer,
            **base,
            event_id=f"{customer}-p1",
            occurred_at=_text(begin),
            sequence=1,
            tier=rng.choice(["low", "mid", "high"]),
            consents={channel: rng.random() < 0.8 for channel in ("sms", "wechat", "email")},
        ),
    )
    yield from _holding(rng, customer, days, begin)
    at = begin + timedelta(minutes=rng.randrange(1440))
    quiet_until = begin
    while (at := at + timedelta(hours=rng.expovariate(1 / 72))) < begin + timedelta(days=days):
        if at < quiet_until:
            continue
        kind = rng.random()
        if kind < 0.06:
            action = rng.choice(["login", "browse", "apply"])
            yield (
                at,
                event(
                    "bank.behaviour",
                    customer,
                    **base,
                    event_id=f"{customer}-b{at:%m%d%H%M%S}",
                    occurred_at=_text(at),
                    action=action,
                    source="app",
                ),
            )
        elif kind < 0.1:
            quiet_until = at + timedelta(days=95)  # long enough to count as silent
        elif kind < 0.25:
            yield at, account.book(at, Decimal(rng.choice([9_000, 60_000, 150_000])), kind="salary")
        elif kind < 0.45:
            yield at, account.book(at, -(account.balance * rng.randint(30, 70) / 100).quantize(Decimal("0.01")))
            if rng.random() < 0.3:
                later = at + timedelta(hours=rng.randint(1, 20))
                yield later, account.reverse(later)
        elif kind < 0.55:
            yield at, account.book(at, -account.balance // 3, own_account=True, transfer_id=f"{customer}-{at:%m%d%H%M}")
        else:
            yield at, account.book(at, -Decimal(rng.randint(1, 90_000)) / 100)


def account_history(
    customer: str, count: int, begin: datetime, pause: timedelta, amount: Decimal, balance: Decimal = Decimal(10**9)
) -> list[Event]:
    """So many payments of one customer, one after each pause."""
    account = _Account(customer, balance)
    return [account.book(begin + pause * number, -amount) for number in range(count)]


class _Account:
    def __init__(self, customer: str, balance: Decimal) -> None:
        self.customer = customer
        self.balance = balance
        self._sequence = 0
        self._last = Decimal(0)

    def book(self, at: datetime, amount: Decimal, **more: Any) -> Event:
        self._sequence += 1
        self.balance += amount
        self._last = amount
        return event(
            "bank.transactions",
            self.customer,
            tenant="bank",
            event_id=f"{self.customer}-t{self._sequence}",
            occurred_at=_text(at),
            customer_id=self.customer,
            account_id=f"a-{self.customer}",
            sequence=self._sequence,
            direction="debit" if amount < 0 else "credit",
            amount=str(abs(amount)),
            currency="CNY",
            balance_after=str(self.balance),
            **more,
        )

    def reverse(self, at: datetime) -> Event:
        return self.book(at, -self._last, reversal_of=f"{self.customer}-t{self._sequence}")


def _holding(rng: random.Random, customer: str, days: int, begin: datetime) -> Iterator[tuple[datetime, Event]]:
    bought = begin + timedelta(days=rng.randrange(20), hours=rng.randrange(24))
    due = bought + timedelta(days=rng.randrange(25, days))

    def record(sequence: int, status: str, at: datetime, matures: datetime) -> tuple[datetime, Event]:
        return at, event(
            "bank.maturities",
            customer,
            tenant="bank",
            event_id=f"{customer}-m{sequence}",
            occurred_at=_text(at),
            customer_id=customer,
            holding_id=f"h-{customer}",
            sequence=sequence,
            status=status,
            product_id="deposit-90",
            product_kind="deposit",
            amount=str(10_000 + 1_000 * rng.randrange(80)),
            currency="CNY",
            term_days=(matures - bought).days,
            purchased_on=f"{bought:%Y-%m-%d}",
            matures_on=f"{matures:%Y-%m-%d}",
        )

    yield record(1, "purchased", bought, due)
    fate = rng.random()
    if fate < 0.3:
        yield record(2, "corrected", bought + timedelta(days=5), due + timedelta(days=rng.choice([-6, 10])))
    elif fate < 0.5:
        yield record(2, "redeemed", bought + timedelta(days=rng.randrange(1, 24)), due)
    elif fate < 0.6:
        yield record(2, "rolled_over", bought + timedelta(days=8), due + timedelta(days=90))


def _garbage(rng: random.Random) -> Event:
    customer = f"c{rng.randrange(10)}"
    value = rng.choice([b"{not json", b"", b"[1,2]", b'{"schema_version":99}', b'{"tenant":"bank"}'])
    return Event(rng.choice(["bank.transactions", "bank.profiles", "bank.maturities"]), customer.encode(), value)


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
