"""Topics against the registry: found out on a real broker, mended there, and what the embedded broker cannot tell."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError

from schemas.topics import TOPICS
from streams.embedded_broker import EmbeddedBroker
from streams.settings import Settings, load_settings
from streams.topic_admin import TopicsRefused, check, create
from tests.support.kafka_broker import create_topics
from tests.support.processing import recorded

_NAMES = itertools.count()
FEW = TOPICS[:3]
FIRST, SECOND, THIRD = (topic.name for topic in FEW)


def settings_of(bootstrap: str, **overrides: Any) -> Settings:
    prefix = f"admin-{next(_NAMES)}."
    return load_settings(environ={}, kafka_bootstrap=bootstrap, topic_prefix=prefix, partitions=3, **overrides)


@asynccontextmanager
async def connected(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def configs(client: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (response,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}


async def test_created_topics_pass_the_check(kafka: str) -> None:
    """The whole registry is created with its settings; a second time there is nothing to do."""
    settings = settings_of(kafka)
    async with connected(kafka) as client:
        assert {problem.problem for problem in await check(client, settings)} == {"it does not exist"}
        done = await create(client, settings)
        assert done[0] == f"{settings.topic_prefix}{FIRST}: created with 3 partitions"
        assert len(done) == len(TOPICS)
        assert await check(client, settings) == []
        assert await create(client, settings) == []
        for topic in TOPICS:
            there = await configs(client, settings.topic_prefix + topic.name)
            assert there["retention.ms"] == str(topic.retention_ms)
            assert there["max.message.bytes"] == str(topic.max_message_bytes)
            assert there["cleanup.policy"] == topic.cleanup_policy


async def test_missing_topic_is_named_with_the_command(kafka: str) -> None:
    """One line: the topic as Kafka knows it, what is wrong, what mends it."""
    settings = settings_of(kafka)
    create_topics(kafka, [settings.topic_prefix + FIRST], 3)
    async with connected(kafka) as client:
        await create(client, settings, FEW[:2])
        problems = await check(client, settings, FEW)
    assert [str(problem) for problem in problems] == [
        f"{settings.topic_prefix}{THIRD}: it does not exist; to mend it: bank-triggers topics create"
    ]


async def test_check_creates_nothing() -> None:
    """Looking for a topic does not make a broker create it that does so when a client names one."""
    with EmbeddedBroker() as broker:
        settings = settings_of(broker.bootstrap)
        async with connected(broker.bootstrap) as client:
            assert len(await check(client, settings, FEW)) == 3
            assert await client.list_topics() == []


async def test_unequal_partition_counts_are_named(kafka: str) -> None:
    """The odd one out is named, with its count and that of the others."""
    settings = settings_of(kafka)
    async with connected(kafka) as client:
        await create(client, settings, FEW[:1])
        create_topics(kafka, [settings.topic_prefix + topic.name for topic in FEW[1:]], 4)
        await create(client, settings, FEW)
        (problem,) = await check(client, settings, FEW)
    assert problem.topic == settings.topic_prefix + FIRST
    assert problem.problem == "it has 3 partitions, expected 4 as all topics have"
    assert problem.mend.endswith("bank-triggers topics create")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"cleanup.policy": "compact"}, "its cleanup.policy is compact, expected delete"),
        ({"retention.ms": "3600000"}, f"its retention.ms is 3600000, expected at least {FEW[0].retention_ms}"),
        ({"max.message.bytes": "1000"}, "its max.message.bytes is 1000, expected at least 1048588"),
    ],
)
async def test_wrong_settings_are_named_and_mended(kafka: str, wrong: dict[str, str], text: str) -> None:
    """Each setting below the registry is named; creation sets it right and leaves what an operator added."""
    settings = settings_of(kafka)
    topic = settings.topic_prefix + FIRST
    right = {"retention.ms": str(FEW[0].retention_ms), "segment.bytes": "20000000"}
    create_topics(kafka, [topic], 3, {**right, **wrong})
    async with connected(kafka) as client:
        (problem,) = await check(client, settings, FEW[:1])
        assert (problem.topic, problem.problem) == (topic, text)
        assert await create(client, settings, FEW[:1]) == [f"{topic}: mended: {text}"]
        assert await check(client, settings, FEW[:1]) == []
        assert (await configs(client, topic))["segment.bytes"] == "20000000"


async def test_more_than_the_registry_asks_for_is_well(kafka: str) -> None:
    """A longer retention (for ever, too) and larger messages are an operator's choice, and stay."""
    settings = settings_of(kafka)
    topic = settings.topic_prefix + FIRST
    create_topics(kafka, [topic], 3, {"retention.ms": "-1", "max.message.bytes": "5000000"})
    async with connected(kafka) as client:
        assert await check(client, settings, FEW[:1]) == []
        await create(client, settings, FEW)
        assert (await configs(client, topic))["retention.ms"] == "-1"


async def test_new_topics_get_the_partitions_of_those_there_are(kafka: str) -> None:
    """A topic added later has the others' partition count, whatever the setting says."""
    settings = settings_of(kafka)
    create_topics(kafka, [settings.topic_prefix + topic.name for topic in FEW[:2]], 5)
    async with connected(kafka) as client:
        await create(client, settings, FEW)
        assert await check(client, settings, FEW) == []


async def test_topic_that_the_asked_broker_has_not_heard_of(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a cluster right after a creation: it is asked for again until its configuration is shown."""
    settings = settings_of(kafka)
    late = settings.topic_prefix + SECOND
    asked = 0
    async with connected(kafka) as client:
        describe = client.describe_configs

        async def first_without_one(resources: list[ConfigResource], *args: Any, **options: Any) -> Any:
            nonlocal asked
            asked += 1
            responses = await describe(resources, *args, **options)
            for response in responses if asked == 1 else ():
                response.resources = [
                    (UnknownTopicOrPartitionError.errno, "", kind, name, [])
                    if name == late
                    else (code, why, kind, name, got)
                    for code, why, kind, name, got in response.resources
                ]
            return responses

        monkeypatch.setattr(client, "describe_configs", first_without_one)
        assert len(await create(client, settings, FEW)) == len(FEW)
        assert asked == 2
        assert await check(client, settings, FEW) == []


async def test_refused_creation_tells_kafkas_reason(kafka: str) -> None:
    """More replicas than brokers: the topic and Kafka's own words."""
    settings = settings_of(kafka, replication_factor=3)
    async with connected(kafka) as client:
        with pytest.raises(TopicsRefused, match=rf"{settings.topic_prefix}{FIRST} cannot be created: .*replication"):
            await create(client, settings, FEW)


async def test_broker_that_does_not_describe_configurations() -> None:
    """The embedded broker: names and counts are checked, and the log says that this is all."""
    with EmbeddedBroker() as broker:
        settings = settings_of(broker.bootstrap)
        for topic in FEW[:2]:
            broker.create_topic(settings.topic_prefix + topic.name, 3)
        async with connected(broker.bootstrap) as client:
            with recorded("streams.topic_admin") as lines:
                problems = await check(client, settings, FEW)
    assert [problem.topic for problem in problems] == [settings.topic_prefix + THIRD]
    assert lines == ["this broker does not describe topic configurations: only names and partition counts are checked"]
