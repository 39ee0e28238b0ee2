"""What surrounds a processor in tests: clock, log, publisher and store, whose every step can be watched or broken."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from schemas.base import from_ms
from schemas.events import Behaviour, Feedback
from schemas.journal import JOURNAL, RecordBatch, TimerBatch
from schemas.topics import JOURNAL_TOPIC, TOPIC
from streams.cache import StateCache
from streams.journal import Journalled
from streams.owner import Owner
from streams.partition import BatchReport, Limits, Rulesets, Services
from streams.patience import Patience
from streams.processor import Processor
from streams.refusals import RecordsLost
from streams.signing import ANYONE, Trust
from streams.stages import Routes
from streams.store import Commit, StoreUnavailable
from streams.store_memory import MemoryBackend, MemoryStore
from tests.support.toy_stage import BEHAVIOUR, FEEDBACK, ToyStage, load_toy_ruleset, toy_ruleset
from triggers.engine.batch import Message, RawRecord, decode_batch, run_records, run_timers
from triggers.language.model import RuleSet

START_MS = 1_772_000_000_000
B, F = BEHAVIOUR.name, FEEDBACK.name
SMALL = Limits(max_batch=3, max_batch_seconds=1e9, release_seconds=0.05)


@dataclass(frozen=True, slots=True)
class Raw:
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk, as the driver hands it over."""

    topic: str
    partition: int
    records: Sequence[RawRecord]


def behaviour(offset: int, customer: str, *, at: int = START_MS) -> Raw:
    event = Behaviour(
        tenant="bank",
        event_id=f"b-{offset}",
        occurred_at=from_ms(at),
        customer_id=customer,
        action="browse",
        source="app",
    )
    return Raw(offset, customer.encode(), event.model_dump_json().encode())


def feedback(offset: int, customer: str, *, at: int = START_MS) -> Raw:
    event = Feedback(
        tenant="bank",
        event_id=f"f-{offset}",
        occurred_at=from_ms(at),
        customer_id=customer,
        action_id="a",
        channel="push",
        outcome="opened",
    )
    return Raw(offset, customer.encode(), event.model_dump_json().encode())


class VirtualClock:
    """Stands still until ``advance``. ``reads`` counts how often it was read."""

    def __init__(self) -> None:
        self.time_ms = START_MS
        self.reads = 0
        self.tick_ms = 0
        """Moves on by so much at each reading."""
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []
        self.slept: list[float] = []

    def now_ms(self) -> int:
        self.reads += 1
        self.time_ms += self.tick_ms
        return self.time_ms

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time_ms + round(seconds * 1000), waiter))
        await waiter

    @property
    def sleepers(self) -> int:
        return sum(not waiter.done() for _, waiter in self._sleepers)

    async def advance(self, seconds: float) -> None:
        self.time_ms += round(seconds * 1000)
        for wakes, waiter in self._sleepers:
            if wakes <= self.time_ms and not waiter.done():
                waiter.set_result(None)
        self._sleepers = [one for one in self._sleepers if not one[1].done()]
        for _ in range(20):
            await asyncio.sleep(0)


