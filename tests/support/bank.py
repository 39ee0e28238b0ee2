"""Events of a small bank, for tests: valid records with everything a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record
from schemas.decisions import Decision
from schemas.events import Behaviour, Feedback, Maturity, Profile, Transaction
from triggers.engine.customer import CustomerStage
from triggers.engine.state import CustomerState
from triggers.language.model import RuleSet

START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
"""10:00 in Shanghai."""


def at(days: float = 0, **more: float) -> datetime:
    """A time so long after the start."""
    return START + timedelta(days=days, **more)


def transaction(event_id: str, sequence: int, amount: str | int, after: str | int, **more: Any) -> Transaction:
    """A transaction of account a1: a negative amount is a debit."""
    signed = Decimal(amount)
    return Transaction.model_validate(
        {
            "tenant": "bank",
            "event_id": event_id,
            "occurred_at": at(),
            "customer_id": "c1",
            "account_id": "a1",
            "sequence": sequence,
            "direction": "debit" if signed < 0 else "credit",
            "amount": abs(signed),
            "currency": "CNY",
            "balance_after": Decimal(after),
            **more,
        }
    )


def maturity(event_id: str, sequence: int, status: str, matures_on: date, **more: Any) -> Maturity:
    """A record of holding h1."""
    return Maturity.model_validate(
        {
            "tenant": "bank",
            "event_id": event_id,
            "occurred_at": at(),
            "customer_id": "c1",
            "holding_id": "h1",
            "sequence": sequence,
            "status": status,
            "product_id": "deposit-90",
            "product_kind": "deposit",
            "amount": Decimal(50000),
            "currency": "CNY",
            "term_days": 90,
            "purchased_on": date(2026, 1, 1),
            "matures_on": matures_on,
            **more,
        }
    )


def profile(event_id: str, sequence: int, **more: Any) -> Profile:
    """The customer's profile."""
    return Profile.model_validate(
        {
            "tenant": "bank",
            "event_id": event_id,
            "occurred_at": at(),
            "customer_id": "c1",
            "sequence": sequence,
            **more,
        }
    )


def behaviour(event_id: str, action: str, **more: Any) -> Behaviour:
    """Something the customer did in the app."""
    return Behaviour.model_validate(
        {
            "tenant": "bank",
            "event_id": event_id,
            "occurred_at": at(),
            "customer_id": "c1",
            "action": action,
            "source": "app",
            **more,
        }
    )


def feedback(event_id: str, action: NextBestAction, outcome: str, **more: Any) -> Feedback:
    """What became of an action."""
    return Feedback.model_validate(
        {
            "tenant": "bank",
            "event_id": event_id,
            "occurred_at": at(),
            "customer_id": action.customer_id,
            "action_id": action.action_id,
            "channel": action.channel,
            "outcome": outcome,
            **more,
        }
    )


class Customer:
    """One customer's state under a rule set: feeds records and timers, keeps what came of them."""

    def __init__(self, rules: RuleSet, *, recode: bool = False) -> None:
        self.rules = rules
        self.stage = CustomerStage("bank")
        self.state: CustomerState = self.stage.fresh("c1")
        self.outputs: list[Record] = []
        self._recode = recode
        """Encodes and decodes the state after every step, as a worker with no cache would."""

    def feed(self, record: Any, now: int | None = None) -> list[Record]:
        """Processes a record; returns what came of it. A rejection is appended as it is."""
        outcome = self.stage.process(record, self.state, self.rules, now)
        return self._kept(outcome)

    def run_to(self, moment: datetime, now: int | None = None) -> list[Record]:
        """Runs the timers due by a moment."""
        return self._kept(self.stage.run_timers(self.state, self.rules, int(moment.timestamp() * 1000), now))

    def _kept(self, outcome: Any) -> list[Any]:
        if self._recode:
            self.state = self.stage.decode("c1", self.stage.encode(self.state))
        if outcome is None:
            return []
        self.outputs.extend(outcome.outputs)
        return [*outcome.outputs, *([outcome.rejected] if outcome.rejected else [])]


def actions(outputs: list[Any]) -> list[NextBestAction]:
    """The actions among the outputs."""
    return [output for output in outputs if isinstance(output, NextBestAction)]


def cancellations(outputs: list[Any]) -> list[Cancellation]:
    """The withdrawals among the outputs."""
    return [output for output in outputs if isinstance(output, Cancellation)]


def decisions(outputs: list[Any]) -> list[tuple[str, str]]:
    """Outcome and reason of the decisions among the outputs."""
    return [(output.outcome, output.reason) for output in outputs if isinstance(output, Decision)]
