"""The topics on Kafka against the registry: what is missing or set otherwise, and their creation."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    UnsupportedVersionError,
    for_code,
)

from schemas.topics import TOPICS, Topic
from streams.clock import Clock, SystemClock
from streams.connections import kafka_options
from streams.settings import Settings

log = logging.getLogger(__name__)

_CREATE: Final = "bank-triggers topics create"
_SET_ON_TOPIC: Final = 1
"""Kafka's DYNAMIC_TOPIC_CONFIG: set on this very topic, not inherited from the broker."""
_SHOWN_MS: Final = 20_000
_SHOWN_POLL_SECONDS: Final = 0.1


class Admin(Protocol):
    """What is used of ``aiokafka.admin.AIOKafkaAdminClient``, which has no types of its own."""

    async def describe_topics(self, topics: list[str] | None = None) -> list[Any]: ...
    async def describe_configs(
        self, config_resources: list[ConfigResource], include_synonyms: bool = False
    ) -> list[Any]: ...
    async def create_topics(self, new_topics: list[NewTopic]) -> Any: ...
    async def alter_configs(self, config_resources: list[ConfigResource]) -> list[Any]: ...


class TopicsRefused(Exception):
    """Kafka would not create or change a topic. Names the topic and Kafka's reason."""


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """What is wrong with one topic (Kafka's name), and the command that mends it."""

    topic: str
    problem: str
    mend: str = _CREATE

    def __str__(self) -> str:
        return f"{self.topic}: {self.problem}; to mend it: {self.mend}"


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as Kafka has it. ``configs`` is ``None`` where the broker does not tell them."""

    partitions: int
    configs: dict[str, str] | None
    set_here: dict[str, str]
    """Those of ``configs`` that are set on the topic itself."""


@asynccontextmanager
async def connect_admin(settings: Settings) -> AsyncIterator[Admin]:
    """An admin client of the settings' Kafka, for as long as the context lasts."""
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def check(
    admin: Admin, settings: Settings, topics: Sequence[Topic] = TOPICS, *, partitions: int | None = None
) -> list[TopicProblem]:
    """Every topic that does not agree with the registry, in the registry's order; empty when all is well.

    With ``partitions`` each must have so many; without, all must have as many as most have.

    All topics must have one number of partitions: a customer's actions go to the partition number of its events. A
    broker that cannot describe configurations (the embedded one) is checked for presence and partitions only, and
    the log says so.
    """
    found = await _find(admin, settings, topics)
    if any(topic.configs is None for topic in found.values()):
        log.warning("this broker does not describe topic configurations: only names and partition counts are checked")
    usual = partitions or _usual_count(found)
    problems = []
    for topic in topics:
        name = settings.topic_prefix + topic.name
        if name not in found:
            problems.append(TopicProblem(name, "it does not exist"))
            continue
        there = found[name]
        if there.partitions != usual:
            problems.append(
                TopicProblem(
                    name,
                    f"it has {there.partitions} partitions, expected {usual} as all topics have",
                    # Adding partitions would send a customer's later events elsewhere than the earlier ones.
                    f"let its consumers finish, delete it, then {_CREATE}",
                )
            )
        if there.configs is not None:
            problems += [TopicProblem(name, problem) for problem in _differences(topic, there.configs)]
    return problems


async def create(
    admin: Admin,
    settings: Settings,
    topics: Sequence[Topic] = TOPICS,
    *,
    clock: Clock | None = None,
) -> list[str]:
    """Creates what is missing and sets what differs; what is right is left alone. Returns a line for each change.

    New topics get the partition count of those there are, else that of the settings; the count of a topic that exists
    is never changed: ``check`` tells what is left. Returns when the broker shows
    what was done: it answers before it does.

    Raises ``TopicsRefused``.
    """
    found = await _find(admin, settings, topics)
    count = _usual_count(found) or settings.partitions
    done: list[str] = []
    missing = [topic for topic in topics if settings.topic_prefix + topic.name not in found]
    if missing:
        response = await admin.create_topics([_new_topic(topic, settings, count) for topic in missing])
        for name, code, *why in response.topic_errors:
            error = for_code(code)
            if error is NoError:
                done.append(f"{name}: created with {count} partitions")
            elif error is not TopicAlreadyExistsError:
                raise TopicsRefused(f"{name} cannot be created: {_why(error, why)}")
    for topic in topics:
        name = settings.topic_prefix + topic.name
        there = found.get(name)
        if there is not None and there.configs is not None and (differs := _differences(topic, there.configs)):
            await _set(admin, name, {**there.set_here, **_wanted(topic, settings, there.configs)})
            done += [f"{name}: mended: {difference}" for difference in differs]
    if done:
        await _shown(admin, settings, topics, clock or SystemClock())
    return done