class FakeLog:
    """Kafka's log of every topic, with what the group committed."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[RawRecord]] = defaultdict(list)
        self.starts: dict[tuple[str, int], int] = {}
        self.ends: dict[tuple[str, int], int] = {}
        self.offsets: dict[tuple[str, int], int] = {}
        self.reads: list[tuple[str, int, int, int]] = []

    def add(self, topic: str, partition: int, *records: RawRecord) -> None:
        self.records[topic, partition].extend(records)

    def _span(self, key: tuple[str, int]) -> tuple[int, int]:
        records = self.records[key]
        end = self.ends.get(key, records[-1].offset + 1 if records else self.starts.get(key, 0))
        return self.starts.get(key, 0), end

    async def read(self, topic: str, partition: int, first: int, last: int) -> list[RawRecord]:
        self.reads.append((topic, partition, first, last))
        start, end = self._span((topic, partition))
        if first < start:
            raise RecordsLost(topic, partition, first, start, end)
        return [record for record in self.records[topic, partition] if first <= record.offset <= last]

    async def committed(self, partitions: Any) -> Mapping[tuple[str, int], int | None]:
        return {key: self.offsets.get(key) for key in partitions}

    async def spans(self, partitions: Any) -> Mapping[tuple[str, int], tuple[int, int]]:
        return {key: self._span(key) for key in partitions}

    def lag(self, topic: str, partition: int, position: int) -> int | None:
        return max(self._span((topic, partition))[1] - position, 0)


class Trace(list[tuple[str, int]]):
    """The effects in the order they happened: (``announce``/``publish``/``commit``/``done``, number)."""

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self]


class Interrupter:
    """Stops the world at chosen steps. ``hang``: the step's name (``after announce``) → it never returns."""

    def __init__(self) -> None:
        self.hang: dict[str, int] = {}
        """Step → how many times it passes before it hangs."""
        self.fail: dict[str, list[Exception]] = defaultdict(list)
        self.hung: list[str] = []
        self._blocked: list[asyncio.Future[None]] = []

    def resume(self) -> None:
        """Lets what hangs go on, and hang no more."""
        self.hang.clear()
        for blocked in self._blocked:
            if not blocked.done():
                blocked.set_result(None)

    async def at(self, step: str) -> None:
        if self.fail[step]:
            raise self.fail[step].pop(0)
        if step in self.hang:
            self.hang[step] -= 1
            if self.hang[step] < 0:
                self.hung.append(step)
                blocked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._blocked.append(blocked)
                await blocked


class WatchedStore(MemoryStore):
    """The memory store with a trace and break points before and after announce and commit."""

    def __init__(self, backend: MemoryBackend, trace: Trace, interrupter: Interrupter) -> None:
        super().__init__(backend)
        self.trace = trace
        self.interrupter = interrupter
        self.loaded: list[str] = []

    async def announce(self, *args: Any) -> list[bytes | None]:
        await self.interrupter.at("before announce")
        answer = await super().announce(*args)
        self.trace.append(("announce", args[2]))
        self.loaded += args[5]
        await self.interrupter.at("after announce")
        return answer

    async def announce_due(self, *args: Any) -> list[tuple[str, bytes | None]]:
        await self.interrupter.at("before announce")
        answer = await super().announce_due(*args)
        self.trace.append(("announce", args[2]))
        await self.interrupter.at("after announce")
        return answer

    async def commit(self, partition: int, epoch: int, sequence: int, changes: Commit) -> int | None:
        await self.interrupter.at("before commit")
        answer = await super().commit(partition, epoch, sequence, changes)
        self.trace.append(("commit", sequence))
        await self.interrupter.at("after commit")
        return answer


class FakePublisher:
    """Keeps what was published; each call is acknowledged as a whole, or at a break point not at all."""

    def __init__(self, trace: Trace, interrupter: Interrupter) -> None:
        self.trace = trace
        self.interrupter = interrupter
        self.messages: list[tuple[int, Message]] = []

    async def publish(self, partition: int, messages: Sequence[Message], *, first: Message | None = None) -> None:
        await self.interrupter.at("before publish")
        self.messages += [(partition, message) for message in messages]
        if first is not None:
            self.messages.append((partition, first))
            self.trace.append(("publish", JOURNAL.validate_json(first.value or b"").sequence))
        await self.interrupter.at("after publish")

    def journal(self, partition: int) -> list[RecordBatch | TimerBatch]:
        """The partition's entries in order; a sequence that was published again counts once, and must be the same."""
        entries: dict[int, RecordBatch | TimerBatch] = {}
        for number, message in self.messages:
            if number == partition and message.topic == JOURNAL_TOPIC:
                entry = JOURNAL.validate_json(message.value or b"")
                assert entries.setdefault(entry.sequence, entry) == entry, "a batch was run again as another batch"
        return [entries[sequence] for sequence in sorted(entries)]

    async def newest(self, partitions: Collection[int]) -> Mapping[int, int]:
        """As ``streams.journal.Journal``."""
        return {number: max((e.sequence for e in self.journal(number)), default=0) for number in partitions}

    async def after(self, partition: int, sequence: int) -> AsyncIterator[Journalled]:
        """As ``streams.journal.Journal``: in the order they were published, repeats too."""
        for number, message in list(self.messages):
            if number == partition and message.topic == JOURNAL_TOPIC:
                entry = JOURNAL.validate_json(message.value or b"")
                if entry.sequence > sequence:
                    yield Journalled(entry, message.value or b"")

    def outputs(self, partition: int) -> dict[bytes, str]:
        """Body → topic of what was published beside the journal; a repeat has the very same body."""
        return {
            message.value or b"": message.topic
            for number, message in self.messages
            if number == partition and message.topic != JOURNAL_TOPIC
        }


