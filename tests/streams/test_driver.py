"""The batch driver under a real Faust worker (a subprocess: one App per process), on the embedded and a real broker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from streams.driver import Consumer, ConsumerThread
from streams.embedded_broker import EmbeddedBroker
from tests.support.driver_worker import read
from tests.support.kafka_broker import create_topics, die_with_parent, end_offsets, group_offsets, produce
from tests.support.tcp_proxy import TcpProxy

TREE = Path(__file__).resolve().parents[2]
PARTITIONS = 4


class Workers:
    """Worker processes of one test; what they print goes to one file each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]] = []
        self.book = directory / "book.jsonl"

    def start(self, **plan: Any) -> subprocess.Popen[bytes]:
        output = self._directory / f"worker-{len(self._started)}.log"
        argument = json.dumps({"book": str(self.book), **plan})
        with output.open("wb") as file:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.support.driver_worker", argument], cwd=TREE, stdout=file, stderr=file
            )
        self._started.append((worker, die_with_parent(worker.pid)))
        return worker

    def output(self, worker: subprocess.Popen[bytes]) -> str:
        index = next(index for index, (started, _) in enumerate(self._started) if started is worker)
        return (self._directory / f"worker-{index}.log").read_text(errors="replace")

    def lines(self, kind: str, worker: subprocess.Popen[bytes] | None = None) -> list[dict[str, Any]]:
        return [line for line in read(self.book, kind) if worker is None or line["pid"] == worker.pid]

    def wait(self, condition: Callable[[], object], seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError("not in time; " + "\n".join(self.output(worker) for worker, _ in self._started))
            time.sleep(0.05)

    def close(self) -> None:
        for worker, watcher in self._started:
            worker.kill()
            worker.wait()
            watcher.kill()
            watcher.wait()
            assert watcher.stdin is not None
            watcher.stdin.close()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    started = Workers(tmp_path)
    yield started
    started.close()


@pytest.fixture
def embedded() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


def fill(bootstrap: str, topic: str, count: int) -> None:
    """``count`` records, spread over the partitions in turn."""
    produce(bootstrap, topic, [(i % PARTITIONS, b"k%d" % i, b"v" * 100) for i in range(count)])


def offsets_done(workers: Workers, topic: str) -> dict[int, list[int]]:
    """The offsets done, by partition, in the order they were done."""
    done: dict[int, list[int]] = defaultdict(list)
    for line in workers.lines("chunk"):
        if line["topic"] == topic:
            for first, last in line["offsets"]:
                done[line["partition"]].extend(range(first, last + 1))
    return dict(done)


def count_done(workers: Workers) -> int:
    return sum(last - first + 1 for line in workers.lines("chunk") for first, last in line["offsets"])


async def commit(bootstrap: str, group: str, offsets: dict[tuple[str, int], int]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(*tp) for tp in offsets])
    await consumer.commit({TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()})
    await consumer.stop()


def test_the_end_of_a_partition_is_of_this_assignment_alone() -> None:
    """As of the last fetch; unknown before the first one, for another's partition and between two assignments."""
    states = {
        TopicPartition("t", 0): SimpleNamespace(highwater=7),
        TopicPartition("t", 1): SimpleNamespace(highwater=None),
    }
    assignment = SimpleNamespace(state_value=states.get)
    subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    thread = object.__new__(ConsumerThread)
    thread._consumer = SimpleNamespace(_subscription=subscription)  # type: ignore[assignment]  # what is read of it
    assert [thread.end(TP("t", number)) for number in range(3)] == [7, None, None]
    subscription.subscription.assignment = None
    assert thread.end(TP("t", 0)) is None
    subscription.subscription = None
    assert thread.end(TP("t", 0)) is None
    consumer = object.__new__(Consumer)
    consumer._thread = thread
    subscription.subscription = SimpleNamespace(assignment=assignment)
    assert [consumer.lag(TP("t", 0), position) for position in (0, 5, 7, 9)] == [7, 2, 0, 0]
    assert consumer.lag(TP("t", 1), 0) is None


# On the embedded broker


def test_records_arrive_once_in_order_in_chunks_and_done_commits_them(embedded: str, workers: Workers) -> None:
    """Every record is handed over once, in order, many at a time; the offset after the last is committed to Kafka."""
    fill(embedded, "bank.transactions", 8000)
    worker = workers.start(bootstrap=embedded, group="once", topics=["bank.transactions"])
    workers.wait(lambda: count_done(workers) >= 8000)

    assert offsets_done(workers, "bank.transactions") == {p: list(range(2000)) for p in range(PARTITIONS)}
    assert len(workers.lines("chunk")) < 8000 / 50
    ends = {("bank.transactions", p): 2000 for p in range(PARTITIONS)}
    workers.wait(lambda: group_offsets(embedded, "once", ["bank.transactions"]) == ends)
    assert worker.poll() is None


