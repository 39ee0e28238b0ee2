"""What all tests share: a real Apache Kafka broker and a Redis server, started when the first test asks for them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from streams.embedded_redis import EmbeddedRedis
from tests.support.kafka_broker import KafkaBroker, KafkaCluster
from tests.support.preloaded import LAUNCHER

LAUNCHER.enabled = True

# No test is timed: a busy machine takes its time.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--deep``: properties are looked at for minutes instead of seconds. The others are those of ``tests/faults``."""
    parser.addoption("--deep", action="store_true", help="look at properties for minutes instead of seconds")
    faults = parser.getgroup("faults")
    faults.addoption("--fault-seeds", type=int, metavar="N", help="the faults of many moments with the seeds 1 to N")
    faults.addoption("--fault-seed", type=int, metavar="S", help="every fault with this seed alone")
    faults.addoption("--fault-table", type=Path, metavar="FILE", help="write the table to a file too: .json or .md")


def pytest_unconfigure() -> None:
    """Nothing of the tests outlives them."""
    LAUNCHER.close()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A real broker. Tests share it: use topics and groups of your own, and leave it running."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka") / "broker") as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(kafka_broker: KafkaBroker) -> str:
    """The bootstrap address of the real broker."""
    return kafka_broker.bootstrap


@pytest.fixture(scope="session")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers. As with the one broker: leave all of them running, and in step."""
    with KafkaCluster(tmp_path_factory.mktemp("kafka-cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A single Redis server. Tests share it: use a namespace of your own."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of the single server."""
    return redis_server.url


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT interrupts, here and in what the test starts.

    A shell lets its background jobs ignore it, and what they start inherits that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
