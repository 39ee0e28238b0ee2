"""The dead letters read back: what was set aside, why, the original bytes, and what an operator did about each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from schemas.base import Record
from schemas.dead_letter import DEAD_LETTER_HEADER, RESOLUTION_HEADER, DeadLetter, Resolution
from schemas.topics import DEAD_LETTERS
from streams.topic_reader import read_topic

R = TypeVar("R", bound=Record)


class Source(NamedTuple):
    """Where a record was when it was set aside; ``topic`` is the registry's name. It names the dead letter."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"

    @classmethod
    def of(cls, about: DeadLetter | Resolution) -> Source:
        """The record that a dead letter, or what was done about it, speaks of."""
        return cls(about.topic, about.partition, about.offset)


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """One message of the dead-letter topic, at ``partition`` and ``offset`` of that topic.

    ``key`` and ``value`` are the record's original bytes, which may hold personal data. ``about`` is ``None`` where the
    header is missing or unreadable: somebody else wrote to the topic, and ``problem`` says what is wrong with it.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    about: DeadLetter | None
    problem: str = ""
    resolution: Resolution | None = None
    """What an operator did about it last, if anything."""


async def read_dead_letters(options: Mapping[str, Any], topic_prefix: str = "") -> AsyncIterator[StoredDeadLetter]:
    """Every dead letter there is now, each once, in order within each partition, with what was done about it.

    ``options`` are those of ``connections.kafka_options``. Nothing is committed: reading again finds the same. The
    topic is read twice, since what was done about a dead letter stands behind it; no value is kept.

    Raises ``NoSuchTopic``, and aiokafka's errors where Kafka does not answer.
    """
    topic = topic_prefix + DEAD_LETTERS
    resolutions: dict[Source, Resolution] = {}
    async for message in read_topic(options, topic):
        resolution, _ = _header(message.headers, RESOLUTION_HEADER, Resolution)
        if resolution is not None:
            resolutions[Source.of(resolution)] = resolution
    seen: set[Source] = set()
    async for message in read_topic(options, topic):
        if any(name == RESOLUTION_HEADER for name, _ in message.headers):
            continue
        about, problem = _header(message.headers, DEAD_LETTER_HEADER, DeadLetter)
        resolution = None
        if about is not None:
            # A batch that was run again after a crash has set its bad records aside once more.
            source = Source.of(about)
            if source in seen:
                continue
            seen.add(source)
            resolution = resolutions.get(source)
        yield StoredDeadLetter(
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=message.timestamp,
            key=message.key,
            value=message.value,
            about=about,
            problem=problem,
            resolution=resolution,
        )


def _header(headers: Sequence[tuple[str, bytes | None]], wanted: str, model: type[R]) -> tuple[R | None, str]:
    for name, value in headers:
        if name == wanted:
            try:
                return model.model_validate_json(value or b""), ""
            except ValidationError as error:
                return None, f"the header {wanted} cannot be read: {error.error_count()} mistakes"
    return None, f"the header {wanted} is missing"
