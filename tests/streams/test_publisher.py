"""The publisher on a real broker: partition, order, refusals, an outage, a lost session."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError, OutOfOrderSequenceNumber
from kafka import KafkaProducer

from streams import publisher as module
from streams.publisher import MAX_REQUEST_BYTES, KafkaPublisher, PublishRefused
from tests.support.kafka_broker import Consumed, KafkaBroker, consume_all, create_topics, set_topic_config
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker_process import wait_until
from triggers.engine.batch import Message

_NAMES = itertools.count()
LARGE = {"max.message.bytes": str(16 * 1024 * 1024)}


def prefix() -> str:
    return f"publisher-{next(_NAMES)}."


@asynccontextmanager
async def opened(bootstrap: str, topic_prefix: str, **options: Any) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher({"bootstrap_servers": bootstrap, **options}, topic_prefix=topic_prefix)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


async def read(bootstrap: str, topic: str) -> list[Consumed]:
    return await asyncio.to_thread(consume_all, bootstrap, topic)


async def test_all_go_to_the_partition_of_the_input_in_order(kafka: str) -> None:
    """Whatever their keys, messages keep the partition number, their order in each topic, and their headers."""
    name = prefix()
    create_topics(kafka, [name + "a", name + "b"])
    messages = [
        Message("ab"[index % 2], f"key-{index}".encode(), f"{index}".encode(), (("why", b"because"),))
        for index in range(5_000)
    ]
    async with opened(kafka, name) as publisher:
        await publisher.publish(3, messages)
    for topic in "ab":
        found = await read(kafka, name + topic)
        wanted = [message for message in messages if message.topic == topic]
        assert [(one.partition, one.key, one.value) for one in found] == [(3, m.key, m.value) for m in wanted]
        assert {one.headers for one in found} == {(("why", b"because"),)}


async def test_what_a_stage_reads_goes_to_the_partition_of_its_own_key(kafka: str) -> None:
    """Where every publisher's default partitioner puts that key, in order, whatever partition it came from."""
    name = prefix()
    create_topics(kafka, [name + "desk.steps"])
    messages = [Message("desk.steps", f"C{index % 50}".encode(), f"{index}".encode()) for index in range(500)]
    async with opened(kafka, name) as publisher:
        await publisher.publish(3, messages)
    found = await read(kafka, name + "desk.steps")
    places = {one.key: one.partition for one in found}
    assert len(set(places.values())) > 2
    producer = KafkaProducer(bootstrap_servers=[kafka])
    try:
        sent = {key: producer.send(name + "desk.steps", key=key, value=b"x").get(timeout=20) for key in places}
    finally:
        producer.close(timeout=5)
    assert {key: place.partition for key, place in sent.items()} == places
    for key in places:
        assert [int(one.value or b"") for one in found if one.key == key] == [
            int(message.value or b"") for message in messages if message.key == key
        ]


async def test_returns_only_when_every_message_is_acknowledged(kafka: str) -> None:
    """What is published can be read back at once; so for many partitions at the same time."""
    name = prefix()
    create_topics(kafka, [name + "a"])
    async with opened(kafka, name) as publisher:
        for round_ in range(5):
            await asyncio.gather(
                *(publisher.publish(partition, [Message("a", b"k", f"{round_}".encode())]) for partition in range(4))
            )
            assert len(await read(kafka, name + "a")) == 4 * (round_ + 1)


async def test_dead_letter_of_nearly_16_mib_fits(kafka: str) -> None:
    """The largest value that can come in goes out again with its header."""
    name = prefix()
    create_topics(kafka, [name + "a"], config=LARGE)
    value = b"x" * (16 * 1024 * 1024 - 2_000)
    async with opened(kafka, name) as publisher:
        await publisher.publish(0, [Message("a", None, value, (("dead-letter", b"{}" * 400),))])
    assert (await read(kafka, name + "a"))[0].value == value


