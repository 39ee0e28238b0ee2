"""What a worker does not start with, or go on with, each time as a real process: its exit code and what it says."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from schemas.topics import CONSUMED, TOPICS
from streams.embedded_redis import EmbeddedRedis
from tests.support.bank_history import bank_history
from tests.support.kafka_broker import add_partitions, delete_records, set_topic_config
from tests.support.oracle_check import check_straight_pass
from tests.support.system import Event, System
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker_process import wait_until

RULES = Path(__file__).parent / "rules" / "independent"
PASSWORD = "s3cr3t-of-the-test"
UNREACHABLE, REFUSED = 4, 5


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, and nobody will while the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@pytest.fixture
def locked_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server that wants a password."""
    with EmbeddedRedis(tmp_path / "locked", appendonly=False, password=PASSWORD) as server:
        yield server


def test_topics_that_are_not_there_or_not_right_are_refused_with_the_command_that_mends_them(
    kafka: str, redis_url: str, tmp_path: Path
) -> None:
    """Missing topics; then one with more partitions and one that is compacted: exit 5, and each topic is named."""
    with System(kafka, redis_url, tmp_path, rules=RULES, name="topics", partitions=2) as system:
        code, text = _start(system)
        assert code == REFUSED, text
        for topic in TOPICS:
            name = system.kafka_topic(topic.name)
            assert f"{name}: it does not exist; to mend it: bank-triggers topics create" in text

        code, text = system.command("topics", "create")
        assert code == 0, text
        assert f"{system.kafka_topic('bank.transactions')}: created with 2 partitions" in text
        add_partitions(kafka, system.kafka_topic("bank.profiles"), 3)
        set_topic_config(kafka, system.kafka_topic("bank.maturities"), {"cleanup.policy": "compact"})
        code, text = _start(system)
        assert code == REFUSED, text
        assert f"{system.kafka_topic('bank.profiles')}: it has 3 partitions, expected 2 as all topics have" in text
        assert (
            f"{system.kafka_topic('bank.maturities')}: its cleanup.policy is compact, expected delete; "
            "to mend it: bank-triggers topics create"
        ) in text
        assert len(text.strip().splitlines()) == 2, text

        # What can be mended is; the other is named, and the exit code says that something is left.
        code, text = system.command("topics", "create")
        assert code == 1, text
        assert f"{system.kafka_topic('bank.maturities')}: mended: " in text
        assert f"{system.kafka_topic('bank.profiles')}: it has 3 partitions, expected 2 as all topics have" in text
        assert "as it should be" not in text
        code, text = system.command("topics", "check", "--json")
        assert code == 1, text
        (left,) = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        assert left["topic"] == system.kafka_topic("bank.profiles")
        code, text = system.command("topics", "create", "--partitions", "4")
        assert code == 1, text
        assert f"{system.kafka_topic('bank.managers')}: it has 2 partitions, expected 4 as all topics have" in text


def test_a_kafka_that_does_not_answer_is_named_and_the_worker_ends(
    redis_url: str, tmp_path: Path, closed_port: int
) -> None:
    """Tried again for as long as ``startup_seconds`` says, then exit 4 with the address."""
    with System(f"127.0.0.1:{closed_port}", redis_url, tmp_path, rules=RULES, startup_seconds=2) as system:
        began = time.monotonic()
        code, text = _start(system)
        assert code == UNREACHABLE, text
        assert f"Kafka at 127.0.0.1:{closed_port} did not answer within 2 s" in text
        assert "Traceback" not in text
        assert time.monotonic() - began >= 2


def test_a_redis_that_does_not_answer_is_named_without_its_password(
    kafka: str, tmp_path: Path, closed_port: int
) -> None:
    """Exit 4 with the address; the password in the URL is not shown."""
    url = f"redis://user:{PASSWORD}@127.0.0.1:{closed_port}/0"
    with System(kafka, url, tmp_path, rules=RULES, startup_seconds=2) as system:
        code, text = _start(system)
        assert code == UNREACHABLE, text
        assert f"the store at redis://user:***@127.0.0.1:{closed_port}/0 did not answer within 2 s" in text
        assert PASSWORD not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("given", ["", "wr0ng-secret"])
