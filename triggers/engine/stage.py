"""What a stage is: one kind of key with its state and its pure functions. The processor runs every stage alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from schemas.base import Record
from schemas.decode import Rejected
from triggers.language.model import RuleSet

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Republished:
    """A record that another stage reads. ``origin`` names the one it came of, and goes with it as a header."""

    record: Record
    origin: str


@dataclass(slots=True)
class Outcome:
    """What came of one record or one run of timers, in order: actions, cancellations, decisions."""

    outputs: list[Record] = field(default_factory=list)
    rejected: Rejected | None = None
    """Set when the record was read but may not take effect (too late, from the future)."""
    republished: Sequence[Republished] = ()


class Stage(Protocol[S]):
    """A keyed stage. ``process`` and ``run_timers`` own the state they are given and change it in place.

    All times are milliseconds from the epoch. Nothing here reads a clock or draws a random number: the same
    calls in the same order give the same outputs and the same state.
    """

    name: str

    def key_of(self, record: Any) -> str:
        """The key whose state the record concerns."""

    def fresh(self, key: str) -> S:
        """The state of a key never seen."""

    def decode(self, key: str, data: bytes) -> S:
        """A state from its bytes. Raises ``UnreadableState`` where they are damaged or of a later version."""

    def encode(self, state: S) -> bytes:
        """The bytes of a state. Equal states have equal bytes."""

    def process(self, record: Any, state: S, ruleset: RuleSet, now: int | None) -> Outcome | None:
        """One record; ``None`` where nothing came of it.

        ``now`` is the batch's time, or ``None`` where the record's own time counts (``clock: record``).
        """

    def run_timers(self, state: S, ruleset: RuleSet, until: int, now: int | None) -> Outcome | None:
        """Runs, in order, the state's timers due by ``until``."""

    def next_due(self, state: S) -> int | None:
        """When the state's earliest timer is due."""

    def take_due_change(self, state: S) -> tuple[bool, int | None]:
        """Whether the state's entry in the timer index must change, and to which due time (``None``: no entry).

        Asked once after each batch; the state remembers the answer, so that an entry is not rewritten each time. It
        must not come too late. One that comes too early is harmless: the sweep runs nothing and asks again.
        """


class WithoutTimers:
    """What a stage has that sets no timers."""

    def run_timers(self, _state: Any, _ruleset: RuleSet, _until: int, _now: int | None) -> Outcome | None:
        return None

    def next_due(self, _state: Any) -> int | None:
        return None

    def take_due_change(self, _state: Any) -> tuple[bool, int | None]:
        return (False, None)


class UnreadableState(Exception):
    """The bytes of a state are damaged or were written by a later version."""
