"""One partition's batches: announce and load, evaluate, publish, commit; the README tells why in this order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal, Protocol

from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import JOURNAL_TOPIC
from streams.clock import Clock
from streams.kept_rulesets import NotTaken, read_kept
from streams.patience import Patience
from streams.refusals import RulesetNotTaken, RulesetUnknown
from streams.signing import ANYONE, Trust
from streams.stages import Routes
from streams.store import NO_SIGNATURES, Commit, Ownership, Store
from streams.watermark import Watermark
from triggers.engine.batch import (
    BatchResult,
    Decoded,
    Message,
    Opened,
    RawRecord,
    decode_batch,
    run_records,
    run_timers,
)
from triggers.engine.stage import Stage
from triggers.language.model import RuleSet


class Publisher(Protocol):
    """Sends messages and waits until every one is acknowledged."""

    async def publish(self, partition: int, messages: Sequence[Message], *, first: Message) -> None:
        """Sends all to the same partition number, in order per topic. Returns when every one is acknowledged.

        ``first``, the journal entry, is acknowledged before any other is sent: should the store be lost, the journal
        tells of everything that was published.

        Waits while Kafka is away; an error it raises is final and ends the worker.
        """


class Cache(Protocol):
    """States in memory, as of the last commit. It may forget any of them at any time."""

    def get(self, partition: int, stage: str, key: str) -> bytes | None:
        """The state's bytes, if they are held."""

    def put(self, partition: int, stage: str, key: str, state: bytes) -> None:
        """Holds a state's bytes."""

    def drop(self, partition: int) -> None:
        """Forgets every state of a partition."""


class RecordSource(Protocol):
    """Reads what a topic's partition holds, apart from the consumer group."""

    async def read(self, topic: str, partition: int, first: int, last: int) -> list[RawRecord]:
        """The readable records from offset ``first`` to ``last``, both included; ``topic`` is Kafka's name.

        Offsets without a record are left out. Raises ``RecordsLost`` where the log no longer reaches back to
        ``first`` or ends before ``last``.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a worker."""

    max_batch: int = 2_000
    """Records in one batch."""
    max_batch_seconds: float = 0.25
    """Evaluation time that a batch should not exceed: the event loop, and with it the heartbeat, stands still."""
    queue_records: int = 10_000
    """Records that wait in one partition's queue before its reader has to wait."""
    timer_limit: int = 500
    """Keys in one batch of timers."""
    release_seconds: float = 2.5
    """How long a revoked partition may finish its batch. Below the time that the driver gives the whole stop."""
    dead_letter_window: int = 10_000
    """Of so many of a partition's last records ..."""
    dead_letter_percent: float = 1.0
    """... more than so many percent that are dead letters stop its consumption; 0: never."""
    fenced_grace_seconds: float = 60.0
    """How long a partition may be refused by the store and still assigned by the group."""


_PHASES: Final = ("load", "evaluate", "publish", "commit")


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a committed batch did, for metrics. ``topic`` is ``None`` for timers. Times in seconds."""

    partition: int
    sequence: int
    stage: str
    topic: str | None
    counts: Counter[str]
    messages: int
    evaluate_seconds: float
    total_seconds: float
    phases: Mapping[str, float]
    """The seconds of load, evaluate, publish and commit."""
    tallies: Mapping[tuple[str, ...], int]
    """What it made: ``("actions", channel, trigger)``, ``("decisions", outcome, reason)`` and the like."""
    action_seconds: Sequence[float]
    """For each record that an action came of, from its time stamp on Kafka to the action's acknowledgement."""
    waited_seconds: Mapping[str, float]
    """By the wall clock, how long its first and its last record had been on Kafka when it was announced."""
    timer_delay_seconds: float | None
    """How late the first timer of a batch was run; ``None`` for records, and where the records' time counts."""


def _ignore(_report: BatchReport) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Services:
    """What every partition of a worker shares."""

    tenant: str
    store: Store
    patience: Patience
    """Of the store."""
    publisher: Publisher
    cache: Cache
    routes: Routes
    rulesets: Rulesets
    source: RecordSource
    clock: Clock
    clock_mode: Literal["wall", "record"]
    lag: Callable[[str, int, int], int | None]
    """How many records of a topic (Kafka's name) and partition lie at or after a position; ``None``: unknown."""
    limits: Limits = field(default_factory=Limits)
    observe: Callable[[BatchReport], None] = _ignore


