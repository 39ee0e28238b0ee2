"""What must come of the work: the pure engine over the records of each partition in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.base import to_ms
from schemas.decode import Rejected, decode
from schemas.encode import encode
from schemas.topics import TOPIC
from streams.publisher import partition_of
from tests.support.system import Event
from triggers.engine.customer import CustomerStage
from triggers.engine.state import CustomerState
from triggers.language.loader import load_ruleset


@dataclass(frozen=True, slots=True)
class Expectation:
    """The ids of the actions and decisions, and the bytes of all of them."""

    actions: frozenset[str]
    decisions: frozenset[str]
    size: int

    @property
    def ids(self) -> frozenset[str]:
        """All of them."""
        return self.actions | self.decisions

    @property
    def mean_bytes(self) -> int:
        """The length of a message on average."""
        return self.size // max(1, len(self.ids))


def expect(outputs: Iterable[Any]) -> Expectation:
    """What a contender must publish for these to be its outputs."""
    outputs = list(outputs)
    return Expectation(
        frozenset(output.action_id for output in outputs if output.record_type == "action"),
        frozenset(output.decision_id for output in outputs if output.record_type == "decision"),
        sum(len(encode(output)) for output in outputs),
    )


def outputs_of(rules: Path, events: Iterable[Event], partitions: int) -> list[Any]:
    """What the engine makes of events in their order; timers go as far as the records of their partition came."""
    loaded = load_ruleset([rules])
    if loaded.ruleset is None:
        raise SystemExit("\n".join(map(str, loaded.problems)))
    stage = CustomerStage("bank")
    states: dict[str, CustomerState] = {}
    reached: dict[int, int] = {}
    outputs: list[Any] = []
    for event in events:
        record: Any = decode(TOPIC[event.topic], "bank", event.key, event.value)
        if isinstance(record, Rejected):
            raise SystemExit(f"the work holds a record that cannot be read: {record}")
        key = stage.key_of(record)
        state = states.get(key) or states.setdefault(key, stage.fresh(key))
        outcome = stage.process(record, state, loaded.ruleset, None)
        outputs += outcome.outputs if outcome is not None else ()
        number = partition_of(event.key or b"", partitions)
        reached[number] = max(to_ms(record.occurred_at), reached.get(number, 0))
    for key, state in states.items():
        outcome = stage.run_timers(state, loaded.ruleset, reached[partition_of(key.encode(), partitions)], None)
        outputs += outcome.outputs if outcome is not None else ()
    return outputs
