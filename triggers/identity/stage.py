"""The identity stage: behaviour under a channel's own id goes to the customer that the id is linked to.

It has two kinds of key: an id of a channel (``wechat:oX3f``), with its links and what waits for one, and a customer
(``customer:C0000123``), with its merges and the ids that must hear of them. They tell each other through topics, so
that each is changed by its owner alone.
"""

from __future__ import annotations

from typing import Any, cast

from schemas.base import to_ms
from schemas.decode import Rejected
from triggers.engine.seen import from_the_future
from triggers.engine.stage import Outcome
from triggers.identity import channel, person
from triggers.identity.run import Run
from triggers.identity.state import CUSTOMER, ChannelId, IdentityState, Person, decode_state, encode_state, fresh_state
from triggers.language.model import RuleSet

_OF_CUSTOMERS = frozenset({"identity_member", "customer_merge"})


class IdentityStage:
    """Keyed by an id of a channel, or by a customer."""

    name = "identity"

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    def key_of(self, record: Any) -> str:
        if record.record_type in _OF_CUSTOMERS:
            return f"{CUSTOMER}{record.customer_id}"
        return f"{record.source}:{record.source_user_id}"

    def fresh(self, key: str) -> IdentityState:
        return fresh_state(key)

    def decode(self, key: str, data: bytes) -> IdentityState:
        return decode_state(key, data)

    def encode(self, state: IdentityState) -> bytes:
        return encode_state(state)

    def process(self, record: Any, state: IdentityState, ruleset: RuleSet, now: int | None) -> Outcome | None:
        policy, at = ruleset.policy, to_ms(record.occurred_at)
        if now is not None and at > now + policy.skew_ms:
            return Outcome(rejected=from_the_future(policy.skew_ms))
        run = Run(self._tenant, policy, at if now is None else now)
        rejected = _apply(run, record, state)
        if rejected is None and not run.outputs and not run.republished:
            return None
        return Outcome(run.outputs, rejected, run.republished)

    def run_timers(self, state: IdentityState, ruleset: RuleSet, until: int, now: int | None) -> Outcome | None:
        waiting = cast(ChannelId, state)  # a customer has no timers
        run = Run(self._tenant, ruleset.policy, 0 if now is None else now)
        channel.expire(run, waiting, until)
        waiting.indexed_due = None  # The sweep found this entry: it is written anew or removed.
        return Outcome(run.outputs) if run.outputs else None

    def next_due(self, state: IdentityState) -> int | None:
        if isinstance(state, Person):
            return None
        return min((held.due for held in state.held), default=None)

    def take_due_change(self, state: IdentityState) -> tuple[bool, int | None]:
        due = self.next_due(state)
        if isinstance(state, Person) or due is None or (state.indexed_due is not None and state.indexed_due <= due):
            return (False, None)
        state.indexed_due = due
        return (True, due)


def _apply(run: Run, record: Any, state: IdentityState) -> Rejected | None:
    if isinstance(state, Person):
        (person.join if record.record_type == "identity_member" else person.merge)(run, state, record)
        return None
    if record.record_type == "channel_behaviour":
        return channel.behave(run, state, record)
    (channel.link if record.record_type == "identity_link" else channel.redirect)(run, state, record)
    return None
