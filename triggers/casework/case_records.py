"""The events of a case as records: what the author leaves out is filled in.

Ids, the publisher's sequence, the bank's currency, the balance that follows from direction and amount, the rest of a
holding or profile that is known already, and the action that a feedback answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from schemas.actions import NextBestAction
from schemas.base import Record, from_ms
from schemas.desk import HEAD_OFFICE, DeskStep
from schemas.events import Behaviour, Feedback, Maturity, Profile, Transaction
from triggers.engine.stage import Outcome
from triggers.engine.state import PROFILE_FIELDS, CustomerState
from triggers.language.model import CaseEvent, Policy

CUSTOMER: Final = "case-customer"
TENANT: Final = "case"
ACCOUNT: Final = "main"
"""The account that ``balance`` is of, and that a transaction is on which names none."""

_MODELS: Final[dict[str, type[Record]]] = {
    "transaction": Transaction,
    "maturity": Maturity,
    "profile": Profile,
    "behaviour": Behaviour,
    "feedback": Feedback,
    "desk": DeskStep,
}
_OPPOSITE: Final = {"credit": "debit", "debit": "credit"}


class BadCaseEvent(Exception):
    """An event of the case is not a valid record once it is filled in, or the engine does not take it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def insist_on(event: CaseEvent, outcome: Outcome | None) -> None:
    """Raises ``BadCaseEvent`` where the engine did not take the record of an event."""
    if outcome is not None and outcome.rejected is not None:
        refused = outcome.rejected
        raise BadCaseEvent(event.line, f"{event.record_type}.{refused.field}: {refused.problem}")


class RecordFiller:
    """Fills in the events of one case in turn. ``state`` is the customer's as the engine has left it."""

    def __init__(self, state: CustomerState, policy: Policy) -> None:
        self._state = state
        self._policy = policy
        self._count = 0
        self._main = next(iter(state.account_map), ACCOUNT)
        self._transactions: dict[str, Transaction] = {}
        self._holdings: dict[str, dict[str, Any]] = {}
        self._profile = {name: getattr(state, name) for name in PROFILE_FIELDS}

    def record(self, event: CaseEvent, sent: Sequence[NextBestAction]) -> Any:
        """The record of an event. ``sent`` are the actions that came so far. Raises ``BadCaseEvent``."""
        self._count += 1
        filled = {
            "tenant": TENANT,
            "event_id": f"e{self._count}",
            "customer_id": CUSTOMER,
            "occurred_at": from_ms(event.at_ms).astimezone(self._policy.timezone),
            **self._defaults(event, sent),
            **event.fields,
        }
        try:
            record = _MODELS[event.record_type].model_validate(filled)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            path = ".".join(str(part) for part in (event.record_type, *first["loc"]))
            raise BadCaseEvent(event.line, f"{path}: {first['msg']}") from None
        if isinstance(record, Transaction):
            self._transactions[record.event_id] = record
        if isinstance(record, Maturity):
            self._holdings[record.holding_id] = filled
        return record

    def _defaults(self, event: CaseEvent, sent: Sequence[NextBestAction]) -> dict[str, Any]:
        match event.record_type:
            case "transaction":
                return self._transaction(event.fields)
            case "maturity":
                return self._maturity(event)
            case "profile":
                self._profile.update(event.fields)
                return {**self._profile, "sequence": self._state.profile_sequence + 1}
            case "behaviour":
                return {"source": "app"}
            case "desk":
                return self._desk()
            case _:
                return _feedback(event, sent)

    def _desk(self) -> dict[str, Any]:
        """The next step of the customer's pool."""
        side = self._state.desk_side
        return {
            "pool": side.pool if side else HEAD_OFFICE,
            "number": side.answered + 1 if side else 1,
            "desk": "counter",
            "former_manager_id": self._state.manager_id,
        }

    def _transaction(self, given: Mapping[str, Any]) -> dict[str, Any]:
        original = self._transactions.get(str(given.get("reversal_of")))
        name = given.get("account_id", original.account_id if original else self._main)
        account = self._state.account_map.get(name)
        amount = given.get("amount", original.amount if original else Decimal(0))
        direction = given.get("direction", _OPPOSITE[original.direction] if original else "debit")
        before = account.balance if account else Decimal(0)
        filled: dict[str, Any] = {
            "account_id": name,
            "sequence": account.sequence + 1 if account else 1,
            "direction": direction,
            "amount": amount,
            "currency": account.currency if account else self._policy.currency,
        }
        if isinstance(amount, Decimal | int):
            filled["balance_after"] = before + amount if direction == "credit" else before - amount
        return filled

    def _maturity(self, event: CaseEvent) -> dict[str, Any]:
        name = event.fields.get("holding_id", "h1")
        today = from_ms(event.at_ms).astimezone(self._policy.timezone).date()
        known = self._holdings.get(name)
        if known is not None:
            kept = {key: value for key, value in known.items() if key not in ("event_id", "occurred_at", "status")}
            return {**kept, "sequence": known["sequence"] + 1, "status": "corrected"}
        matures = event.fields.get("matures_on", today)
        purchased = event.fields.get("purchased_on", today)
        try:
            days = (_day(matures) - _day(purchased)).days
        except (TypeError, ValueError):
            days = 0
        return {
            "holding_id": name,
            "sequence": 1,
            "status": "purchased",
            "product_id": "p1",
            "product_kind": "deposit",
            "amount": Decimal(10_000),
            "currency": self._policy.currency,
            "term_days": max(days, 0),
            "purchased_on": today,
            "matures_on": matures,
        }


def _feedback(event: CaseEvent, sent: Sequence[NextBestAction]) -> dict[str, Any]:
    if "action_id" in event.fields:
        return {}
    channel = event.fields.get("channel")
    answered = [action for action in sent if channel in (None, action.channel)]
    position = len(answered) if event.answers is None else event.answers
    if not 0 < position <= len(answered):
        which = "an action" if event.answers is None else f"action {event.answers}"
        where = "" if channel is None else f" on {channel}"
        raise BadCaseEvent(event.line, f"feedback answers {which}{where}, but {len(answered)} had come by then")
    action = answered[position - 1]
    return {"action_id": action.action_id, "channel": action.channel}


def _day(value: Any) -> Any:
    return datetime.fromisoformat(value).date() if isinstance(value, str) else value