def test_committed_when_stopped_between_two_commits(embedded: str, workers: Workers) -> None:
    """SIGTERM ends the worker in order within 5 s: exit code 0, partitions released, what is done is committed."""
    fill(embedded, "bank.transactions", 8000)
    worker = workers.start(
        bootstrap=embedded, group="stop", topics=["bank.transactions"], delay_s=0.02, max_poll_records=50
    )
    workers.wait(lambda: count_done(workers) >= 400)
    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0, workers.output(worker)

    assert time.monotonic() - started < 5.0
    assert count_done(workers) < 8000
    assert [line["partitions"] for line in workers.lines("release")] == [[0, 1, 2, 3]]
    done = {("bank.transactions", p): found[-1] + 1 for p, found in offsets_done(workers, "bank.transactions").items()}
    assert group_offsets(embedded, "stop", ["bank.transactions"]) == done
    assert workers.output(worker) == ""


def test_sigint_stops_in_order_too(embedded: str, workers: Workers) -> None:
    """Ctrl-C is as good as SIGTERM."""
    worker = workers.start(bootstrap=embedded, group="int", topics=["bank.transactions"])
    workers.wait(lambda: workers.lines("take"))
    worker.send_signal(signal.SIGINT)
    assert worker.wait(5) == 0, workers.output(worker)


@pytest.mark.parametrize(("committed", "stored"), [(900, 300), (300, 900)], ids=["kafka-ahead", "kafka-behind"])
async def test_the_owner_says_where_to_read_on(embedded: str, workers: Workers, committed: int, stored: int) -> None:
    """Not Kafka's committed offset, whether that is ahead of the owner's position or behind it."""
    await asyncio.to_thread(fill, embedded, "bank.transactions", 4000)
    await commit(embedded, "where", {("bank.transactions", p): committed for p in range(PARTITIONS)})
    start = {"bank.transactions": stored}
    workers.start(bootstrap=embedded, group="where", topics=["bank.transactions"], start=start, take_over_s=1.2)
    await asyncio.to_thread(workers.wait, lambda: count_done(workers) >= (1000 - stored) * PARTITIONS)

    assert offsets_done(workers, "bank.transactions") == {p: list(range(stored, 1000)) for p in range(PARTITIONS)}


def test_a_take_over_may_last_longer_than_a_request(embedded: str, workers: Workers) -> None:
    """A store that is brought up from the journal takes its time: the worker works when it is done."""
    fill(embedded, "bank.transactions", 400)
    plan = {"session_timeout_s": 1.0, "request_timeout_s": 1.0, "take_over_s": 2.5}
    workers.start(bootstrap=embedded, group="long", topics=["bank.transactions"], **plan)
    workers.wait(lambda: count_done(workers) >= 400)


@pytest.mark.parametrize("comes", [True, False], ids=["comes", "stopped-before"])
def test_a_broker_that_does_not_answer_at_the_start_is_waited_for(
    embedded: str, workers: Workers, *, comes: bool
) -> None:
    """Not an end with a traceback: the log says what is waited for. A worker that waits can be stopped."""
    with TcpProxy(int(embedded.rpartition(":")[2])) as line:
        line.cut()
        worker = workers.start(bootstrap=line.address, group=f"late-{comes}", topics=["bank.transactions"])
        workers.wait(lambda: "Kafka does not answer, the group is not joined yet" in workers.output(worker))
        if comes:
            fill(embedded, "bank.transactions", 400)
            line.heal()
            workers.wait(lambda: count_done(workers) >= 400)
        worker.terminate()
        assert worker.wait(10) == 0, workers.output(worker)


def test_an_error_in_submit_stops_the_worker(embedded: str, workers: Workers) -> None:
    """Exit code 1, the cause in the log, and the chunk that failed is not acknowledged."""
    fill(embedded, "bank.transactions", 4000)
    plan = {"bootstrap": embedded, "group": "raise", "topics": ["bank.transactions"], "max_poll_records": 100}
    worker = workers.start(**plan, raise_at=1500)
    assert worker.wait(15) == 1

    assert "submit broke" in workers.output(worker)
    done = {("bank.transactions", p): found[-1] + 1 for p, found in offsets_done(workers, "bank.transactions").items()}
    committed = group_offsets(embedded, "raise", ["bank.transactions"])
    assert count_done(workers) < 1500
    assert all(offset <= done[tp] for tp, offset in committed.items())


