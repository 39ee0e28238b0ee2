"""Records as they should not be: one for each reason why a record is set aside that a publisher can bring about."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from schemas.dead_letter import Reason
from schemas.decode import MAX_VALUE_BYTES
from streams.simulator.records import DAY_MS, START_MS, BankRecord, moment

TOPIC: Final = "bank.transactions"


def spoil(
    customer_ids: list[str], count: int, days: int, tenant: str, random: Random, next_id: Callable[[], str]
) -> Iterator[BankRecord]:
    """So many spoiled transactions over the simulated days, each kind in its turn.

    They are records of their own: nothing that the bank really booked goes missing.
    """
    for index in range(count):
        reason, spoiler = _KINDS[index % len(_KINDS)]
        at_ms = START_MS + random.randrange(DAY_MS, max(2, days) * DAY_MS)
        customer_id = random.choice(customer_ids)
        body = {
            "tenant": tenant,
            "event_id": next_id(),
            "occurred_at": moment(at_ms).isoformat(),
            "customer_id": customer_id,
            "account_id": f"{customer_id}-9",
            "sequence": 1,
            "direction": "credit",
            "amount": "100.00",
            "currency": "CNY",
            "balance_after": "100.00",
        }
        key, value = spoiler(customer_id.encode(), body)
        yield BankRecord(TOPIC, key, value, at_ms, what="spoiled", reason=reason)


Body = dict[str, Any]
Spoiler = Callable[[bytes, Body], tuple[bytes | None, bytes | None]]


def _with(**changes: Any) -> Spoiler:
    return lambda key, body: (key, json.dumps({**body, **changes}).encode())


def _without(name: str) -> Spoiler:
    return lambda key, body: (key, json.dumps({k: v for k, v in body.items() if k != name}).encode())


def _text(change: Callable[[str], str]) -> Spoiler:
    return lambda key, body: (key, change(json.dumps(body)).encode())


_KINDS: Final[tuple[tuple[Reason, Spoiler], ...]] = (
    (Reason.NOT_JSON, _text(lambda text: text[: len(text) // 2])),
    (Reason.NAIVE_TIME, lambda key, body: _with(occurred_at=body["occurred_at"][:19])(key, body)),
    (Reason.UNKNOWN_FIELD, _with(ammount="100.00")),
    (Reason.MISSING_FIELD, _without("balance_after")),
    (Reason.UNKNOWN_CURRENCY, _with(currency="XYZ")),
    (Reason.KEY_MISMATCH, lambda key, body: (b"not-" + key, json.dumps(body).encode())),
    (Reason.BAD_NUMBER, _with(amount="1e308")),
    (Reason.NOT_FINITE, _with(amount=math.nan)),
    (Reason.EMPTY_VALUE, lambda key, _body: (key, None)),
    (Reason.UNKNOWN_VALUE, _with(direction="sideways")),
    (Reason.WRONG_TYPE, _with(sequence="one")),
    (Reason.OUT_OF_RANGE, _with(sequence=-1)),
    (Reason.BAD_TIME, _with(occurred_at="yesterday")),
    (Reason.UNKNOWN_VERSION, _with(schema_version=2)),
    (Reason.WRONG_TENANT, _with(tenant="another-bank")),
    (Reason.DUPLICATE_FIELD, _text(lambda text: text[:-1] + ', "amount": "1.00"}')),
    (Reason.NOT_AN_OBJECT, _text(lambda text: f"[{text}]")),
    (Reason.MISSING_KEY, lambda _key, body: (None, json.dumps(body).encode())),
    (Reason.TOO_LARGE, _with(merchant="x" * MAX_VALUE_BYTES)),
)

KINDS: Final = len(_KINDS)
"""How many kinds there are."""
