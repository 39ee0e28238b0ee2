"""One record or one run of timers under way: what it goes by, and what it sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from schemas.base import Event, Record, from_ms
from schemas.events import Behaviour
from schemas.identity import IdentityDecision, IdentityMember, IdentityRedirect
from triggers.engine.ids import make_id
from triggers.engine.seen import Seen, event_key, seen_of
from triggers.engine.stage import Republished
from triggers.identity.state import CUSTOMER, ChannelId, Held, Person
from triggers.identity.timeline import Entry
from triggers.language.model import Policy

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class Run:
    """``clock`` is the time of what is decided, in ms."""

    tenant: str
    policy: Policy
    clock: int
    outputs: list[Record] = field(default_factory=list)
    republished: list[Republished] = field(default_factory=list)

    def first_time(self, seen: dict[str, Seen], record: Event, at: int) -> bool:
        """Whether a link or a merge comes for the first time; it is remembered as far as the lateness rule reaches.

        One that comes again later than that is told by its sequence.
        """
        key, known = event_key(record.event_id), seen_of(seen, record.record_type)
        if key in known:
            return False
        known.add(key, at, self.policy.lateness_ms)
        return True

    def republish(self, state: ChannelId, held: Held, customer_id: str) -> None:
        """A behaviour as the customer's. Its id follows from where it came from, so a repeat is one."""
        source, _, _ = state.key.partition(":")
        values: dict[str, Any] = {
            "tenant": self.tenant,
            "event_id": make_id("behaviour", self.tenant, state.key, held.event_id),
            "occurred_at": datetime.fromisoformat(held.occurred_at),
            "customer_id": customer_id,
            "action": held.action,
            "source": source,
            "product_id": held.product_id,
            "page": held.page,
            "seconds": held.seconds,
        }
        self.republished.append(Republished(Behaviour.model_validate(values), f"{state.key}:{held.event_id}"))

    def join(self, state: ChannelId, customer_id: str, cause: Entry) -> None:
        """Tells a customer that it has this id."""
        self.outputs.append(IdentityMember.model_validate(self._about(state.key, cause, customer_id)))

    def redirect(self, state: Person, member: str, merge: Entry) -> None:
        """Tells one of a customer's ids of a merge."""
        values = self._about(member, merge, state.key.removeprefix(CUSTOMER))
        values |= {"sequence": merge.sequence, "merged_into": merge.customer_id}
        self.outputs.append(IdentityRedirect.model_validate(values))

    def decide(
        self,
        identity: str,
        outcome: str,
        cause: Entry,
        customer_id: str | None = None,
        previous: str | None = None,
        detail: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Puts on record what became of something."""
        values = {
            "tenant": self.tenant,
            "decision_id": make_id("identity", self.tenant, identity, outcome, cause.cause),
            "identity": identity,
            "outcome": outcome,
            "caused_by": cause.cause,
            "customer_id": customer_id,
            "previous_customer_id": previous,
            "effective_at": from_ms(cause.at),
            "detail": dict(detail),
            "decided_at": from_ms(self.clock),
        }
        self.outputs.append(IdentityDecision.model_validate(values))

    def _about(self, identity: str, cause: Entry, customer_id: str) -> dict[str, Any]:
        source, _, source_user_id = identity.partition(":")
        return {
            "tenant": self.tenant,
            "event_id": cause.cause,
            "occurred_at": from_ms(cause.at),
            "source": source,
            "source_user_id": source_user_id,
            "customer_id": customer_id,
        }
