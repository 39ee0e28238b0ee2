"""The simulated bank's branches: their managers, whose customers the bank says they are, and how people answer.

Some customers have nobody, some of the counter's have become rich, and no manager carries everybody: there is something
for the desks to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

from schemas.actions import NextBestAction
from schemas.base import to_ms
from schemas.desk import DeskAnswer
from schemas.events import Manager
from streams.simulator.records import START_MS, BankRecord, bank_record, moment

_BRANCHES: Final = ("B01", "B02")
_COUNTER: Final = 2
"""Managers of the counter in each branch; the VIP manager comes after them."""
_CAPACITY: Final = {"counter": 40, "vip": 30}
_APPROVAL: Final = "handover_approval"


def branch_of(number: int) -> str:
    """The branch of a customer by their number."""
    return _BRANCHES[number % len(_BRANCHES)]


def manager_of(number: int) -> str:
    """The manager whom the bank itself names: one of the counter, even for the rich."""
    return f"{branch_of(number)}-M{number // len(_BRANCHES) % _COUNTER + 1}"


def managers(tenant: str, next_id: Callable[[], str]) -> Iterator[BankRecord]:
    """Every manager of every branch, at the start."""
    for branch in _BRANCHES:
        for place in range(_COUNTER + 1):
            desk = "counter" if place < _COUNTER else "vip"
            manager = Manager.model_validate(
                {
                    "tenant": tenant,
                    "event_id": next_id(),
                    "occurred_at": moment(START_MS),
                    "manager_id": f"{branch}-M{place + 1}",
                    "sequence": 1,
                    "desk": desk,
                    "branch_id": branch,
                    "capacity": _CAPACITY[desk],
                }
            )
            yield bank_record("bank.managers", manager, START_MS)


def answer_to(action: NextBestAction) -> BankRecord | None:
    """How a person answers an action that asks for a handover: mostly yes, sometimes no, sometimes not at all."""
    if action.offer != _APPROVAL:
        return None
    chance = int(action.action_id[-2:], 16)
    if chance < 16:
        return None
    answer: Literal["approved", "rejected"] = "approved" if chance >= 64 else "rejected"
    at_ms = to_ms(action.created_at)
    record = DeskAnswer(
        tenant=action.tenant,
        event_id=f"answer-{action.action_id}",
        occurred_at=moment(at_ms),
        branch_id=action.fields["branch"],
        customer_id=action.customer_id,
        handover_id=action.action_id,
        answer=answer,
    )
    return bank_record("bank.desk-answers", record, at_ms)
