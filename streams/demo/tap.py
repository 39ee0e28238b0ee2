"""Reads back every message of every topic from its first offset on: what the demo shows while it runs and checks after.

It stands beside all consumer groups. Nothing may be missing: the embedded broker drops its oldest messages silently.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec
from confluent_kafka import Consumer, TopicPartition

from schemas.actions import NextBestAction
from schemas.dead_letter import DEAD_LETTER_HEADER
from schemas.topics import CONSUMED, DEAD_LETTERS, DECISIONS, TOPICS

_CONSUME: Final = 2_000
_WAIT_S: Final = 0.1
_ASK_S: Final = 10.0

QUEUES: Final = tuple(topic.name for topic in TOPICS if NextBestAction in topic.models)
"""The outreach queues of the channels."""
STEPS: Final = "desk.steps"
BETWEEN: Final = tuple(topic.name for topic in CONSUMED if topic.direction == "internal")
"""What one stage tells another."""

Place = tuple[str, int]
"""A topic (the registry's name) and a partition."""


class Kept(NamedTuple):
    """One message as it stands on a topic."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class TapFailed(Exception):
    """Messages could not be read back, or are not there any more."""


@dataclass(slots=True)
class Tally:
    """What came out so far, counted by the names that a reader knows."""

    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By trigger and channel."""
    cancellations: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By trigger and reason."""
    suppressed: Counter[str] = field(default_factory=Counter)
    """By reason."""
    dead_letters: Counter[str] = field(default_factory=Counter)
    """By reason."""
    steps: Counter[str] = field(default_factory=Counter)
    """What desks did with customers."""

    def count(self, topic: str, message: Kept) -> None:
        """Counts one message, if it is one of ours that came out."""
        if topic == DEAD_LETTERS:
            about = next(value for name, value in message.headers if name == DEAD_LETTER_HEADER)
            self.dead_letters[msgspec.json.decode(about)["reason"]] += 1
        elif topic == DECISIONS:
            decision = msgspec.json.decode(message.value or b"")
            if decision["outcome"] == "suppressed":
                self.suppressed[decision["reason"]] += 1
        elif topic == STEPS:
            self.steps[msgspec.json.decode(message.value or b"")["step"]] += 1
        elif topic in QUEUES:
            record = msgspec.json.decode(message.value or b"")
            if record["type"] == "action":
                self.actions[record["trigger"], record["channel"]] += 1
            else:
                self.cancellations[record["trigger"], record["reason"]] += 1


class Tap:
    """A thread that keeps ``log``: the messages of each partition of each topic, from offset 0 without a gap."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self.log: dict[Place, list[Kept]] = {(topic.name, p): [] for topic in TOPICS for p in range(partitions)}
        self.tally = Tally()
        self._consumer = _consumer(bootstrap)
        self._asking = _consumer(bootstrap)
        self._stop = Event()
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, name="demo-tap", daemon=True)

    def __enter__(self) -> Self:
        self._consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in self.log])
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()
        self._asking.close()

    def raise_failure(self) -> None:
        """Raises ``TapFailed`` where reading has failed."""
        if self._failure is not None:
            raise TapFailed(f"reading back failed: {self._failure}") from self._failure

    def ends(self, topics: Sequence[str]) -> Mapping[Place, int]:
        """The offset after the last message of each partition. Raises ``TapFailed`` where a beginning has moved."""
        ends = {}
        for topic, partition in self.log:
            if topic not in topics:
                continue
            low, high = self._asking.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ASK_S)
            if low != 0:
                raise TapFailed(
                    f"the embedded broker has dropped the first {low} messages of {topic} partition {partition}: "
                    "the run is too large for it; expected fewer events"
                )
            ends[topic, partition] = high
        return ends

    def catch_up(self, seconds: float) -> None:
        """Waits until everything that stands on the topics now is in ``log``. Raises ``TapFailed``."""
        ends = self.ends([topic.name for topic in TOPICS])
        deadline = time.monotonic() + seconds
        while any(len(self.log[place]) < end for place, end in ends.items()):
            self.raise_failure()
            if time.monotonic() > deadline:
                behind = sum(max(0, end - len(self.log[place])) for place, end in ends.items())
                raise TapFailed(f"{behind} messages could not be read back within {seconds:.0f} s")
            time.sleep(0.02)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for message in self._consumer.consume(_CONSUME, _WAIT_S):
                    self._keep(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the main thread must hear of it
            self._failure = error

    def _keep(self, message: Any) -> None:
        if message.error() is not None:
            raise TapFailed(str(message.error()))
        topic, partition = message.topic(), message.partition()
        kept = Kept(message.offset(), message.key(), message.value(), tuple(message.headers() or ()))
        log = self.log[topic, partition]
        if kept.offset != len(log):
            raise TapFailed(f"{topic} partition {partition}: offset {len(log)} expected, {kept.offset} came")
        log.append(kept)
        self.tally.count(topic, kept)


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "demo-tap",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