def test_a_failed_owner_stops_the_worker(embedded: str, workers: Workers) -> None:
    """``failed()`` completing with an exception ends the process with code 1 and the cause in the log."""
    fill(embedded, "bank.transactions", 400)
    worker = workers.start(bootstrap=embedded, group="fail", topics=["bank.transactions"], fail_at=1)
    assert worker.wait(15) == 1
    assert "the owner failed" in workers.output(worker)


def test_a_failed_take_over_stops_the_worker(embedded: str, workers: Workers) -> None:
    """No record flows from a partition that could not be taken over."""
    fill(embedded, "bank.transactions", 400)
    worker = workers.start(bootstrap=embedded, group="broken", topics=["bank.transactions"], break_take_over=True)
    assert worker.wait(15) == 1
    assert "the take-over broke" in workers.output(worker)
    assert workers.lines("chunk") == []


def test_a_position_the_broker_does_not_have_stops_the_worker(embedded: str, workers: Workers) -> None:
    """A position beyond the end (the topic was created anew) is an error with a clear text, not a silent restart."""
    fill(embedded, "bank.transactions", 400)
    start = {"bank.transactions": 5000}
    worker = workers.start(bootstrap=embedded, group="lost", topics=["bank.transactions"], start=start)
    assert worker.wait(15) == 1
    assert "are lost: the position is 5000, but the log ends at offset 100" in workers.output(worker)
    assert workers.lines("chunk") == []


def test_a_partition_that_is_held_up_delays_no_other(embedded: str, workers: Workers) -> None:
    """Two chunks of it are handed out, not more; the others run to their end."""
    fill(embedded, "bank.transactions", 8000)
    workers.start(bootstrap=embedded, group="held", topics=["bank.transactions"], hold=[1], max_poll_records=100)
    workers.wait(lambda: count_done(workers) >= 6000)

    assert sorted(offsets_done(workers, "bank.transactions")) == [0, 2, 3]
    assert len(workers.lines("held")) == 2
    committed = {("bank.transactions", p): 2000 for p in (0, 2, 3)}
    workers.wait(lambda: group_offsets(embedded, "held", ["bank.transactions"]) == committed)


def test_partitions_of_unequal_topics_are_refused(tmp_path: Path, workers: Workers) -> None:
    """A worker that would own half of a customer's records stops with a text that names the topic."""
    with EmbeddedBroker() as broker:
        broker.create_topic("four", 4)
        broker.create_topic("two", 2)
        worker = workers.start(bootstrap=broker.bootstrap, group="uneven", topics=["four", "two"])
        assert worker.wait(15) == 1
    assert "was assigned without topic two" in workers.output(worker)
    assert workers.lines("take") == []


def test_a_new_partition_starts_with_the_oldest_record_there_is(embedded: str, workers: Workers) -> None:
    """Position 0 means the beginning, also where retention has moved it."""
    produce(embedded, "bank.transactions", [(0, None, b"x" * 10_000) for _ in range(1000)])
    workers.start(bootstrap=embedded, group="old", topics=["bank.transactions"])
    workers.wait(lambda: offsets_done(workers, "bank.transactions").get(0, [0])[-1] == 999)

    first = offsets_done(workers, "bank.transactions")[0][0]
    assert first > 0
    assert offsets_done(workers, "bank.transactions")[0] == list(range(first, 1000))


# On real Kafka


def taken(workers: Workers, worker: subprocess.Popen[bytes]) -> list[list[int]]:
    """The partition numbers of a worker at each take-over; all topics have the same at each of them."""
    found = []
    for line in workers.lines("take", worker):
        by_topic: dict[str, set[int]] = defaultdict(set)
        for topic, partition in line["assigned"]:
            by_topic[topic].add(partition)
        numbers = {frozenset(partitions) for partitions in by_topic.values()}
        assert len(by_topic) == 3, line
        assert len(numbers) == 1, line
        found.append(sorted(numbers.pop()))
    return found


