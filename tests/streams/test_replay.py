"""Reading Kafka's log beside the group: exact ranges, holes, lost records, offsets."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaError
from confluent_kafka import TopicPartition as Place

from streams.clock import SystemClock
from streams.patience import Patience
from streams.refusals import RecordsLost
from streams.replay import KafkaLog, KafkaUnavailable
from tests.support.kafka_broker import create_topics, delete_records, produce

_NAMES = itertools.count()


def topic() -> str:
    return f"replay-{next(_NAMES)}"


def log_of(bootstrap: str, group: str = "nobody", **options: object) -> KafkaLog:
    patience = Patience("Kafka", SystemClock(), (KafkaUnavailable,))
    return KafkaLog({"bootstrap_servers": bootstrap}, group, patience, **options)  # type: ignore[arg-type]


async def test_reads_exactly_the_range(kafka: str) -> None:
    """From the first to the last offset, both included, of that partition alone, with key and value."""
    name = topic()
    create_topics(kafka, [name])
    produce(kafka, name, [(1, f"k{n}".encode(), f"v{n}".encode() * 200) for n in range(3_000)])
    produce(kafka, name, [(2, b"other", b"other")])
    records = await log_of(kafka).read(name, 1, 700, 2_499)
    assert [(r.offset, r.key, r.value) for r in records] == [
        (n, f"k{n}".encode(), f"v{n}".encode() * 200) for n in range(700, 2_500)
    ]


async def test_unpacks_no_more_than_it_is_asked_for(kafka: str) -> None:
    """Of 60 MB that take next to nothing on the wire, a range of ten records costs no more than they do."""
    name = topic()
    create_topics(kafka, [name])
    produce(kafka, name, [(0, b"k", b"x" * 30_000)] * 2_000, "gzip")
    log = log_of(kafka)
    await log.read(name, 0, 0, 9)
    tracemalloc.start()
    try:
        assert len(await log.read(name, 0, 0, 9)) == 10
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most <= 10_000_000, f"{most:,} bytes"


async def test_reads_a_record_larger_than_a_fetch(kafka: str) -> None:
    """A value of 5 MB is read like any other."""
    name = topic()
    create_topics(kafka, [name], config={"max.message.bytes": "10000000"})
    producer = AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=10_000_000)
    await producer.start()
    await producer.send_and_wait(name, b"x" * 5_000_000, partition=0)
    await producer.stop()
    assert [len(r.value or b"") for r in await log_of(kafka).read(name, 0, 0, 0)] == [5_000_000]


async def test_markers_and_aborted_records_are_holes(kafka: str) -> None:
    """Transaction markers have an offset and no record, also at the end of the range; aborted records when so asked."""
    name = topic()
    create_topics(kafka, [name], partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=name)
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(name, b"kept", partition=0)
    await producer.begin_transaction()
    await producer.send_and_wait(name, b"aborted", partition=0)
    await producer.abort_transaction()
    await producer.stop()
    end = (await log_of(kafka).spans({(name, 0)}))[name, 0][1]
    assert end == 4
    everything = await log_of(kafka, isolation_level="read_uncommitted").read(name, 0, 0, end - 1)
    assert [(r.offset, r.value) for r in everything] == [(0, b"kept"), (2, b"aborted")]
    committed = await log_of(kafka).read(name, 0, 0, end - 1)
    assert [(r.offset, r.value) for r in committed] == [(0, b"kept")]
    assert await log_of(kafka).read(name, 0, 1, 1) == []


async def test_records_that_are_gone_are_named(kafka: str) -> None:
    """A range that begins before the log, or ends behind it, is refused with both numbers."""
    name = topic()
    create_topics(kafka, [name], partitions=1)
    produce(kafka, name, [(0, b"k", b"v")] * 20)
    delete_records(kafka, [Place(name, 0, 8)])
    assert await log_of(kafka).spans({(name, 0)}) == {(name, 0): (8, 20)}
    with pytest.raises(RecordsLost, match=r"position is 5, but the log begins at offset 8"):
        await log_of(kafka).read(name, 0, 5, 12)
    with pytest.raises(RecordsLost, match=r"the log ends at offset 20"):
        await log_of(kafka).read(name, 0, 12, 25)


async def test_many_topics_are_asked_for_at_once(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client learns of all topics in one answer: no wait for each that it does not know, at no question.

    A worker asks for all of its topics when it takes partitions over.
    """
    names = [topic() for _ in range(4)]
    create_topics(kafka, names, partitions=1)
    produce(kafka, names[0], [(0, b"k", b"v")])
    plain, refused = Fetcher._proc_offset_requests, []

    async def counted(self: object, timestamps: object) -> object:
        try:
            return await plain(self, timestamps)
        except KafkaError as error:
            refused.append(error)
            raise

    monkeypatch.setattr(Fetcher, "_proc_offset_requests", counted)
    log = log_of(kafka)
    spans = await log.spans({(name, 0) for name in names})
    assert spans == {(name, 0): (0, 1 if name == names[0] else 0) for name in names}
    assert len(await log.read(names[0], 0, 0, 0)) == 1
    assert len((await log.tails(names[0], {0}, 1))[0]) == 1
    assert refused == []


async def test_committed_offsets_of_the_group(kafka: str) -> None:
    """What the group has committed, ``None`` where nothing; another group's offsets do not count."""
    name = topic()
    create_topics(kafka, [name], partitions=3)
    produce(kafka, name, [(0, b"k", b"v")] * 5)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=name, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(name, 0)])
    await consumer.commit({TopicPartition(name, 0): 4})
    await consumer.stop()
    pairs = {(name, 0), (name, 1)}
    assert await log_of(kafka, name).committed(pairs) == {(name, 0): 4, (name, 1): None}
    assert await log_of(kafka, name + "-other").committed(pairs) == {(name, 0): None, (name, 1): None}


async def test_a_coordinator_that_does_not_answer_is_asked_again(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer is no "nothing committed": that would let a lost state pass."""
    name = topic()
    create_topics(kafka, [name], partitions=1)
    plain, calls = AIOKafkaAdminClient.list_consumer_group_offsets, []

    async def empty_at_first(self: object, *args: object, **kwargs: object) -> object:
        calls.append(1)
        return {} if len(calls) == 1 else await plain(self, *args, **kwargs)

    monkeypatch.setattr(AIOKafkaAdminClient, "list_consumer_group_offsets", empty_at_first)
    assert await log_of(kafka, name).committed({(name, 0)}) == {(name, 0): None}
    assert len(calls) == 2