async def test_larger_than_a_request_is_refused_without_its_content(kafka: str) -> None:
    """A message that no Kafka takes ends in an error that names the topic and shows nothing of the message."""
    name = prefix()
    create_topics(kafka, [name + "a"], config={"max.message.bytes": "10000"})
    async with opened(kafka, name) as publisher:
        with pytest.raises(PublishRefused, match=name + "a") as refused:
            await publisher.publish(0, [Message("a", b"secret-key", b"secret" * (20 * 1024 * 1024 // 6))])
        assert not publisher.away
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 300


async def test_one_refusal_waits_for_the_other_topics(kafka: str) -> None:
    """A refusal in one topic is raised after the others are done with, and nothing goes on behind it."""
    name = prefix()
    create_topics(kafka, [name + "a", name + "b"])
    async with opened(kafka, name) as publisher:
        with pytest.raises(PublishRefused):
            await publisher.publish(0, [Message("a", b"k", b"x" * MAX_REQUEST_BYTES), Message("b", b"k", b"v")])
        assert [one.value for one in await read(kafka, name + "b")] == [b"v"]


async def test_what_a_topic_does_not_take_waits_until_it_does(kafka: str, caplog: pytest.LogCaptureFixture) -> None:
    """A topic's limit is lowered: publishing there waits, elsewhere it goes on; raised again, nothing is missing."""
    name = prefix()
    create_topics(kafka, [name + "a", name + "b"], config={"max.message.bytes": "10000"})
    async with opened(kafka, name) as publisher:
        large = [Message("a", b"secret-key", b"secret" * 5_000)]
        waiting = asyncio.create_task(publisher.publish(0, large))
        await asyncio.to_thread(wait_until, lambda: publisher.away, "the refusal is noticed", 30)
        for number in range(3):
            await publisher.publish(1, [Message("b", b"k", b"%d" % number)])
            assert publisher.away, "what goes to another partition says nothing of the one that waits"
        assert not waiting.done()
        await asyncio.to_thread(set_topic_config, kafka, name + "a", LARGE)
        await asyncio.wait_for(waiting, 60)
        assert not publisher.away
        assert publisher.errors >= 1
        await publisher.publish(0, [Message("a", b"k", b"next")])
    assert [one.value for one in await read(kafka, name + "a")] == [large[0].value, b"next"]
    assert [one.value for one in await read(kafka, name + "b")] == [b"0", b"1", b"2"]
    said = [record.getMessage() for record in caplog.records if record.name == module.__name__]
    assert sum(f"refuses what is published to {name}a partition 0: MessageSizeTooLarge" in text for text in said) == 1
    assert not any("secret" in text for text in said)


async def test_missing_partition_is_refused(kafka: str) -> None:
    """A topic with fewer partitions than the input is named, with the command that shows it."""
    name = prefix()
    create_topics(kafka, [name + "a"], partitions=2)
    async with opened(kafka, name) as publisher:
        with pytest.raises(PublishRefused, match=rf"{name}a has no partition 2; .*topics check"):
            await publisher.publish(2, [Message("a", b"k", b"v")])


async def test_waits_through_an_outage(tmp_path: Path) -> None:
    """While the broker is dead a publish waits; when it is back everything arrives, in order, repeats aside."""
    with KafkaBroker(tmp_path / "broker") as broker:
        create_topics(broker.bootstrap, ["a", "b"], partitions=1)
        async with opened(broker.bootstrap, "", request_timeout_ms=2_000) as publisher:
            await publisher.publish(0, [Message("a", b"k", b"0"), Message("b", b"k", b"0")])
            await asyncio.to_thread(broker.kill)
            waiting = asyncio.create_task(
                publisher.publish(0, [Message(topic, b"k", str(n).encode()) for n in range(1, 500) for topic in "ab"])
            )
            done, _ = await asyncio.wait({waiting}, timeout=4)
            assert not done
            await asyncio.to_thread(broker.start)
            await asyncio.wait_for(waiting, 60)
            await publisher.publish(0, [Message("a", b"k", b"500")])
        for topic, count in (("a", 501), ("b", 500)):
            seen = dict.fromkeys(one.value for one in await read(broker.bootstrap, topic))
            assert list(seen) == [str(n).encode() for n in range(count)]
        # What its producer has numbered Kafka takes once, however often it comes; aiokafka numbers with acks=all alone.
        assert all(batch.producer_id >= 0 for batch in broker.batches("a", 0))


async def test_a_broker_that_does_not_answer_at_the_start_is_waited_for(kafka: str) -> None:
    """It is told as away until it answers."""
    name = prefix()
    create_topics(kafka, [name + "a"], partitions=1)
    with TcpProxy(int(kafka.rpartition(":")[2])) as line:
        line.cut()
        publisher = KafkaPublisher({"bootstrap_servers": line.address}, topic_prefix=name)
        starting = asyncio.create_task(publisher.start())
        while not publisher.away:
            assert not starting.done(), "it did not wait"
            await asyncio.sleep(0.01)
        line.heal()
        await starting
        assert not publisher.away
        await publisher.publish(0, [Message("a", b"k", b"v")])
        await publisher.stop()
    assert [one.value for one in await read(kafka, name + "a")] == [b"v"]


async def test_stops_while_the_broker_is_away(tmp_path: Path) -> None:
    """A stop does not wait for acknowledgements that never come."""
    with KafkaBroker(tmp_path / "broker") as broker:
        create_topics(broker.bootstrap, ["a"], partitions=1)
        publisher = KafkaPublisher({"bootstrap_servers": broker.bootstrap, "request_timeout_ms": 1_000})
        await publisher.start()
        await publisher.publish(0, [Message("a", b"k", b"0")])
        await asyncio.to_thread(broker.kill)
        waiting = asyncio.create_task(publisher.publish(0, [Message("a", b"k", b"1")]))
        await asyncio.wait({waiting}, timeout=1)
        waiting.cancel()
        await asyncio.wait({waiting})
        await asyncio.wait_for(publisher.stop(), 6)


@pytest.mark.parametrize("error", [OutOfOrderSequenceNumber, NotLeaderForPartitionError])
async def test_goes_on_with_a_new_producer_when_the_session_is_lost(
    kafka: str, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """When the broker does not know our numbering any more, everybody's batches are sent by one new producer."""
    name = prefix()
    create_topics(kafka, [name + "a"])
    plain, used = module._send, []

    async def failing(producer: Any, *arguments: Any) -> None:
        used.append(producer)
        if producer is used[0]:
            raise error
        await plain(producer, *arguments)

    monkeypatch.setattr(module, "_send", failing)
    async with opened(kafka, name) as publisher:
        await asyncio.gather(*(publisher.publish(partition, [Message("a", b"k", b"v")]) for partition in range(4)))
    assert len(set(map(id, used))) == 2
    assert sorted(one.partition for one in await read(kafka, name + "a")) == [0, 1, 2, 3]


async def test_what_a_closed_producer_was_given_is_sent_by_the_next() -> None:
    """A producer closed for another place never sends what it still gets: that must not wait for ever."""
    closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sending = asyncio.ensure_future(module._unless(closed, asyncio.sleep(3600)))
    await asyncio.sleep(0)
    assert not sending.done()
    closed.set_result(None)
    with pytest.raises(KafkaConnectionError, match="closed"):
        await sending