def test_a_killed_worker_is_replaced_from_the_stored_position(kafka: str, workers: Workers) -> None:
    """Workers 1, 2, 1: SIGKILL in the middle of three topics; the other goes on where the book ends, nothing twice.

    At each step a worker has the same partition numbers of every topic.
    """
    topics = ["kill.a", "kill.b", "kill.c"]
    create_topics(kafka, topics)
    for topic in topics:
        fill(kafka, topic, 6000)
    plan = {"bootstrap": kafka, "group": "kill", "topics": topics, "session_timeout_s": 2.0}
    first = workers.start(**plan, delay_s=0.05, max_poll_records=50)
    workers.wait(lambda: taken(workers, first))
    second = workers.start(**plan, delay_s=0.05, max_poll_records=50)
    workers.wait(lambda: len(workers.lines("chunk", second)) > 10 and len(taken(workers, first)) > 1)
    shares = (taken(workers, first)[-1], taken(workers, second)[-1])
    first.kill()
    killed = time.monotonic()
    workers.wait(lambda: len(taken(workers, second)) > 1)
    assert time.monotonic() - killed < 2.0 + 18.0, "it waited for more than the session of the killed one"
    workers.wait(lambda: count_done(workers) >= 18_000, 60)

    assert taken(workers, first)[0] == [0, 1, 2, 3]
    assert sorted(shares[0] + shares[1]) == [0, 1, 2, 3]
    assert len(shares[0]) == len(shares[1]) == 2
    assert taken(workers, second)[-1] == [0, 1, 2, 3]
    for topic in topics:
        assert offsets_done(workers, topic) == {p: list(range(1500)) for p in range(PARTITIONS)}


def test_a_chunk_is_bounded_in_bytes_however_they_came(kafka: str, workers: Workers) -> None:
    """A publisher may compress as it likes: about two MiB unpacked are handed over, were it nothing on the wire."""
    kinds, small, size, large = ("none", "gzip", "snappy", "lz4", "zstd"), 400, 10_000, 1_000
    topics = [f"chunks.{compression}" for compression in kinds]
    create_topics(kafka, topics)
    for topic, compression in zip(topics, kinds, strict=True):
        produce(kafka, topic, [(0, b"k", b"v")] * small + [(0, b"k", b"x" * size)] * large, compression)
    workers.start(bootstrap=kafka, group="chunks", topics=topics, max_poll_records=10_000)
    workers.wait(lambda: count_done(workers) >= len(topics) * (small + large))

    for topic in topics:
        assert offsets_done(workers, topic) == {0: list(range(small + large))}
    chunks = [range(first, last + 1) for line in workers.lines("chunk") for first, last in line["offsets"]]
    # The first large ones may be taken as if they were small: 128 at once.
    most = max(sum(offset >= small + 128 for offset in chunk) for chunk in chunks)
    assert 2 <= most * size <= 1.25 * 2 * 1_048_576, f"{most} records of {size} bytes in a chunk"


def test_a_worker_with_a_name_of_its_own_comes_back_without_a_rebalance(kafka: str, workers: Workers) -> None:
    """Static membership: killed and started again within the session, it has its partitions back at once."""
    create_topics(kafka, ["static"])
    fill(kafka, "static", 400)
    plan = {"bootstrap": kafka, "group": "static", "topics": ["static"], "instance_id": "worker-1"}
    first = workers.start(**plan, session_timeout_s=20.0)
    workers.wait(lambda: count_done(workers) >= 400)
    first.kill()
    fill(kafka, "static", 400)
    started = time.monotonic()
    workers.start(**plan, session_timeout_s=20.0)
    workers.wait(lambda: count_done(workers) >= 800)

    assert time.monotonic() - started < 15.0
    assert offsets_done(workers, "static") == {p: list(range(200)) for p in range(PARTITIONS)}


async def test_transactions_leave_holes_that_stall_nothing(kafka: str, workers: Workers) -> None:
    """Markers take offsets, aborted records are not delivered, and all the rest is delivered and committed."""
    await asyncio.to_thread(create_topics, kafka, ["marked"])
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id="marked")
    await producer.start()
    kept: dict[int, list[int]] = defaultdict(list)
    for number in range(30):
        await producer.begin_transaction()
        sent = [await producer.send_and_wait("marked", b"v", partition=i % PARTITIONS) for i in range(8)]
        if number % 5 == 4:
            await producer.abort_transaction()
        else:
            await producer.commit_transaction()
            for record in sent:
                kept[record.partition].append(record.offset)
    await producer.stop()
    ends = await asyncio.to_thread(end_offsets, kafka, "marked")
    workers.start(bootstrap=kafka, group="marked", topics=["marked"], max_poll_records=20)
    count = sum(len(found) for found in kept.values())
    await asyncio.to_thread(workers.wait, lambda: count_done(workers) >= count)

    assert offsets_done(workers, "marked") == dict(kept)
    # The last transaction was aborted, so the end lies beyond the last record.
    committed = {("marked", p): found[-1] + 1 for p, found in kept.items()}
    assert all(ends[p] > offset for (_, p), offset in committed.items())
    await asyncio.to_thread(workers.wait, lambda: group_offsets(kafka, "marked", ["marked"]) == committed)


