"""A stage small enough to see through: it counts events, sends an action at each fifth, and has one timer.

Its state holds a chain hash over everything that took effect, in order, with its time. Two runs that differ in a
record, in an order or in a ``now`` end in different chains, and the ids of the actions after that differ too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from schemas.actions import NextBestAction
from schemas.base import from_ms, to_ms
from schemas.topics import TOPIC
from triggers.engine.stage import Outcome
from triggers.language.model import Policy, RuleSet

EVERY = 5
TIMER_MS = 10_000
BEHAVIOUR = TOPIC["bank.behaviour"]
FEEDBACK = TOPIC["bank.feedback"]


@dataclass(slots=True)
class ToyState:
    key: str
    count: int = 0
    chain: str = ""
    due: int | None = None
    indexed: int | None = None


class ToyStage:
    """``customer`` by name, so that the registry's topics feed it. ``poison`` is an event id it cannot survive."""

    name = "customer"

    def __init__(self, poison: str | None = None) -> None:
        self.poison = poison
        self.processed = 0

    def key_of(self, record: Any) -> str:
        return str(record.customer_id)

    def fresh(self, key: str) -> ToyState:
        return ToyState(key)

    def decode(self, key: str, data: bytes) -> ToyState:  # noqa: ARG002 - the stage's signature
        return ToyState(**json.loads(data))

    def encode(self, state: ToyState) -> bytes:
        return json.dumps(asdict(state), sort_keys=True).encode()

    def process(self, record: Any, state: ToyState, ruleset: RuleSet, now: int | None) -> Outcome | None:
        if record.event_id == self.poison:
            raise ZeroDivisionError("a bug of the stage")
        self.processed += 1
        time = to_ms(record.occurred_at) if now is None else now
        outputs = self._due(state, ruleset, time)
        state.count += 1
        _link(state, record.event_id, time, ruleset)
        if state.due is None:
            state.due = time + TIMER_MS
        if state.count % EVERY == 0:
            outputs.append(_action(state, "fifth", time, ruleset))
        return Outcome(outputs) if outputs else None

    def run_timers(
        self,
        state: ToyState,
        ruleset: RuleSet,
        until: int,
        now: int | None,  # noqa: ARG002 - the stage's signature
    ) -> Outcome | None:
        outputs = self._due(state, ruleset, until)
        return Outcome(outputs) if outputs else None

    def next_due(self, state: ToyState) -> int | None:
        return state.due

    def take_due_change(self, state: ToyState) -> tuple[bool, int | None]:
        changed = state.due != state.indexed
        state.indexed = state.due
        return changed, state.due

    def _due(self, state: ToyState, ruleset: RuleSet, until: int) -> list[Any]:
        if state.due is None or state.due > until:
            return []
        due, state.due = state.due, None
        _link(state, "timer", due, ruleset)
        return [_action(state, "timer", due, ruleset)]


def toy_ruleset(name: str = "rules-1") -> RuleSet:
    """A rule set whose document is its name; ``load_toy_ruleset`` reads it back."""
    return RuleSet(hash=name, triggers=(), series=(), features=(), policy=Policy(), document=json.dumps(name))


def load_toy_ruleset(document: str) -> RuleSet:
    return toy_ruleset(json.loads(document))


def _link(state: ToyState, what: str, time: int, ruleset: RuleSet) -> None:
    text = f"{state.chain}|{what}|{time}|{ruleset.hash}"
    state.chain = hashlib.sha256(text.encode()).hexdigest()[:16]


def _action(state: ToyState, occasion: str, time: int, ruleset: RuleSet) -> NextBestAction:
    return NextBestAction(
        tenant="bank",
        action_id=f"{state.key}-{state.chain}-{occasion}",
        customer_id=state.key,
        trigger="toy",
        trigger_version=1,
        ruleset=ruleset.hash,
        occasion=occasion,
        step=0,
        channel="push",
        offer="toy",
        category="toy",
        complexity="simple",
        priority=1,
        created_at=from_ms(time),
        # After anything that a test lets pass: what has expired is left out where a batch is run again.
        expires_at=from_ms(time + 86_400_000),
    )