@dataclass
class World:
    """What outlives a worker: store, log, what was published. ``worker()`` starts another processor on it."""

    topics: tuple[Any, ...] = (BEHAVIOUR, FEEDBACK)
    prefix: str = ""
    clock_mode: Any = "wall"
    limits: Limits = field(default_factory=lambda: Limits(max_batch_seconds=1e9, release_seconds=0.05))
    clock: VirtualClock = field(default_factory=VirtualClock)
    log: FakeLog = field(default_factory=FakeLog)
    backend: MemoryBackend = field(default_factory=MemoryBackend)
    trace: Trace = field(default_factory=Trace)
    interrupter: Interrupter = field(default_factory=Interrupter)
    stage: ToyStage = field(default_factory=ToyStage)
    ruleset: RuleSet = field(default_factory=toy_ruleset)
    signatures: Mapping[str, str] = field(default_factory=dict)
    trust: Trust = ANYONE
    reports: list[BatchReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.publisher = FakePublisher(self.trace, self.interrupter)

    def worker(self, interrupter: Interrupter | None = None, ruleset: RuleSet | None = None) -> Worker:
        interrupter = interrupter or self.interrupter
        store = WatchedStore(self.backend, self.trace, interrupter)
        publisher = FakePublisher(self.trace, interrupter)
        publisher.messages = self.publisher.messages
        patience = Patience("the store", self.clock, (StoreUnavailable,))
        in_force = ruleset or self.ruleset
        cache = StateCache(1000)
        services = Services(
            tenant="bank",
            store=store,
            patience=patience,
            publisher=publisher,
            cache=cache,
            routes=Routes([self.stage], prefix=self.prefix, topics=self.topics),
            rulesets=Rulesets(store, patience, lambda: in_force, load_toy_ruleset, self.signatures, self.trust),
            source=self.log,
            clock=self.clock,
            clock_mode=self.clock_mode,
            lag=self.log.lag,
            limits=self.limits,
            observe=self.reports.append,
        )
        return Worker(self, Processor(services, self.log, publisher), store, cache)

    def states(self, partition: int = 0) -> dict[str, bytes]:
        """What the store holds of the toy stage."""
        return dict(self.backend.partition(partition).stage("customer").states)


@dataclass
class Worker:
    world: World
    processor: Processor
    store: WatchedStore
    cache: StateCache
    positions: dict[tuple[str, int], int] = field(default_factory=dict)

    async def take_over(self, *partitions: int) -> dict[tuple[str, int], int]:
        """Takes every topic of these partitions."""
        prefix = self.world.prefix
        assigned = {(prefix + topic.name, number) for topic in self.world.topics for number in partitions}
        self.positions = dict(await self.processor.take_over(assigned))
        return self.positions

    async def submit(self, topic: str, records: Sequence[RawRecord], partition: int = 0) -> None:
        """Hands over one chunk; its ``done`` shows in the trace with the chunk's last offset."""
        last = records[-1].offset
        await self.processor.submit(
            Piece(self.world.prefix + topic, partition, records), lambda: self.world.trace.append(("done", last))
        )

    def owner(self, partition: int = 0) -> Owner:
        return self.processor._owners[partition]

    async def kill(self) -> None:
        """Ends it where it hangs, as SIGKILL would: no step follows."""
        for owner in self.processor._owners.values():
            if owner._task is not None:
                owner._task.cancel()
                await asyncio.wait({owner._task})

    async def done(self, last: int) -> None:
        """Waits until the chunk that ends at this offset is acknowledged."""
        await until(lambda: ("done", last) in self.world.trace or self.processor.failed().done())
        if self.processor.failed().done():
            self.processor.failed().result()


async def until(condition: Callable[[], bool], turns: int = 20_000) -> None:
    """Lets everything else run until the condition holds."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition never came to hold")


async def settled(worker: Worker, partition: int = 0, turns: int = 50) -> None:
    """Lets everything run that can run without time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)


