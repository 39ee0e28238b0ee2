"""Dead letters read back from Kafka."""

from __future__ import annotations

import itertools

import pytest

from schemas.base import from_ms
from schemas.dead_letter import DEAD_LETTER_HEADER, DeadLetter, Reason
from schemas.encode import encode
from schemas.topics import DEAD_LETTERS
from streams.dead_letters import StoredDeadLetter, read_dead_letters
from streams.publisher import KafkaPublisher
from streams.redrive import obstacle
from streams.topic_reader import NoSuchTopic
from tests.support.bank import transaction
from tests.support.kafka_broker import create_topics
from triggers.engine.batch import Message

_NAMES = itertools.count()


def about(offset: int, partition: int = 1) -> DeadLetter:
    return DeadLetter(
        tenant="bank",
        reason=Reason.NOT_JSON,
        field="",
        problem="expected value",
        topic="bank.transactions",
        partition=partition,
        offset=offset,
        value_bytes=3,
        rejected_at=from_ms(1_772_000_000_000),
    )


async def test_all_partitions_from_the_beginning(kafka: str) -> None:
    """Original bytes and the why of each, in order within each partition."""
    prefix = f"letters-{next(_NAMES)}."
    create_topics(kafka, [prefix + DEAD_LETTERS], 3)
    publisher = KafkaPublisher({"bootstrap_servers": kafka}, topic_prefix=prefix)
    await publisher.start()
    for partition in (0, 2):
        await publisher.publish(
            partition,
            [
                Message(
                    DEAD_LETTERS,
                    None if offset else b"key",
                    b"{no",
                    ((DEAD_LETTER_HEADER, about(offset, partition).model_dump_json().encode()),),
                )
                for offset in range(4)
            ],
        )
    await publisher.stop()
    found = [letter async for letter in read_dead_letters({"bootstrap_servers": kafka}, prefix)]
    found.sort(key=lambda letter: letter.partition)  # Stable: the order within a partition stays as it was read.
    assert [(letter.partition, letter.offset) for letter in found] == [(p, n) for p in (0, 2) for n in range(4)]
    assert [letter.about for letter in found] == [about(n, p) for p in (0, 2) for n in range(4)]
    assert (found[0].key, found[1].key, found[0].value) == (b"key", None, b"{no")


async def test_foreign_messages_are_shown_as_such(kafka: str) -> None:
    """A message without our header, or with a broken one, does not end the list."""
    prefix = f"letters-{next(_NAMES)}."
    create_topics(kafka, [prefix + DEAD_LETTERS], 1)
    publisher = KafkaPublisher({"bootstrap_servers": kafka}, topic_prefix=prefix)
    await publisher.start()
    headers = [(), ((DEAD_LETTER_HEADER, b"{}"),), ((DEAD_LETTER_HEADER, about(7).model_dump_json().encode()),)]
    await publisher.publish(0, [Message(DEAD_LETTERS, None, b"v", header) for header in headers])
    await publisher.stop()
    found = [letter async for letter in read_dead_letters({"bootstrap_servers": kafka}, prefix)]
    assert [letter.about for letter in found] == [None, None, about(7)]
    assert "is missing" in found[0].problem
    assert "cannot be read" in found[1].problem


async def test_missing_topic_names_the_command(kafka: str) -> None:
    """No topic is not the same as no dead letters."""
    with pytest.raises(NoSuchTopic, match="bank-triggers topics create"):
        async for _ in read_dead_letters({"bootstrap_servers": kafka}, "nowhere."):
            pass


@pytest.mark.parametrize(
    ("reason", "said"), [(Reason.TOO_LATE, "it came too late, and is later now"), (Reason.WRONG_TENANT, None)]
)
def test_what_came_too_late_is_not_sent_again(reason: Reason, said: str | None) -> None:
    """It may be a repeat of a record that is no longer remembered, and would count twice; others are as good as new."""
    record = transaction("t1", 1, 10, 100)
    letter = StoredDeadLetter(
        1, 7, 1_772_000_000_000, b"c1", encode(record), about(3).model_copy(update={"reason": reason})
    )
    assert obstacle(letter, "bank") == said
