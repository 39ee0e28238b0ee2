"""The books of one simulated customer: wishes to move money become booked transactions with balances and sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from schemas.events import Transaction
from streams.simulator.records import DAY_MS, HOUR_MS, MINUTE_MS, BankRecord, bank_record, moment, money

TOPIC = "bank.transactions"


@dataclass(slots=True)
class Movement:
    """Money to be moved on an account at a simulated time.

    ``cents`` is signed; with ``share`` it is that part of the balance at the time instead (negative: a debit).
    ``reverses`` takes back another movement as a whole; ``mirrors`` is the other leg of a transfer between the
    customer's own accounts. Both must be of a later or the same time as the movement they name.
    """

    account: int
    at_ms: int
    cents: int = 0
    share: float = 0.0
    kind: str = "card"
    channel: str | None = None
    merchant: str | None = None
    transfer_id: str | None = None
    reverses: Movement | None = None
    mirrors: Movement | None = None
    event_id: str = ""


@dataclass(slots=True)
class Books:
    """One customer's accounts: opening balances in cents, and the movements to come, in any order."""

    customer_id: str
    opening: list[int]
    movements: list[Movement] = field(default_factory=list)

    def move(self, at_ms: int, cents: int = 0, *, account: int = 0, **more: Any) -> Movement:
        """Adds a movement and returns it."""
        movement = Movement(account, at_ms, cents, **more)
        self.movements.append(movement)
        return movement


def book(books: Books, tenant: str, random: Random, next_id: Callable[[], str]) -> Iterable[BankRecord]:
    """Books the movements in the order of their times. The records are in that order, their arrival is not."""
    balances = list(books.opening)
    sequences = [0] * len(balances)
    done: dict[int, int] = {}
    # A mirror or reversal at the same moment stands behind what it names: it was added later, and sorting is stable.
    for movement in sorted(books.movements, key=lambda movement: movement.at_ms):
        index = movement.account
        cents = _cents(movement, balances[index], done)
        done[id(movement)] = cents
        balances[index] += cents
        sequences[index] += 1
        movement.event_id = next_id()
        reverses = movement.reverses.event_id if movement.reverses else None
        transaction = Transaction.model_validate(
            {
                "tenant": tenant,
                "event_id": movement.event_id,
                "occurred_at": moment(movement.at_ms),
                "customer_id": books.customer_id,
                "account_id": f"{books.customer_id}-{index + 1}",
                "sequence": sequences[index],
                "direction": "credit" if cents >= 0 else "debit",
                "amount": money(abs(cents)),
                "currency": "CNY",
                "balance_after": money(balances[index]),
                "kind": movement.kind,
                "channel": movement.channel,
                "merchant": movement.merchant,
                "own_account": movement.transfer_id is not None,
                "transfer_id": movement.transfer_id,
                "reversal_of": reverses,
            }
        )
        yield bank_record(TOPIC, transaction, movement.at_ms + _delay(random), reverses)


def _cents(movement: Movement, balance: int, done: dict[int, int]) -> int:
    if movement.reverses is not None:
        return -done[id(movement.reverses)]
    if movement.mirrors is not None:
        return -done[id(movement.mirrors)]
    if movement.share:
        # At least 5.00, so that an empty account still shows life.
        size = max(500, int(abs(movement.share) * max(balance, 0)))
        return size if movement.share > 0 else -size
    return movement.cents


def _delay(random: Random) -> int:
    """From booking to arrival: mostly seconds; some minutes; a few records come a day or two behind later ones."""
    chance = random.random()
    if chance < 0.9:
        return random.randrange(30_000)
    if chance < 0.98:
        return random.randrange(2 * HOUR_MS)
    return random.randrange(MINUTE_MS, 2 * DAY_MS)