class Rulesets:
    """The rule set in force, with its signatures, and older ones for batches that must be run again."""

    def __init__(
        self,
        store: Store,
        patience: Patience,
        in_force: Callable[[], RuleSet],
        load_document: Callable[[str], RuleSet],
        signatures: Mapping[str, str] = NO_SIGNATURES,
        trust: Trust = ANYONE,
    ) -> None:
        self._store = store
        self._patience = patience
        self._in_force = in_force
        self._load_document = load_document
        self._signatures = signatures
        self._trust = trust
        self._kept: set[str] = set()
        self._older: dict[str, RuleSet] = {}

    @property
    def in_force(self) -> str:
        """The hash of the rule set in force."""
        return self._in_force().hash

    async def current(self) -> RuleSet:
        """The rule set in force. Its document is in the store before any batch names it."""
        ruleset = self._in_force()
        if ruleset.hash not in self._kept:
            await self._patience.insist(
                lambda: self._store.put_ruleset(ruleset.hash, ruleset.document, self._signatures)
            )
            self._kept.add(ruleset.hash)
        return ruleset

    async def named(self, ruleset_hash: str, partition: int) -> RuleSet:
        """The rule set of a hash. Raises ``RulesetUnknown`` and ``RulesetNotTaken``."""
        ruleset = self._in_force()
        if ruleset.hash == ruleset_hash:
            return ruleset
        if ruleset_hash in self._older:
            return self._older[ruleset_hash]
        try:
            kept = await read_kept(self._store, self._patience, ruleset_hash, self._trust, self._load_document)
        except NotTaken as error:
            raise RulesetNotTaken(ruleset_hash, partition, str(error)) from error
        if kept is None:
            raise RulesetUnknown(ruleset_hash, partition)
        self._older[ruleset_hash] = kept.ruleset
        return kept.ruleset


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """What a batch of records will be run over, and since when (``time.perf_counter``) it has been worked on."""

    decoded: Decoded
    began: float


