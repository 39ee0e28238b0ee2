"""Where events come from: event files, folders of them, or topics of Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.topics import INBOUND, TOPIC, Topic
from streams.connections import await_kafka, kafka_options
from streams.event_file import read_events
from streams.settings import Settings
from streams.topic_reader import partition_counts, read_topic
from triggers.casework.backtest import Arrival, Located
from triggers.errors import Problem

CUSTOMER_TOPICS: Final = tuple(topic for topic in INBOUND if topic.stage == "customer")
"""The topics whose events concern a customer; those of other stages do not take part."""

_ENDINGS: Final = (".jsonl", ".jsonl.gz")
UNREADABLE: Final = "F001"
"""The code of a file that cannot be read, or not to its end."""


class NoEvents(Exception):
    """There is nothing to read where events were looked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of events. ``name`` is its place under the path given, so that a report names no machine's folders."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Stray:
    """An event of another stage than the customers'; it is counted and takes no part."""

    topic: str


def find_files(paths: Sequence[Path]) -> list[Source]:
    """The event files of the paths: a file as it is; of a folder, every ``.jsonl`` and ``.jsonl.gz``, by name.

    Raises ``NoEvents`` for a path that does not exist or a folder without any.
    """
    found: list[Source] = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise NoEvents(f"{path}: there is no such file; expected an event file, a folder of them or a topic")
            found.append(Source(path.name, path))
            continue
        files = sorted(file for file in path.rglob("*") if file.name.endswith(_ENDINGS) and file.is_file())
        if not files:
            raise NoEvents(f"{path}: no event file in this folder; their names end in .jsonl or .jsonl.gz")
        found += [Source(file.relative_to(path).as_posix(), file) for file in files]
    return found


def read_files(sources: Sequence[Source]) -> Iterator[Arrival | Located | Stray]:
    """The messages of the files, one file after the other, and what could not be read, in its place."""
    topics = {topic.name: topic for topic in CUSTOMER_TOPICS}
    for index, source in enumerate(sources):
        for event in read_events(source.path):
            if isinstance(event, Problem):
                yield Located(index, event.line, event.column, event.code, event.path, event.message)
            elif (topic := topics.get(event.topic)) is None:
                yield Stray(event.topic)
            else:
                key = None if event.key is None else event.key.encode("utf-8", "surrogatepass")
                yield Arrival(topic, key, event.value, index, event.line)


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
