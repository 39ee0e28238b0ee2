"""Reading the dead letters back: what was set aside, why, and the original bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas.dead_letter import DEAD_LETTER_HEADER, DeadLetter
from schemas.topics import DEAD_LETTERS
from streams.topic_reader import read_topic


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


async def read_dead_letters(options: Mapping[str, Any], topic_prefix: str = "") -> AsyncIterator[StoredDeadLetter]:
    """Every dead letter there is now, in order within each partition.

    ``options`` are those of ``connections.kafka_options``. Nothing is committed: reading again finds the same.

    Raises ``NoSuchTopic``, and aiokafka's errors where Kafka does not answer.
    """
    async for message in read_topic(options, topic_prefix + DEAD_LETTERS):
        yield _read(message)


def _read(message: Any) -> StoredDeadLetter:
    about, problem = _about(message.headers)
    return StoredDeadLetter(
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=message.timestamp,
        key=message.key,
        value=message.value,
        about=about,
        problem=problem,
    )


def _about(headers: Sequence[tuple[str, bytes | None]]) -> tuple[DeadLetter | None, str]:
    for name, value in headers:
        if name == DEAD_LETTER_HEADER:
            try:
                return DeadLetter.model_validate_json(value or b""), ""
            except ValidationError as error:
                return None, f"the header {DEAD_LETTER_HEADER} cannot be read: {error.error_count()} mistakes"
    return None, f"the header {DEAD_LETTER_HEADER} is missing"
