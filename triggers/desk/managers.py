"""The manager stage: the latest record of each manager, passed on to the pool of the manager's branch.

A pool that a manager has left is told so.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.base import Record
from schemas.desk import HEAD_OFFICE, DeskManager
from schemas.events import Manager
from triggers.desk.codec import decode_struct, encode_struct
from triggers.engine.ids import make_id
from triggers.engine.stage import Outcome, WithoutTimers
from triggers.language.model import RuleSet

VERSION: Final = 2


class ManagerState(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The pool that was told of a manager last, and the sequence of the record; -1 before the first."""

    sequence: int = -1
    pool: str = ""


class ManagerStage(WithoutTimers):
    """Keyed by manager."""

    name = "manager"

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    def key_of(self, record: Any) -> str:
        key: str = record.manager_id
        return key

    def fresh(self, _key: str) -> ManagerState:
        return ManagerState()

    def decode(self, _key: str, data: bytes) -> ManagerState:
        return decode_struct(ManagerState, VERSION, data)

    def encode(self, state: ManagerState) -> bytes:
        return encode_struct(state, VERSION)

    def process(self, record: Manager, state: ManagerState, _ruleset: RuleSet, _now: int | None) -> Outcome | None:
        if record.sequence <= state.sequence:
            return None
        pool = record.branch_id or HEAD_OFFICE
        outputs: list[Record] = []
        if state.pool not in ("", pool):
            outputs.append(self._told(record, state.pool, active=False))
        outputs.append(self._told(record, pool, active=record.active))
        state.sequence, state.pool = record.sequence, pool
        return Outcome(outputs)

    def _told(self, record: Manager, pool: str, *, active: bool) -> DeskManager:
        return DeskManager.model_validate(
            {
                "tenant": self._tenant,
                "event_id": make_id(self._tenant, "manager", record.manager_id, str(record.sequence), pool),
                "occurred_at": record.occurred_at,
                "pool": pool,
                "manager_id": record.manager_id,
                "sequence": record.sequence,
                "desk": record.desk,
                "capacity": record.capacity,
                "active": active,
            }
        )