async def _shown(admin: Admin, settings: Settings, topics: Sequence[Topic], clock: Clock) -> None:
    """Waits until every topic is there as the registry has it; partition counts are not ours to change."""
    last = clock.now_ms() + _SHOWN_MS
    while True:
        found = await _find(admin, settings, topics)
        unseen = [
            name
            for topic in topics
            if (name := settings.topic_prefix + topic.name) not in found
            or _differences(topic, found[name].configs or {})
        ]
        if not unseen:
            return
        if clock.now_ms() >= last:
            raise TopicsRefused(f"{unseen[0]} was created or changed, but the broker does not show it yet; try again")
        await clock.sleep(_SHOWN_POLL_SECONDS)


async def _find(admin: Admin, settings: Settings, topics: Sequence[Topic]) -> dict[str, Found]:
    names = {settings.topic_prefix + topic.name for topic in topics}
    # All topics, not these by name: asking for a name makes some brokers create it.
    counts = {
        one["topic"]: len(one["partitions"])
        for one in await admin.describe_topics()
        if one["topic"] in names and not one["error_code"]
    }
    configs = await _configs(admin, sorted(counts))
    return {
        name: Found(count, None, {})
        if configs is None
        else Found(count, {key: value for key, (value, _) in configs[name].items()}, _set_here(configs[name]))
        for name, count in counts.items()
        if configs is None or name in configs
    }


async def _configs(admin: Admin, names: Sequence[str]) -> dict[str, dict[str, tuple[str, int]]] | None:
    """Topic → setting → its value and source; ``None`` where the broker knows no such request."""
    if not names:
        return {}
    try:
        responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    except (IncompatibleBrokerVersion, UnsupportedVersionError):
        return None
    configs: dict[str, dict[str, tuple[str, int]]] = {}
    for response in responses:
        for code, why, _, name, entries in response.resources:
            error = for_code(code)
            if error is UnknownTopicOrPartitionError:
                continue  # just created: the broker that was asked has not heard of it yet
            if error is not NoError:
                raise TopicsRefused(f"the configuration of {name} cannot be read: {_why(error, [why])}")
            configs[name] = {entry[0]: (entry[1], int(entry[3])) for entry in entries}
    return configs


def _set_here(configs: dict[str, tuple[str, int]]) -> dict[str, str]:
    return {key: value for key, (value, source) in configs.items() if source == _SET_ON_TOPIC}


def _usual_count(found: dict[str, Found]) -> int:
    """The partition count that most topics have; of two the larger. 0 without topics."""
    counts = Counter(topic.partitions for topic in found.values())
    return max(counts, key=lambda count: (counts[count], count), default=0)


def _differences(topic: Topic, configs: dict[str, str]) -> list[str]:
    differences = []
    policy = configs.get("cleanup.policy", "delete")
    if policy != topic.cleanup_policy:
        differences.append(f"its cleanup.policy is {policy}, expected {topic.cleanup_policy}")
    largest = int(configs.get("max.message.bytes", topic.max_message_bytes))
    if largest < topic.max_message_bytes:
        differences.append(f"its max.message.bytes is {largest}, expected at least {topic.max_message_bytes}")
    retention = int(configs.get("retention.ms", topic.retention_ms))
    if 0 <= retention < topic.retention_ms:
        differences.append(f"its retention.ms is {retention}, expected at least {topic.retention_ms}")
    return differences


def _wanted(topic: Topic, settings: Settings, configs: dict[str, str] | None = None) -> dict[str, str]:
    """The settings of a topic; what an operator has set higher than the registry stays."""
    configs = configs or {}
    retention = int(configs.get("retention.ms", topic.retention_ms))
    wanted = {
        "cleanup.policy": topic.cleanup_policy,
        "max.message.bytes": str(max(topic.max_message_bytes, int(configs.get("max.message.bytes", 0)))),
        "retention.ms": str(retention if retention < 0 else max(retention, topic.retention_ms)),
    }
    if not configs and settings.replication_factor >= 3:
        # With acks=all this is what makes an acknowledged message survive the loss of a broker.
        wanted["min.insync.replicas"] = "2"
    return wanted


def _new_topic(topic: Topic, settings: Settings, partitions: int) -> NewTopic:
    return NewTopic(
        settings.topic_prefix + topic.name,
        partitions,
        settings.replication_factor,
        topic_configs=_wanted(topic, settings),
    )


async def _set(admin: Admin, name: str, configs: dict[str, str]) -> None:
    # The request replaces all that is set on the topic: whoever calls gives what is to stay, too.
    for response in await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs)]):
        for code, why, *_ in response.resources:
            error = for_code(code)
            if error is not NoError:
                raise TopicsRefused(f"{name} cannot be changed: {_why(error, [why])}")


def _why(error: type[Exception], details: Sequence[str | None]) -> str:
    return next((detail for detail in details if detail), error.__name__)
