"""What the embedded broker must do for the demo and the wiring tests, and the limits its docstring names."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from kafka import KafkaConsumer

from streams.embedded_broker import DEFAULT_PARTITIONS, EmbeddedBroker, EmbeddedBrokerFailed
from tests.support.kafka_broker import admin, consume_all, end_offsets, produce

TREE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


async def test_idempotent_producer_and_a_consumer_that_seeks(bootstrap: str) -> None:
    """aiokafka, acks=all, headers kept; a consumer that assigns and seeks reads from where it was told."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all")
    await producer.start()
    for number in range(10):
        await producer.send_and_wait("seek", b"%d" % number, key=b"k", partition=2, headers=[("h", b"1")])
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    partition = TopicPartition("seek", 2)
    consumer.assign([partition])
    consumer.seek(partition, 7)
    records = [await asyncio.wait_for(consumer.getone(), 60) for _ in range(3)]
    ends = await consumer.end_offsets([partition])
    await consumer.stop()

    assert [(record.offset, record.value, record.headers) for record in records] == [
        (7, b"7", (("h", b"1"),)),
        (8, b"8", (("h", b"1"),)),
        (9, b"9", (("h", b"1"),)),
    ]
    assert ends == {partition: 10}


async def test_an_offset_beyond_the_end_is_refused(bootstrap: str) -> None:
    """The driver's check of a lost position relies on it."""
    await asyncio.to_thread(produce, bootstrap, "beyond", [(0, b"k", b"v")])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none")
    await consumer.start()
    consumer.assign([TopicPartition("beyond", 0)])
    consumer.seek(TopicPartition("beyond", 0), 50)
    with pytest.raises(OffsetOutOfRangeError):
        await asyncio.wait_for(consumer.getone(), 60)
    await consumer.stop()


def test_kafka_python_reads_in_a_group(bootstrap: str) -> None:
    """The neighbours' kits use kafka-python; here it needs to be told the version."""
    produce(bootstrap, "group", [(i % DEFAULT_PARTITIONS, b"k", b"%d" % i) for i in range(100)])
    consumer = KafkaConsumer(
        "group",
        bootstrap_servers=bootstrap,
        group_id="kit",
        auto_offset_reset="earliest",
        api_version=(2, 1),
        consumer_timeout_ms=10_000,
    )
    values = {next(consumer).value for _ in range(100)}
    consumer.close()

    assert values == {b"%d" % i for i in range(100)}


def test_topics_have_the_partitions_asked_for() -> None:
    """A topic that was created has them; one that was only named has four; creating twice is an error."""
    with EmbeddedBroker() as broker:
        broker.create_topic("six", 6)
        assert sorted(end_offsets(broker.bootstrap, "six")) == list(range(6))
        named = admin(broker.bootstrap).list_topics("named", timeout=10).topics["named"]
        assert sorted(named.partitions) == list(range(DEFAULT_PARTITIONS))
        with pytest.raises(EmbeddedBrokerFailed, match=r"six: .*already exists"):
            broker.create_topic("six", 6)


def test_the_oldest_records_are_dropped_at_5_mib(bootstrap: str) -> None:
    """The limit that keeps it to demos and bounded tests: the end counts on, the beginning is gone."""
    produce(bootstrap, "full", [(0, None, b"x" * 10_000) for _ in range(1000)])
    left = consume_all(bootstrap, "full")

    assert end_offsets(bootstrap, "full")[0] == 1000
    assert left[-1].offset == 999
    assert left[0].offset > 400


def test_it_listens_on_loopback_alone_and_ends_with_the_block() -> None:
    """After the block nothing answers on its port any more."""
    with EmbeddedBroker() as broker:
        port = broker.bootstrap.split(":")[1]
        assert _answers(int(port))
        sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        listening = [fields[1] for fields in sockets if fields[3] == "0A" and fields[1].endswith(f":{int(port):04X}")]
        assert listening == [f"0100007F:{int(port):04X}"]
    assert not _answers(int(port))


def test_it_does_not_outlive_its_process() -> None:
    """SIGKILL of the process takes it along."""
    code = "from streams.embedded_broker import *; import time; e = EmbeddedBroker().__enter__()\n"
    code += "print(e.bootstrap, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=TREE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split(":")[1])
        assert _answers(port)
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while _answers(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