def test_a_redis_that_wants_a_password_turns_the_worker_away_at_once(
    kafka: str, tmp_path: Path, locked_redis: EmbeddedRedis, given: str
) -> None:
    """No password, or a wrong one: exit 4 without waiting, and neither password is shown."""
    settings: dict[str, Any] = {"redis_password": given} if given else {}
    url = f"redis://{locked_redis.address}"
    with System(kafka, url, tmp_path, rules=RULES, startup_seconds=60, **settings) as system:
        began = time.monotonic()
        code, text = _start(system)
        assert code == UNREACHABLE, text
        assert f"the store at redis://{locked_redis.address} turns us away" in text
        assert PASSWORD not in text
        assert "wr0ng-secret" not in text
        assert "Traceback" not in text
        assert time.monotonic() - began < 40, "it waited for a password to become right"


def test_a_lost_state_is_refused_until_an_operator_accepts_the_loss(kafka: str, redis_url: str, tmp_path: Path) -> None:
    """The store comes back empty while the group has offsets: exit 5 naming the command; after it a worker goes on."""
    events = bank_history(customers=20)
    half = len(events) // 2
    with System(kafka, redis_url, tmp_path, rules=RULES, name="lost", partitions=2) as system:
        system.create_topics()
        system.publish(events[:half])
        worker = system.start_worker()
        worker.wait_for_partitions(system.partitions)
        system.wait_until_drained()
        system.stop_workers()
        before = len(system.actions())
        assert before > 0
        accepted = {(topic.name, p): end for topic in CONSUMED for p, end in system.ends(topic.name).items()}

        system.forget_everything()
        refused = system.start_worker()
        assert refused.wait() == REFUSED, f"{refused}"
        assert "is lost: the consumer group has read up to offset" in refused.text()
        assert "bank-triggers state accept-loss --partition" in refused.text()

        for partition in range(system.partitions):
            code, text = system.command("state", "accept-loss", "--partition", str(partition), "--yes")
            assert code == 0, text
            end = accepted["bank.transactions", partition]
            assert f"bank.transactions partition {partition}: goes on at offset {end}" in text
        system.workers.remove(refused)
        system.start_worker().wait_for_partitions(system.partitions)
        system.publish(events[half:])
        system.wait_until_drained()
        system.stop_workers()
        assert len(system.actions()) > before
        # What came before is not read again, what comes after meets an empty memory.
        assert check_straight_pass(system, forgotten_at=accepted) > before


def test_records_deleted_under_a_running_worker_end_it_until_an_operator_accepts_the_loss(
    kafka: str, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """It lags while the store does not answer, and Kafka deletes what it must read next: exit 5, and the command."""
    settings: dict[str, Any] = {"redis_timeout_ms": 500, "dead_letter_percent": 0}
    with (
        TcpProxy(redis_server.port) as line,
        System(kafka, redis_server.url, tmp_path, rules=RULES, name="deleted", partitions=1, **settings) as system,
    ):
        system.create_topics()
        topic = system.kafka_topic("bank.transactions")
        worker = system.start_worker(redis_url=f"redis://{line.address}")
        worker.wait_for_partitions(1)
        system.publish([Event("bank.transactions", b"c1", b"{")])
        system.wait_until_drained()

        line.freeze()
        # 20 MB: more than a worker reads ahead of what it can commit.
        end = 1 + system.publish(Event("bank.transactions", b"c1", b"x" * 100_000) for _ in range(200))
        delete_records(kafka, [TopicPartition(topic, 0, end - 1)])
        line.heal()
        assert worker.wait() == REFUSED, f"{worker}"
        assert re.search(
            rf"records of {re.escape(topic)} partition 0 are lost: the position is \d+, but the log begins at offset "
            rf"{end - 1}, .*bank-triggers state accept-loss --partition 0\n",
            worker.text(),
        )

        system.workers.remove(worker)
        code, text = system.command("state", "accept-loss", "--partition", "0", "--yes")
        assert code == 0, text
        assert f"bank.transactions partition 0: goes on at offset {end - 1}" in text
        system.start_worker().wait_for_partitions(1)
        system.wait_until_drained()
        system.stop_workers()


def _start(system: System) -> tuple[int, str]:
    """Starts a worker that must end by itself; its exit code and what it said."""
    worker = system.start_worker()
    wait_until(lambda: not worker.running, lambda: f"the worker ends by itself: {worker}", 60)
    return worker.wait(), worker.text()