def straight_run(world: World, partition: int = 0) -> tuple[dict[str, bytes], set[bytes]]:
    """The oracle: the journal's batches over the log, one after another, on fresh states. States and bodies."""
    stage = ToyStage()
    states: dict[str, Any] = {}
    due: dict[str, int] = {}
    bodies: set[bytes] = set()
    for entry in world.publisher.journal(partition):
        ruleset = toy_ruleset(entry.ruleset)
        if isinstance(entry, RecordBatch):
            topic = TOPIC[entry.topic]
            records = [
                record
                for record in world.log.records[world.prefix + entry.topic, partition]
                if entry.first_offset <= record.offset <= entry.last_offset
            ]
            decoded = decode_batch(stage, topic, "bank", records)
            for key in decoded.keys:
                states.setdefault(key, stage.fresh(key))
            result = run_records(stage, entry, topic, decoded, states, ruleset)
        else:
            keys = [key for _, key in sorted((time, key) for key, time in due.items() if time <= entry.until_ms)]
            result = run_timers(stage, entry, keys[: entry.limit], states, ruleset)
        for key, time in result.due.items():
            due.pop(key, None)
            if time is not None:
                due[key] = time
        bodies |= {message.value or b"" for message in result.messages}
    return {key: stage.encode(state) for key, state in states.items()}, bodies


def assert_equals_straight_run(world: World, partition: int = 0) -> None:
    """Nothing lost, nothing twice but as the very same, state as if nothing had happened; ranges touch."""
    states, bodies = straight_run(world, partition)
    assert world.states(partition) == states
    assert set(world.publisher.outputs(partition)) == bodies
    sequences = [entry.sequence for entry in world.publisher.journal(partition)]
    assert sequences == list(range(1, len(sequences) + 1))
    ends: dict[str, int] = {}
    for entry in world.publisher.journal(partition):
        if isinstance(entry, RecordBatch):
            assert entry.first_offset == ends.get(entry.topic, entry.first_offset)
            ends[entry.topic] = entry.last_offset + 1


@contextmanager
def recorded(logger: str) -> Iterator[list[str]]:
    """The messages of one logger."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, target = Keep(), logging.getLogger(logger)
    level = target.level
    target.addHandler(handler)
    target.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        target.removeHandler(handler)
        target.setLevel(level)


def filled(world: World, events: int, customers: int = 3, partition: int = 0) -> World:
    """A world whose behaviour topic has so many events."""
    world.log.add(B, partition, *(behaviour(offset, f"c{offset % customers}") for offset in range(events)))
    return world


async def hung(
    world: World, step: str, *, passes: int = 0, records: Sequence[RawRecord] | None = None
) -> tuple[Worker, Interrupter]:
    """A worker that has taken partition 0 over and hangs at a step, which it passed so often before, and what holds it.

    It works on the behaviour records; on all of them where none are given.
    """
    worker = world.worker(broken := Interrupter())
    broken.hang[step] = passes
    await worker.take_over(0)
    await worker.submit(B, world.log.records[B, 0] if records is None else records)
    await until(lambda: bool(broken.hung))
    return worker, broken


async def cut_off(world: World, step: str, *, passes: int = 0, records: Sequence[RawRecord] | None = None) -> None:
    """As ``hung``, and then killed there."""
    worker, _ = await hung(world, step, passes=passes, records=records)
    await worker.kill()


def batches(world: World, kind: type[Any] = RecordBatch) -> list[Any]:
    """What the journal of partition 0 has of a kind."""
    return [entry for entry in world.publisher.journal(0) if isinstance(entry, kind)]
