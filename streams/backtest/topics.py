"""Topics of Kafka as the source of a backtest's events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from schemas.topics import TOPIC, Topic
from streams.backtest.sources import CUSTOMER_TOPICS, NoEvents
from streams.connections import await_kafka, kafka_options
from streams.settings import Settings
from streams.topic_reader import partition_counts, read_topic
from triggers.casework.backtest import Arrival


@dataclass(frozen=True, slots=True)
class TopicSources:
    """The partitions of some topics. ``names`` says for each source which it is."""

    names: tuple[str, ...]
    index: dict[tuple[str, int], int]


async def find_topics(settings: Settings, topics: Sequence[Topic]) -> TopicSources:
    """The partitions of the topics.

    Raises ``NoEvents`` where a topic does not exist, ``NotReachable`` where Kafka does not answer.
    """
    await await_kafka(settings)
    counts = await partition_counts(kafka_options(settings))
    index: dict[tuple[str, int], int] = {}
    for topic in topics:
        name = settings.topic_prefix + topic.name
        if name not in counts:
            raise NoEvents(f"the topic {name} does not exist; create it with: bank-triggers topics create")
        for number in range(counts[name]):
            index[topic.name, number] = len(index)
    return TopicSources(tuple(f"{topic}/{number}" for topic, number in index), index)


async def read_topics(settings: Settings, topics: Sequence[Topic], sources: TopicSources) -> AsyncIterator[Arrival]:
    """The messages that the topics hold now, one topic after the other, each partition's in order."""
    options = kafka_options(settings)
    for topic in topics:
        async for record in read_topic(options, settings.topic_prefix + topic.name):
            source = sources.index[topic.name, record.partition]
            yield Arrival(topic, record.key, record.value or b"", source, record.offset)


def topics_named(names: Sequence[str]) -> list[Topic]:
    """The topics of these names, in the registry's order. Raises ``NoEvents`` for one without customers' events."""
    known = [topic.name for topic in CUSTOMER_TOPICS]
    for name in names:
        if name not in known:
            raise NoEvents(f"{name}: no topic of customers' events; expected one of {', '.join(known)}")
    return [TOPIC[name] for name in known if name in names]
