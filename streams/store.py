"""The contract of the state store: states, timers, position, intent and epoch of each partition.

One writer per partition, fenced by its epoch; a batch's intent is announced before anything is published, and
states, timers and position are committed with it in one atomic step.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

NO_SIGNATURES: Final[Mapping[str, str]] = MappingProxyType({})


class Fenced(Exception):
    """Another worker has taken this partition over: give it up, publish and commit nothing more for it."""


class StoreRolledBack(Fenced):
    """The store knows less than this worker wrote: it was restarted empty, or restored from an older snapshot.

    As with ``Fenced``, publish and commit nothing more; but nobody else has the partition. Drop what is cached of it,
    take it over again and go on from the positions the store then gives.
    """


class StoreUnavailable(Exception):
    """The store did not answer: whether the step was taken is unknown. Every step may be repeated as it was."""


class StoreRefused(Exception):
    """The store answers and turns this program away: a wrong password, a missing permission. Repeating is in vain."""


class IntentPending(Exception):
    """A batch is announced and not committed: a worker must finish it before an operator moves the positions."""


class StoreCorrupt(Exception):
    """The store holds what this program cannot have written: stop, an operator must look."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a worker learns on taking a partition.

    ``sequence`` is that of the last committed batch (0 before the first). ``intent`` is a batch that was announced
    and not committed; it must be run before any other. ``positions`` maps a topic to the next offset to read.
    ``next_due`` maps a stage to the earliest time of its timer index, in ms; a stage without timers is left out.
    ``known`` is false for a partition of which the store holds nothing at all: never announced, never reset.
    A take-over alone does not make it known.
    """

    epoch: int
    sequence: int
    intent: bytes | None
    positions: Mapping[str, int]
    next_due: Mapping[str, int]
    known: bool
    halted: str | None = None
    """Why its records are not consumed until an operator says so; ``None`` where they are."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything a batch changed. ``due`` maps a key to its new entry in the timer index, ``None`` to remove it."""

    stage: str
    states: Mapping[str, bytes]
    due: Mapping[str, int | None] = field(default_factory=dict)
    position: tuple[str, int] | None = None
    """The topic and the next offset to read; ``None`` for a batch of timers."""


class Store(Protocol):
    """One contract, two backends: in memory and in Redis. Partition numbers are those of the inbound topics.

    Every step may raise ``StoreUnavailable``, ``StoreRefused`` or ``StoreCorrupt``. Nothing is retried in here.
    """

    async def take_over(self, partition: int) -> Ownership:
        """Raises the partition's epoch and reads what its new owner needs."""

    async def announce(
        self, partition: int, epoch: int, sequence: int, intent: bytes, stage: str, keys: Sequence[str]
    ) -> list[bytes | None]:
        """Writes the intent of batch ``sequence`` and reads the states of ``keys``, in one round trip.

        ``sequence`` is the last committed one plus one. Announcing the same bytes again is allowed (a lost reply; a
        new owner that runs its predecessor's batch); other bytes for an announced sequence are ``StoreCorrupt``, and
        so is a committed sequence. A sequence further ahead is ``StoreRolledBack``.

        Raises ``Fenced``, ``StoreRolledBack``.
        """

    async def announce_due(
        self, partition: int, epoch: int, sequence: int, intent: bytes, stage: str, until_ms: int, limit: int
    ) -> list[tuple[str, bytes | None]]:
        """As ``announce``, for the first ``limit`` keys due by ``until_ms``, ordered by due time, then key."""

    async def commit(self, partition: int, epoch: int, sequence: int, changes: Commit) -> int | None:
        """Commits the announced batch in one atomic step and clears its intent.

        Returns the stage's earliest entry in the timer index, if any. Committing a sequence that is already
        committed by this epoch changes nothing and succeeds (a lost reply). Where the store knows no intent for the
        sequence, nothing is committed: ``StoreRolledBack``.

        Raises ``Fenced``, ``StoreRolledBack``.
        """

    def states(self, partition: int, stage: str) -> AsyncIterator[tuple[str, bytes]]:
        """Every state of a stage of a partition, in no particular order. For inspection, not for the hot path."""

    async def positions(self, partition: int) -> Mapping[str, int]:
        """The committed positions of a partition, without taking it over."""

    async def last_batch(self, partition: int) -> int | None:
        """The number of the last committed batch; ``None`` for a partition that is not known. Nobody is fenced off."""

    async def reset_positions(self, partition: int, positions: Mapping[str, int], sequence: int = 0) -> None:
        """Sets the given positions of a partition no worker owns: an operator's decision. Raises its epoch.

        The partition is known from then on. The numbers of its batches go on behind ``sequence``, where they have not
        come so far. Raises ``IntentPending``.
        """

    async def abandon_intent(self, partition: int) -> int | None:
        """Gives up the batch that is announced and not committed: an operator's decision. Raises the epoch.

        Returns the batch's sequence number, which is used up, or ``None`` where no batch was announced. What was
        published of it stays published; its states, timers and position do not change.
        """

    async def halt(self, partition: int, epoch: int, why: str) -> None:
        """Marks the partition as one whose records are not consumed. It lasts through take-overs.

        Raises ``Fenced``, ``StoreRolledBack``.
        """

    async def halted(self, partition: int) -> str | None:
        """Why the partition's records are not consumed, or ``None`` where they are."""

    async def resume(self, partition: int) -> bool:
        """Takes the mark of ``halt`` away: an operator's decision. Whether there was one."""

    def apart(self) -> Store:
        """A store for copies of partitions, beside the partitions themselves. It is closed with this one."""

    async def clear(self, partition: int) -> None:
        """Deletes all that a store of copies holds of a partition. ``ValueError`` for one that is no such store."""

    async def promote(self, partition: int, last_batch: int | None) -> None:
        """Puts the copy in the partition's place, in one atomic step. Whoever owned the partition is fenced off.

        ``last_batch`` is what the method of that name said before the copy was begun. Raises ``Fenced`` where batches
        were run since then, and ``StoreRolledBack`` where there is no copy; neither changes anything.
        """

    async def put_ruleset(
        self, ruleset_hash: str, document: str, signatures: Mapping[str, str] = NO_SIGNATURES
    ) -> None:
        """Keeps a rule set's document under its hash, for whoever must run a batch again under it.

        ``signatures`` (by the ids of their keys) are put to those that are kept. Another document under the same hash
        is ``StoreCorrupt``.
        """

    async def get_ruleset(self, ruleset_hash: str) -> str | None:
        """The document of a rule set, if it is kept. Who may write to the store may have put another one there."""

    async def ruleset_signatures(self, ruleset_hash: str) -> Mapping[str, str]:
        """The signatures that are kept of a rule set, by the ids of their keys."""

    async def ping(self) -> None:
        """Raises ``StoreUnavailable`` where the store does not answer."""

    async def close(self) -> None:
        """Releases connections."""
