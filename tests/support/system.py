"""The whole system for end-to-end tests: topics on a real Kafka, states in a real Redis, workers as processes.

A system has a prefix of its own, which is its topics', its namespace and its consumer group, so that many share one
broker and one server.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from redis import Redis

from schemas.base import to_ms
from schemas.dead_letter import DEAD_LETTER_HEADER, RESOLUTION_HEADER, DeadLetter
from schemas.decode import Rejected, decode
from schemas.journal import JOURNAL, RecordBatch, TimerBatch
from schemas.topics import CONSUMED, DEAD_LETTERS, DECISIONS, JOURNAL_TOPIC, TOPICS
from streams.connections import kafka_options
from streams.event_file import read_events
from streams.settings import Settings, load_settings
from streams.stages import Routes
from streams.store_redis import STAGES
from streams.topic_admin import create
from streams.worker import make_routes, open_store
from tests.support.kafka_broker import Consumed, consume_all
from tests.support.run_to_end import run_to_end
from tests.support.sockets import is_asleep, under_way_to, unread_by
from tests.support.worker_process import WorkerProcess, run_command, wait_until
from triggers.errors import Problem
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

OUTBOUND = tuple(topic.name for topic in TOPICS if topic.direction == "outbound" and topic.name.startswith("outreach."))
QUEUES = tuple(name for name in OUTBOUND if name != DECISIONS)
_NUMBERS = count(1)
_STILL_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Event:
    """A message for an inbound topic (the registry's name). ``partition`` only where the key must not decide."""

    topic: str
    key: bytes | None
    value: bytes
    partition: int | None = None


def event(topic: str, key: str, **body: Any) -> Event:
    """An event from the fields of its record."""
    return Event(topic, key.encode(), json.dumps(body, ensure_ascii=False).encode())


def payment(customer: str, number: int, at: str, **changes: Any) -> Event:
    """A customer's ``number``-th payment, of 500, from its one account at an ISO time; ``changes`` are other fields."""
    body = {
        "tenant": "bank",
        "event_id": f"{customer}-{number}",
        "occurred_at": at,
        "customer_id": customer,
        "account_id": f"a-{customer}",
        "sequence": number,
        "direction": "debit",
        "amount": "500.00",
        "currency": "CNY",
        "balance_after": str(1_000_000 - 500 * number),
    }
    return event("bank.transactions", customer, **{**body, **changes})


def events_of_file(path: Path) -> list[Event]:
    """The events of an event file, every line of which must be good."""
    events = []
    for line in read_events(path):
        assert not isinstance(line, Problem), line
        events.append(Event(line.topic, None if line.key is None else line.key.encode(), line.value))
    return events


@dataclass(frozen=True, slots=True)
class Meta:
    """What the store knows of a partition."""

    epoch: int = 0
    sequence: int = 0
    intent: RecordBatch | TimerBatch | None = None
    positions: Mapping[str, int] = field(default_factory=dict)
    first_due_ms: Mapping[str, int] = field(default_factory=dict)
    """Of each stage that has timers."""


class System:
    """Topics, store and workers of one test. A failure inside its ``with`` shows the logs of its workers.

    ``rules`` is a folder of trigger files; ``settings`` are added to those of every command. Where what the workers use
    is locked, ``kafka_inside`` and ``redis_inside`` are the test's own way in.
    """

    def __init__(
        self,
        kafka: str,
        redis_url: str,
        folder: Path,
        *,
        rules: Path,
        name: str = "it",
        partitions: int = 4,
        kafka_inside: str | None = None,
        redis_inside: str | None = None,
        **settings: object,
    ) -> None:
        self.kafka = kafka_inside or kafka
        """The broker's address for the test itself."""
        self.name = f"{name}-{next(_NUMBERS)}"
        self.folder = folder
        self.rules = rules
        self.partitions = partitions
        self.env: dict[str, object] = {
            "kafka_bootstrap": kafka,
            "redis_url": redis_url,
            "topic_prefix": f"{self.name}.",
            "namespace": self.name,
            "app_id": self.name,
            "partitions": partitions,
            "clock": "record",
            "session_timeout_ms": 2_000,
            "heartbeat_interval_ms": 400,
            "startup_seconds": 30,
            **settings,
        }
        given = {f"BANK_TRIGGERS_{setting.upper()}": str(value) for setting, value in self.env.items()}
        self.settings: Settings = load_settings(environ=given)
        self.routes: Routes = make_routes(self.settings)
        self.workers: list[WorkerProcess] = []
        self._worker_numbers = count(1)
        self.rulesets: dict[str, RuleSet] = {}
        """Every rule set a worker was started with, by its hash."""
        self._redis = Redis.from_url(redis_inside or redis_url)
        self._probe = self._open_probe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for worker in self.workers:
            if kind is not None:
                print(f"--- {worker}")
            worker.kill()
        self._probe.close()
        self._redis.close()

    def _open_probe(self) -> Consumer:
        return Consumer({"bootstrap.servers": self.kafka, "group.id": "unused", "log_level": 0})

    # Doing

    def create_topics(self) -> None:
        """As ``bank-triggers topics create`` does it."""

        async def ask() -> None:
            admin = AIOKafkaAdminClient(**kafka_options(self.settings))
            try:
                await admin.start()
                await create(admin, self.settings)
            finally:
                await admin.close()

        run_to_end(ask())

    def command(self, *arguments: str | Path, seconds: float = 60.0, **settings: object) -> tuple[int, str]:
        """Runs another command under these settings; its exit code and what it wrote."""
        return run_command(*arguments, settings={**self.env, **settings}, seconds=seconds)

    def start_worker(self, rules: Path | None = None, **settings: object) -> WorkerProcess:
        """Starts a worker; returns at once."""
        rules = rules or self.rules
        loaded = load_ruleset([rules])
        assert loaded.ruleset is not None, loaded.problems
        self.rulesets[loaded.ruleset.hash] = loaded.ruleset
        name = f"{self.name}-worker-{next(self._worker_numbers)}"
        worker = WorkerProcess(name, rules, {**self.env, **settings}, self.folder / f"{name}.log")
        self.workers.append(worker)
        return worker

    def stop_workers(self) -> None:
        """Stops those that run, in order; each must end with 0."""
        running = [worker for worker in self.workers if worker.running]
        for worker in running:
            worker.process.terminate()
        for worker in running:
            assert worker.wait(20) == 0, f"{worker}"

    def publish(self, events: Iterable[Event], compression: str = "none") -> int:
        """Publishes in order, keyed by the partitioner every client of Kafka shares; waits for acknowledgements."""
        failures: list[KafkaError] = []

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        producer = Producer(
            {
                "bootstrap.servers": self.kafka,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "message.max.bytes": 32 * 1024 * 1024,
                "compression.type": compression,
                "linger.ms": 2,
                "log_level": 0,
            }
        )
        sent = 0
        for item in events:
            # -1 leaves it to the partitioner.
            partition = -1 if item.partition is None else item.partition
            topic = self.kafka_topic(item.topic)
            while True:
                try:
                    producer.produce(topic, item.value, item.key, partition, on_delivery)
                    break
                except BufferError:
                    producer.poll(0.1)
            sent += 1
        left = producer.flush(60)
        assert not failures, failures[0]
        assert left == 0, f"{left} events were not acknowledged"
        return sent

    # Looking

    def kafka_topic(self, topic: str) -> str:
        """A topic of the registry as it is called on this Kafka."""
        return self.settings.topic_prefix + topic

    def read(self, topic: str) -> list[Consumed]:
        """All that a topic holds, by partition and offset."""
        return consume_all(self.kafka, self.kafka_topic(topic))

    def ends(self, topic: str) -> dict[int, int]:
        """The next offset to be written of each partition."""
        return {p: self._end(TopicPartition(self.kafka_topic(topic), p)) for p in range(self.partitions)}

    def _end(self, of: TopicPartition, seconds: float = 60.0) -> int:
        deadline = time.monotonic() + seconds
        while True:
            try:
                end: int = self._probe.get_watermark_offsets(of, timeout=5)[1]
            except KafkaException:
                # A broker that has just come back does not lead its partitions yet; another one asks anew who does.
                if time.monotonic() > deadline:
                    raise
                self._probe.close()
                self._probe = self._open_probe()
                time.sleep(0.1)
            else:
                return end

    def journal_size(self) -> int:
        """How many entries the journal has."""
        return sum(self.ends(JOURNAL_TOPIC).values())

    def journal(self) -> list[RecordBatch | TimerBatch]:
        """The journal's entries, by partition and offset, repeats too."""
        return [JOURNAL.validate_json(record.value or b"") for record in self.read(JOURNAL_TOPIC)]

    def actions(self) -> list[dict[str, Any]]:
        """The actions on all outreach queues, without withdrawals; repeats dropped."""
        return [body for body in self.outreach() if body["type"] == "action"]

    def outreach(self) -> list[dict[str, Any]]:
        """Actions and withdrawals on all outreach queues, repeats dropped, in order within a queue's partition."""
        return [json.loads(value) for value in dict.fromkeys(r.value or b"" for q in QUEUES for r in self.read(q))]

    def decisions(self) -> list[dict[str, Any]]:
        """The decisions, repeats dropped."""
        return [json.loads(value) for value in dict.fromkeys(r.value or b"" for r in self.read(DECISIONS))]

    def dead_letters(self) -> list[tuple[DeadLetter, Consumed]]:
        """The dead letters with their messages, repeats too; without the marks of what was done about them."""
        return [
            (DeadLetter.model_validate_json(dict(record.headers)[DEAD_LETTER_HEADER]), record)
            for record in self.read(DEAD_LETTERS)
            if RESOLUTION_HEADER not in dict(record.headers)
        ]

    def meta(self, partition: int) -> Meta:
        """What the store knows of a partition, without taking it over (keys: ``streams.store_redis``)."""
        tag = f"{{{self.name}:{partition}}}"
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(f"{tag}:meta")
            for stage in STAGES:
                pipe.zrange(f"{tag}:due:{stage}", 0, 0, withscores=True)
            found, *due = pipe.execute()
        intent = found.get(b"intent")
        return Meta(
            epoch=int(found.get(b"epoch", 0)),
            sequence=int(found.get(b"seq", 0)),
            intent=None if intent is None else JOURNAL.validate_json(intent),
            positions={k[4:].decode(): int(v) for k, v in found.items() if k.startswith(b"pos:")},
            first_due_ms={stage: int(first[0][1]) for stage, first in zip(STAGES, due, strict=True) if first},
        )

    def states(self) -> dict[tuple[str, int, str], bytes]:
        """Every state in the store: (stage, partition, key) → bytes."""

        async def ask() -> dict[tuple[str, int, str], bytes]:
            store = open_store(self.settings)
            try:
                return {
                    (stage, partition, key): state
                    for stage in STAGES
                    for partition in range(self.partitions)
                    async for key, state in store.states(partition, stage)
                }
            finally:
                await store.close()

        return run_to_end(ask())

    def forget_everything(self) -> None:
        """Empties the store of this system, as if its server had been restarted empty."""
        for pattern in (f"{{{self.name}:*", f"{self.name}:*"):
            for key in self._redis.scan_iter(pattern, count=1000):
                self._redis.delete(key)

    # Waiting

    def wait_until_drained(self, seconds: float = 90.0) -> None:
        """Waits until every record took effect, every timer that is due has run, and no batch is under way."""
        ends = self._ends_of_all()
        reached = self._reached_ms(ends)
        left: list[str] = []

        def drained() -> bool:
            nonlocal ends, reached
            left[:] = self._left(ends, reached)
            for worker in self.workers:
                assert worker.running or worker.process.returncode in (0, -9), f"{worker}"
            if left:
                return False
            # A stage may have sent something to a stage meanwhile. What has been processed has been sent on before.
            before, ends = ends, self._ends_of_all()
            reached = self._reached_ms(ends) if ends != before else reached
            return ends == before

        wait_until(drained, lambda: "everything is processed; left: " + "; ".join(left[:5]), seconds)

    def _ends_of_all(self) -> dict[str, dict[int, int]]:
        return {topic.name: self.ends(topic.name) for topic in CONSUMED}

    def _left(self, ends: Mapping[str, Mapping[int, int]], reached: Mapping[tuple[str, int], int]) -> list[str]:
        left = []
        now = time.time_ns() // 1_000_000
        for partition in range(self.partitions):
            meta = self.meta(partition)
            if meta.intent is not None:
                left.append(f"partition {partition}: batch {meta.intent.sequence} is announced")
            for topic, by_partition in ends.items():
                end, position = by_partition[partition], meta.positions.get(topic, 0)
                if position < end:
                    left.append(f"{topic}/{partition}: {position} of {end}")
            for stage, due in meta.first_due_ms.items():
                until = now if self.settings.clock == "wall" else reached.get((stage, partition))
                if until is not None and due <= until:
                    left.append(f"partition {partition}: a timer of {stage} due at {due}, reached is {until}")
        return left

    def _reached_ms(self, ends: Mapping[str, Mapping[int, int]]) -> dict[tuple[str, int], int]:
        """The newest record time of each stage and partition: with everything read, the time its timers run to."""
        newest: dict[tuple[str, int], int] = {}
        for topic in CONSUMED:
            if self.settings.clock == "wall" or topic.stage is None or not any(ends[topic.name].values()):
                continue
            for raw in self.read(topic.name):
                record = decode(topic, self.settings.tenant, raw.key, raw.value)
                if not isinstance(record, Rejected):
                    at = to_ms(record.occurred_at)  # type: ignore[attr-defined]  # inbound records are events
                    where = topic.stage, raw.partition
                    newest[where] = max(at, newest.get(where, at))
        return newest

    # Faults

    def catch_in_flight(self, worker: WorkerProcess, seconds: float = 30.0) -> dict[int, RecordBatch | TimerBatch]:
        """Stops a worker (SIGSTOP) at a moment at which it has announced batches and not committed them.

        Returns them by partition. Records must be waiting for it.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            worker.pause()
            if pending := self.settled_intents(worker.owned()):
                return pending
            worker.resume()
            time.sleep(0.003)
        raise AssertionError(f"no batch of {worker.name} was under way within {seconds:g} s: {worker}")

    def await_standstill(self, partitions: Iterable[int], seconds: float = 20.0) -> dict[int, RecordBatch | TimerBatch]:
        """Waits until batches of these partitions are announced and nothing moves any more: their workers wait for a

        dependency that does not answer. Returns the batches. It asks the store and the kernel, not Kafka.

        At each look the workers sleep, have read all that was sent to them, and nothing of theirs is on its way to the
        store: only a timer of their own could wake them. Those that drive batches (lingering, polling) are far shorter
        than the ``_STILL_S`` for which this must hold; the longer ones (heartbeats) drive none.
        """
        partitions = frozenset(partitions)
        owners = [worker for worker in self.workers if worker.running and worker.owned() & partitions]
        assert owners, f"no worker owns one of the partitions {sorted(partitions)}"
        seen: dict[int, RecordBatch | TimerBatch] = {}
        since = time.monotonic()

        def still() -> bool:
            nonlocal seen, since
            waiting = all(is_asleep(worker.process.pid) and not unread_by(worker.process.pid) for worker in owners)
            now = self.settled_intents(partitions)
            if not waiting or not now or now != seen:
                seen, since = now, time.monotonic()
            return time.monotonic() - since > _STILL_S

        wait_until(still, "the worker's batches stand still", seconds)
        return seen

    def settled_intents(self, partitions: Iterable[int]) -> dict[int, RecordBatch | TimerBatch]:
        """The batches announced and not committed, once no request that is on its way can change that.

        What a worker sent before it stood still lies in the kernel and reaches the store without it. Redis carries a
        request out as it reads it, before it answers a later look.
        """
        port = urlsplit(self.settings.redis_url.get_secret_value()).port or 6379
        # The kernel's list is no snapshot: bytes that move from one queue to the next while it is read can be missed
        # in both, but not twice.
        wait_until(lambda: not under_way_to(port) and not under_way_to(port), "the store has read all requests", 20)
        found = {partition: self.meta(partition).intent for partition in sorted(partitions)}
        return {partition: intent for partition, intent in found.items() if intent is not None}

    def lag(self, partitions: Sequence[int] | frozenset[int]) -> int:
        """How many records of these partitions have not taken effect."""
        lag = 0
        for topic in CONSUMED:
            ends = self.ends(topic.name)
            lag += sum(ends[p] - self.meta(p).positions.get(topic.name, 0) for p in partitions)
        return lag

    def batches_done(self, partitions: Iterable[int]) -> int:
        """How many batches of these partitions are committed."""
        return sum(self.meta(partition).sequence for partition in partitions)

    def rerun_logged(self, partition: int, sequence: int) -> bool:
        """Whether some worker says that it ran this batch of its predecessor again."""
        text = f"partition {partition}: the batch {sequence} of its last owner is run again"
        return any(text in worker.text() for worker in self.workers)

    def broken_off(self) -> int:
        """How many batches workers say they left unfinished: a partition went to another in the middle of one.

        A machine that stands still for a session's length is enough; the next owner then runs the batch again.
        """
        said = ("a batch is broken off", "was taken over by another worker")
        return sum(worker.text().count(text) for worker in self.workers for text in said)
