"""Links, merges and behaviour of ids of channels, and a stage that tells itself what it has to, for tests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from schemas.base import Record, to_ms
from schemas.decode import Rejected
from schemas.events import Behaviour, ChannelBehaviour, CustomerMerge, IdentityLink
from schemas.identity import IdentityDecision, IdentityMember, IdentityRedirect
from tests.support.bank import at
from triggers.engine.stage import Outcome
from triggers.identity.stage import IdentityStage
from triggers.identity.state import IdentityState
from triggers.language.model import Policy, RuleSet

HOUR_MS = 3_600_000


def link(sequence: int, customer_id: str | None, hours: float, **more: Any) -> IdentityLink:
    """The id ``app:u1`` is this customer's from so many hours after the start."""
    return IdentityLink.model_validate(
        {
            "tenant": "bank",
            "event_id": f"l{sequence}",
            "occurred_at": at(hours=hours),
            "source": "app",
            "source_user_id": "u1",
            "sequence": sequence,
            "customer_id": customer_id,
            **more,
        }
    )


def seen(event_id: str, hours: float, **more: Any) -> ChannelBehaviour:
    """Something done under ``app:u1`` so many hours after the start."""
    return ChannelBehaviour.model_validate(
        {
            "tenant": "bank",
            "event_id": event_id,
            "occurred_at": at(hours=hours),
            "source": "app",
            "source_user_id": "u1",
            "action": "browse",
            **more,
        }
    )


def merge(customer_id: str, merged_into: str | None, hours: float, sequence: int = 1) -> CustomerMerge:
    """A customer is another one from so many hours after the start."""
    return CustomerMerge(
        tenant="bank",
        event_id=f"m-{customer_id}-{sequence}",
        occurred_at=at(hours=hours),
        customer_id=customer_id,
        sequence=sequence,
        merged_into=merged_into,
    )


@dataclass
class Identities:
    """One stage over the states of all keys. What it tells itself is read at once, or by ``deliver`` where ``slow``."""

    policy: Policy = field(default_factory=Policy)
    now: int | None = None
    slow: bool = False
    states: dict[str, IdentityState] = field(default_factory=dict)
    behaviour: list[tuple[str, str, float]] = field(default_factory=list)
    """What was sent on: origin, customer, hours after the start."""
    events: list[Behaviour] = field(default_factory=list)
    decisions: list[IdentityDecision] = field(default_factory=list)
    rejected: list[tuple[Any, Rejected]] = field(default_factory=list)
    told: deque[Record] = field(default_factory=deque)
    stage: IdentityStage = field(default_factory=lambda: IdentityStage("bank"))

    @property
    def ruleset(self) -> RuleSet:
        return RuleSet("rules", (), (), (), self.policy, "{}")

    def read(self, *records: Record) -> Identities:
        """Runs the records, in order."""
        for record in records:
            self._one(record)
            while self.told and not self.slow:
                self._one(self.told.popleft())
        return self

    def deliver(self, index: int) -> None:
        """Runs one of the records that the stage sent to itself."""
        self.told.rotate(-index)
        self._one(self.told.popleft())

    def sweep(self, hours: float) -> Identities:
        """Runs the timers due by so many hours after the start."""
        until = to_ms(at(hours=hours))
        for state in self.states.values():
            due = self.stage.next_due(state)
            if due is not None and due <= until:
                self._keep(None, self.stage.run_timers(state, self.ruleset, until, self.now))
        return self

    def outcomes(self) -> list[tuple[str, str, str | None, str | None]]:
        """The decisions: whose, what, the customer now and before."""
        return [(d.identity, d.outcome, d.customer_id, d.previous_customer_id) for d in self.decisions]

    def _one(self, record: Any) -> None:
        key = self.stage.key_of(record)
        state = self.states.setdefault(key, self.stage.fresh(key))
        self._keep(record, self.stage.process(record, state, self.ruleset, self.now))
        # Through its bytes, as in the store.
        self.states[key] = self.stage.decode(key, self.stage.encode(state))

    def _keep(self, record: Any, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        if outcome.rejected is not None:
            self.rejected.append((record, outcome.rejected))
        for output in outcome.outputs:
            if isinstance(output, IdentityDecision):
                self.decisions.append(output)
            else:
                assert isinstance(output, IdentityMember | IdentityRedirect)
                self.told.append(output)
        for republished in outcome.republished:
            event = republished.record
            assert isinstance(event, Behaviour)
            self.events.append(event)
            hours = (event.occurred_at - at()).total_seconds() / 3600
            self.behaviour.append((republished.origin, event.customer_id, hours))