def test_what_comes_late_from_a_former_assignment_counts_for_nothing(kafka: str, workers: Workers) -> None:
    """A chunk done after its partitions were revoked is not acknowledged; the next assignment delivers it again."""
    create_topics(kafka, ["late"])
    fill(kafka, "late", 800)
    plan = {"bootstrap": kafka, "group": "late", "topics": ["late"], "hold": [0, 1, 2, 3]}
    first = workers.start(**plan)
    workers.wait(lambda: len({line["partition"] for line in workers.lines("held", first)}) == PARTITIONS)
    second = workers.start(**plan)
    workers.wait(lambda: workers.lines("late", first))
    late = workers.lines("late", first)[0]
    workers.wait(lambda: {p["partition"] for p in workers.lines("held", first) if p["epoch"] == late["epoch"]})
    workers.wait(lambda: workers.lines("held", second))
    again = [line for line in workers.lines("held", first) if line["epoch"] == late["epoch"]]
    # The group's next commit would have come by then; the stop commits once more.
    for worker in (first, second):
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(10) for worker in (first, second)] == [0, 0]

    assert late["count"] >= PARTITIONS
    assert {line["first"] for line in again} == {0}
    assert group_offsets(kafka, "late", ["late"]) == {}


async def test_nothing_fetched_before_the_seek_comes_after_it(kafka: str, workers: Workers) -> None:
    """A fetch that waits across a rebalance returns records of Kafka's committed offset: they are dropped.

    The owner reads all again from 0 at each take-over, while records keep coming at the end.
    """
    await asyncio.to_thread(create_topics, kafka, ["tag"])
    await asyncio.to_thread(fill, kafka, "tag", 400)
    plan = {
        "bootstrap": kafka,
        "group": "tag",
        "topics": ["tag"],
        "rewind": True,
        "take_over_s": 0.7,
    }
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    first = workers.start(**plan)

    def taken_over() -> int:
        return len(workers.lines("take", first))

    second = None
    while taken_over() < 2:
        await asyncio.gather(*[producer.send_and_wait("tag", b"v", partition=p) for p in range(4)])
        if second is None and count_done(workers) > 400:
            second = workers.start(**plan)
    await producer.stop()
    last = end_offsets(kafka, "tag")[0] - 1
    await asyncio.to_thread(
        workers.wait, lambda: {p["pid"] for p in workers.lines("chunk") if p["epoch"] == 2 and p["last"] == last}
    )

    seen: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for line in workers.lines("chunk"):
        for low, high in line["offsets"]:
            seen[line["pid"], line["epoch"], line["partition"]].extend(range(low, high + 1))
    assert (first.pid, 2) in {(pid, epoch) for pid, epoch, _ in seen}
    assert all(offsets == list(range(len(offsets))) for offsets in seen.values())


def test_a_rebalance_during_a_take_over(kafka: str, workers: Workers) -> None:
    """The take-over is given up, the next assignment is taken over, and every record is done once."""
    create_topics(kafka, ["again"])
    fill(kafka, "again", 4000)
    plan = {"bootstrap": kafka, "group": "again", "topics": ["again"], "take_over_s": 1.5}
    first = workers.start(**plan)
    # It has joined: its next heartbeat or two fall into its take-over.
    workers.wait(lambda: workers.lines("taking", first))
    second = workers.start(**plan)
    workers.wait(lambda: count_done(workers) >= 4000 and workers.lines("take", second))

    assert offsets_done(workers, "again") == {p: list(range(1000)) for p in range(PARTITIONS)}


def test_a_rebalance_frees_an_agent_that_waits_for_room(kafka: str, workers: Workers) -> None:
    """A chunk that waits in ``submit`` is given up with its partition; the agent goes on with the next assignment."""
    create_topics(kafka, ["room"])
    fill(kafka, "room", 400)
    plan = {"bootstrap": kafka, "group": "room", "topics": ["room"]}
    first = workers.start(**plan, block=True)
    workers.wait(lambda: workers.lines("blocked", first))
    workers.start(**plan)
    workers.wait(lambda: count_done(workers) >= 400)

    assert workers.lines("chunk", first)
    assert offsets_done(workers, "room") == {p: list(range(100)) for p in range(PARTITIONS)}
