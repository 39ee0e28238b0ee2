"""Puts the simulated bank's messages on Kafka at the pace of a fast clock, and keeps where and when each went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from kafka import KafkaProducer

from streams.simulator.records import BankRecord

_TICK_S: Final = 0.004
_LINGER_MS: Final = 20
"""The embedded broker answers a fetch with one such batch of a partition, however many there are: not too small."""
_FLUSH_S: Final = 20.0


class PublishingFailed(Exception):
    """Kafka did not take a message of the simulated bank."""


class Handed(NamedTuple):
    """When an event was handed to Kafka, by ``time.monotonic``, and its own time."""

    seconds: float
    occurred_ms: int


@dataclass(slots=True)
class Published:
    """What was published so far. ``where`` is filled in as acknowledgements come.

    ``when`` maps an event id to when it was first handed to Kafka.
    """

    count: int = 0
    reached_ms: int = 0
    """The simulated time up to which everything was published."""
    when: dict[str, Handed] = field(default_factory=dict)
    where: list[tuple[BankRecord, tuple[str, int, int]]] = field(default_factory=list)
    """Topic, partition and offset of the records that are not plain events."""


class BankPublisher:
    """One kafka-python producer for all topics: the default partitioner, as every publisher of a bank has it."""

    def __init__(self, bootstrap: Sequence[str], *, topic_prefix: str = "", client: Mapping[str, Any] | None = None):
        self.published = Published()
        self._prefix = topic_prefix
        self._sent: list[tuple[BankRecord, Any]] = []
        self._errors: list[BaseException] = []
        self._producer = KafkaProducer(
            bootstrap_servers=list(bootstrap),
            acks="all",
            linger_ms=_LINGER_MS,
            max_request_size=4 * 1024 * 1024,
            **(client or {}),
        )

    def send(self, record: BankRecord) -> None:
        """Hands one message to Kafka, without waiting for its acknowledgement."""
        if record.event_id is not None and record.what == "event":
            self.published.when.setdefault(record.event_id, Handed(time.monotonic(), record.occurred_ms))
        sent = self._producer.send(self._prefix + record.topic, key=record.key, value=record.value)
        sent.add_errback(self._errors.append)
        if record.what != "event" or record.reverses is not None:
            self._sent.append((record, sent))
        self.published.count += 1
        self.published.reached_ms = max(self.published.reached_ms, record.at_ms)

    def flush(self) -> None:
        """Waits for every acknowledgement. Raises ``PublishingFailed``."""
        self._producer.flush(timeout=_FLUSH_S)
        if self._errors:
            raise PublishingFailed(f"Kafka did not take {len(self._errors)} messages: {self._errors[0]!r}")
        for record, sent in self._sent:
            place = sent.get(timeout=_FLUSH_S)
            self.published.where.append((record, (record.topic, place.partition, place.offset)))
        self._sent = []

    def play(self, records: Iterable[BankRecord], pace: Pace, stopped: Callable[[], bool]) -> bool:
        """Sends the records when they are due on the fast clock, then flushes; false where it was stopped before."""
        for record in records:
            while pace.seconds_until(record.at_ms) > 0:
                if stopped():
                    return False
                # What is already late tells the clock's followers how far the bank has come.
                self.published.reached_ms = max(self.published.reached_ms, pace.now_ms())
                time.sleep(_TICK_S)
            self.send(record)
            if stopped():
                return False
        self.flush()
        return True

    def close(self) -> None:
        """Drops what is not acknowledged yet."""
        self._producer.close(timeout=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """A fast clock: simulated milliseconds ``first_ms`` to ``last_ms`` in so many real seconds from ``begun``."""

    first_ms: int
    last_ms: int
    seconds: float
    begun: float
    """By ``time.monotonic``."""

    def seconds_until(self, at_ms: int) -> float:
        """How long until a simulated time; not above zero where it has come."""
        due = self.begun + (at_ms - self.first_ms) / max(1, self.last_ms - self.first_ms) * self.seconds
        return due - time.monotonic()

    def now_ms(self) -> int:
        """The simulated time by this clock, not beyond its end."""
        part = (time.monotonic() - self.begun) / self.seconds
        return self.first_ms + int(min(max(part, 0.0), 1.0) * (self.last_ms - self.first_ms))