class Partition:
    """A partition that this worker owns under one epoch. Its batches must be run one after another.

    ``positions`` maps a topic of the registry to the next offset to read. ``clean`` is false from the moment a
    batch begins until it is committed: the cached states are then ahead of the store and must not be used.
    """

    def __init__(self, number: int, services: Services, ownership: Ownership, positions: Mapping[str, int]) -> None:
        self.number = number
        self.epoch = ownership.epoch
        self.sequence = ownership.sequence
        self.positions = dict(positions)
        self.next_due: dict[str, int] = dict(ownership.next_due)
        self.watermark = Watermark()
        self.clean = True
        self.halted = ownership.halted
        """Why its records are not consumed until an operator says so; ``None`` where they are."""
        self._services = services

    def read(self, topic: str, records: Sequence[RawRecord], most_rejected: int | None = None) -> RecordsRead:
        """Reads records of a topic (the registry's name); no further than the last of ``most_rejected`` bad ones."""
        services, began = self._services, time.perf_counter()
        route = services.routes.of_topic(topic)
        return RecordsRead(decode_batch(route.stage, route.topic, services.tenant, records, most_rejected), began)

    async def run_records(
        self,
        entry: RecordBatch,
        intent: bytes,
        records: RecordsRead,
        ruleset: RuleSet,
        publisher: Publisher | None = None,
    ) -> BatchReport:
        """Runs a batch of records to its commit. ``intent`` is the entry's bytes, as announced and journalled.

        It is sent through ``publisher``, which is the services' where none is given. Whatever is raised (``Fenced``,
        ``StoreCorrupt``, a bug, cancellation), the partition's cache is dropped.
        """
        services, times, decoded = self._services, [records.began], records.decoded
        route = services.routes.of_topic(entry.topic)
        stage = route.stage
        with _Unfinished(self, services.cache):
            stored, missing = self._cached(stage, decoded.keys)
            found = await services.patience.insist(
                lambda: services.store.announce(self.number, self.epoch, entry.sequence, intent, stage.name, missing)
            )
            stored.update(zip(missing, found, strict=True))
            times.append(time.perf_counter())
            result = run_records(stage, entry, route.topic, decoded, Opened(stage, stored), ruleset)
            times.append(time.perf_counter())
            stamps = [getattr(decoded.records[index][0], "timestamp", None) for index in result.acted]
            sent_ms = await self._finish(
                entry, intent, stage, result, (entry.topic, entry.last_offset + 1), times, publisher
            )
        if services.clock_mode == "record":
            self.watermark.saw(entry.topic, decoded)
        waited = [max(0, sent_ms - stamp) / 1000 for stamp in stamps if stamp is not None and stamp >= 0]
        return self._report(entry, entry.topic, result, times, waited, _waited(entry, decoded), None)

    async def run_timers(
        self, entry: TimerBatch, intent: bytes, ruleset: RuleSet, publisher: Publisher | None = None
    ) -> BatchReport:
        """Runs a batch of due timers to its commit; otherwise as ``run_records``."""
        services, times = self._services, [time.perf_counter()]
        stage = services.routes.stage(entry.stage)
        first_due = self.next_due.get(stage.name)
        late = max(0, entry.now_ms - first_due) / 1000 if entry.clock == "wall" and first_due is not None else None
        with _Unfinished(self, services.cache):
            found = await services.patience.insist(
                lambda: services.store.announce_due(
                    self.number, self.epoch, entry.sequence, intent, stage.name, entry.until_ms, entry.limit
                )
            )
            keys = [key for key, _ in found]
            times.append(time.perf_counter())
            result = run_timers(stage, entry, keys, Opened(stage, dict(found)), ruleset)
            times.append(time.perf_counter())
            if keys and all(due is not None and due <= entry.until_ms for due in map(result.due.get, keys)):
                raise RuntimeError(
                    f"the timers of stage {stage.name} make no progress: all are still due after a sweep"
                )
            await self._finish(entry, intent, stage, result, None, times, publisher)
        return self._report(entry, None, result, times, (), {}, late)

    def _cached(self, stage: Stage[Any], keys: Sequence[str]) -> tuple[dict[str, bytes | None], list[str]]:
        """The bytes of the cached states, and the keys whose states are not cached."""
        stored: dict[str, bytes | None] = {}
        missing = []
        get = self._services.cache.get
        for key in keys:
            data = get(self.number, stage.name, key)
            if data is None:
                missing.append(key)
            else:
                stored[key] = data
        return stored, missing

    async def _finish(
        self,
        entry: RecordBatch | TimerBatch,
        intent: bytes,
        stage: Stage[Any],
        result: BatchResult,
        position: tuple[str, int] | None,
        times: list[float],
        publisher: Publisher | None,
    ) -> int:
        """Publishes and commits; returns when (ms) everything was acknowledged. Adds both ends to ``times``."""
        services = self._services
        journal = Message(JOURNAL_TOPIC, str(self.number).encode(), intent)
        await (publisher or services.publisher).publish(self.number, result.messages, first=journal)
        sent_ms = services.clock.now_ms()
        times.append(time.perf_counter())
        changes = Commit(
            stage=stage.name,
            states=result.states,
            due=result.due,
            position=position,
        )
        # A lost reply is no reason to evaluate again: the very same step is repeated until it is answered.
        next_due = await services.patience.insist(
            lambda: services.store.commit(self.number, self.epoch, entry.sequence, changes)
        )
        self.sequence = entry.sequence
        if position is not None:
            self.positions[position[0]] = position[1]
        if next_due is None:
            self.next_due.pop(stage.name, None)
        else:
            self.next_due[stage.name] = next_due
        put = services.cache.put
        for key, data in result.states.items():
            put(self.number, stage.name, key, data)
        times.append(time.perf_counter())
        return sent_ms

    def _report(
        self,
        entry: RecordBatch | TimerBatch,
        topic: str | None,
        result: BatchResult,
        times: Sequence[float],
        action_seconds: Sequence[float],
        waited_seconds: Mapping[str, float],
        timer_delay_seconds: float | None,
    ) -> BatchReport:
        phases = {name: end - begin for name, (begin, end) in zip(_PHASES, pairwise(times), strict=True)}
        report = BatchReport(
            partition=self.number,
            sequence=entry.sequence,
            stage=entry.stage,
            topic=topic,
            counts=result.counts,
            messages=len(result.messages),
            evaluate_seconds=phases["evaluate"],
            total_seconds=times[-1] - times[0],
            phases=phases,
            tallies=result.tallies,
            action_seconds=action_seconds,
            waited_seconds=waited_seconds,
            timer_delay_seconds=timer_delay_seconds,
        )
        self._services.observe(report)
        return report


def _waited(entry: RecordBatch, decoded: Decoded) -> dict[str, float]:
    """How long the first and the last record had been on Kafka, whichever clock decisions go by."""
    ends = {"first": decoded.records[0][0], "last": decoded.records[-1][0]}
    stamps = {name: getattr(record, "timestamp", None) for name, record in ends.items()}
    return {
        name: max(0, entry.now_ms - stamp) / 1000 for name, stamp in stamps.items() if stamp is not None and stamp >= 0
    }


class _Unfinished:
    """Marks a batch under way. A batch that does not end in its commit takes the partition's cache with it."""

    __slots__ = ("_cache", "_partition")

    def __init__(self, partition: Partition, cache: Cache) -> None:
        self._partition = partition
        self._cache = cache

    def __enter__(self) -> None:
        self._partition.clean = False

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._partition.clean = True
        else:
            self._cache.drop(self._partition.number)
