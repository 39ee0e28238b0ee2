"""The state store in plain dictionaries: for the pure check of the demo and for tests. Nothing outlives the process."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from streams.store import NO_SIGNATURES, Commit, Fenced, IntentPending, Ownership, StoreCorrupt, StoreRolledBack


class MemoryBackend:
    """What a server would hold. Stores on the same backend see each other, as the workers of one Redis do."""

    def __init__(self) -> None:
        self.partitions: dict[int, _Partition] = {}
        self.rulesets: dict[str, str] = {}
        self.signatures: dict[str, dict[str, str]] = {}
        self.copies: dict[int, _Partition] = {}

    def partition(self, number: int) -> _Partition:
        return self.partitions.setdefault(number, _Partition())


class MemoryStore:
    """``streams.store.Store`` in memory. No step awaits anything, so each is atomic by itself."""

    def __init__(self, backend: MemoryBackend | None = None) -> None:
        self.backend = backend if backend is not None else MemoryBackend()

    async def take_over(self, partition: int) -> Ownership:
        p = self.backend.partition(partition)
        p.epoch += 1
        return Ownership(
            epoch=p.epoch,
            sequence=p.sequence,
            intent=p.intent,
            positions=dict(p.positions),
            next_due={name: due for name, stage in p.stages.items() if (due := stage.next_due()) is not None},
            known=p.known,
            halted=p.halted,
        )

    async def announce(
        self, partition: int, epoch: int, sequence: int, intent: bytes, stage: str, keys: Sequence[str]
    ) -> list[bytes | None]:
        p = self.backend.partition(partition)
        _write_intent(p, epoch, sequence, intent)
        states = p.stage(stage).states
        return [states.get(key) for key in keys]

    async def announce_due(
        self, partition: int, epoch: int, sequence: int, intent: bytes, stage: str, until_ms: int, limit: int
    ) -> list[tuple[str, bytes | None]]:
        if limit < 1:
            raise ValueError(f"the limit is {limit}, at least 1 is wanted")
        p = self.backend.partition(partition)
        _write_intent(p, epoch, sequence, intent)
        held = p.stage(stage)
        first = held.order[: min(limit, bisect_left(held.order, (until_ms + 1, "")))]
        return [(key, held.states.get(key)) for _, key in first]

    async def commit(self, partition: int, epoch: int, sequence: int, changes: Commit) -> int | None:
        p = self.backend.partition(partition)
        _fence(p, epoch)
        stage = p.stage(changes.stage)
        if sequence == p.sequence and p.sequence_epoch == epoch:
            return stage.next_due()
        if sequence <= p.sequence:
            raise StoreCorrupt(f"batch {sequence} is committed, and {p.sequence} was committed already")
        if p.intent is None or sequence != p.sequence + 1:
            raise StoreRolledBack(f"batch {sequence} is committed, but its intent is not there")
        stage.states.update(changes.states)
        for key, due in changes.due.items():
            stage.set_due(key, due)
        if changes.position is not None:
            topic, offset = changes.position
            p.positions[topic] = offset
        p.sequence, p.sequence_epoch, p.intent = sequence, epoch, None
        return stage.next_due()

    async def states(self, partition: int, stage: str) -> AsyncIterator[tuple[str, bytes]]:
        for item in list(self.backend.partition(partition).stage(stage).states.items()):
            yield item

    async def positions(self, partition: int) -> Mapping[str, int]:
        return dict(self.backend.partition(partition).positions)

    async def last_batch(self, partition: int) -> int | None:
        p = self.backend.partition(partition)
        return p.sequence if p.known else None

    async def reset_positions(self, partition: int, positions: Mapping[str, int], sequence: int = 0) -> None:
        p = self.backend.partition(partition)
        if p.intent is not None:
            raise IntentPending(f"batch {p.sequence + 1} of partition {partition} is announced and not committed")
        p.epoch += 1
        p.known = True
        if sequence > p.sequence:
            p.sequence, p.sequence_epoch = sequence, 0
        p.positions.update(positions)

    async def abandon_intent(self, partition: int) -> int | None:
        p = self.backend.partition(partition)
        if p.intent is None:
            return None
        p.epoch += 1
        p.sequence, p.sequence_epoch, p.intent = p.sequence + 1, 0, None
        return p.sequence

    async def halt(self, partition: int, epoch: int, why: str) -> None:
        p = self.backend.partition(partition)
        _fence(p, epoch)
        p.halted = why

    async def halted(self, partition: int) -> str | None:
        return self.backend.partition(partition).halted

    async def resume(self, partition: int) -> bool:
        p = self.backend.partition(partition)
        was, p.halted = p.halted, None
        return was is not None

    def apart(self) -> MemoryStore:
        copies = MemoryBackend()
        copies.partitions = self.backend.copies
        return _Copies(copies)

    async def clear(self, partition: int) -> None:  # noqa: ARG002 - the contract's
        raise ValueError("only a store of copies is cleared")

    async def promote(self, partition: int, last_batch: int | None) -> None:
        p = self.backend.partition(partition)
        if await self.last_batch(partition) != last_batch:
            raise Fenced(f"a worker has run batches of partition {partition} meanwhile")
        copy = self.backend.copies.get(partition)
        if copy is None or not copy.known:
            raise StoreRolledBack(f"the copy of partition {partition} is not there")
        copy.epoch, copy.halted = p.epoch + 1, p.halted
        self.backend.partitions[partition] = self.backend.copies.pop(partition)

    async def put_ruleset(
        self, ruleset_hash: str, document: str, signatures: Mapping[str, str] = NO_SIGNATURES
    ) -> None:
        if self.backend.rulesets.setdefault(ruleset_hash, document) != document:
            raise StoreCorrupt(f"another document is kept as rule set {ruleset_hash}")
        self.backend.signatures.setdefault(ruleset_hash, {}).update(signatures)

    async def get_ruleset(self, ruleset_hash: str) -> str | None:
        return self.backend.rulesets.get(ruleset_hash)

    async def ruleset_signatures(self, ruleset_hash: str) -> Mapping[str, str]:
        return dict(self.backend.signatures.get(ruleset_hash, {}))

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None


class _Copies(MemoryStore):
    async def clear(self, partition: int) -> None:
        self.backend.partitions.pop(partition, None)


@dataclass(slots=True)
class _StageData:
    """The states of a stage of a partition, and its timer index: by key, and in the order of due time and key."""

    states: dict[str, bytes] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    order: list[tuple[int, str]] = field(default_factory=list)

    def next_due(self) -> int | None:
        return self.order[0][0] if self.order else None

    def set_due(self, key: str, due: int | None) -> None:
        before = self.due.pop(key, None)
        if before is not None:
            del self.order[bisect_left(self.order, (before, key))]
        if due is not None:
            self.due[key] = due
            insort(self.order, (due, key))


@dataclass(slots=True)
class _Partition:
    epoch: int = 0
    sequence: int = 0
    sequence_epoch: int = 0
    intent: bytes | None = None
    """Of batch ``sequence + 1``."""
    known: bool = False
    halted: str | None = None
    positions: dict[str, int] = field(default_factory=dict)
    stages: dict[str, _StageData] = field(default_factory=dict)

    def stage(self, name: str) -> _StageData:
        return self.stages.setdefault(name, _StageData())


def _fence(p: _Partition, epoch: int) -> None:
    if p.epoch > epoch:
        raise Fenced(f"epoch {epoch} was followed by {p.epoch}")
    if p.epoch < epoch:
        raise StoreRolledBack(f"epoch {p.epoch} is older than this owner's {epoch}")


def _write_intent(p: _Partition, epoch: int, sequence: int, intent: bytes) -> None:
    _fence(p, epoch)
    if sequence > p.sequence + 1:
        raise StoreRolledBack(f"batch {sequence} is announced after batch {p.sequence}")
    if sequence <= p.sequence:
        raise StoreCorrupt(f"batch {sequence} is announced, and {p.sequence} is committed already")
    if p.intent is not None and p.intent != intent:
        raise StoreCorrupt(f"batch {sequence} was announced with another intent")
    p.intent, p.known = intent, True
