"""What a benchmark watches of a worker that drains a backlog: how far it is, its processor time, its memory (Linux)."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from schemas.journal import RecordBatch
from schemas.topics import DECISIONS
from streams.metrics import PREFIX
from tests.benchmarks.work import TOPIC
from tests.support.oracle_check import check_against_oracle
from tests.support.system import QUEUES, Meta, System
from tests.support.worker_process import WorkerProcess, wait_until

_ADDRESS: Final = re.compile(r"health and metrics at (http://127\.0\.0\.1:\d+)")


@dataclass(frozen=True, slots=True)
class Drained:
    """So many transactions, how long they took, and the worker's processor time for them, in seconds."""

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def time_drain(system: System, redis_url: str, worker: WorkerProcess, events: int) -> Drained:
    """Measured from the worker's first batch of transactions, before it is evaluated, to the last commit.

    Only there is nothing under way: later several batches are at a time. What had begun before the first look does not
    count, though the clock may run on its end.
    """
    looks: list[int] = []

    def measured() -> bool:
        looks.append(sum(_begun(system.meta(number)) for number in range(system.partitions)))
        return looks[-1] > 0

    wait_until(measured, "the worker begins", 120)
    before = looks[-2:][0]
    began, used = time.perf_counter(), cpu_seconds(worker)
    wait_until(lambda: position(system, redis_url) >= events, "the worker has drained the topic", 600)
    seconds = time.perf_counter() - began
    return Drained(events - before, seconds, cpu_seconds(worker) - used)


def _begun(meta: Meta) -> int:
    """How many transactions of a partition are committed or in the batch that is under way."""
    committed, intent = meta.positions.get(TOPIC, 0), meta.intent
    if isinstance(intent, RecordBatch) and intent.topic == TOPIC:
        return max(committed, intent.last_offset + 1)
    return committed


def position(system: System, redis_url: str, topic: str = TOPIC) -> int:
    """How many of a topic's records are committed, over all partitions; transactions where no topic is named."""
    with Redis.from_url(redis_url) as redis:
        keys = [f"{{{system.settings.namespace}:{number}}}:meta" for number in range(system.partitions)]
        return sum(int(redis.hget(key, f"pos:{topic}") or 0) for key in keys)


def memory_mib(worker: WorkerProcess) -> float:
    """The most that a worker's memory has been so far."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text("utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def cpu_seconds(worker: WorkerProcess) -> float:
    """User and system time, from the second field after the process's name's closing bracket on."""
    fields = Path(f"/proc/{worker.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metrics_text(worker: WorkerProcess) -> str:
    """What a worker tells Prometheus now."""
    with urllib.request.urlopen(f"{_ADDRESS.findall(worker.text())[-1]}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def grown(before: str, after: str, name: str, by: str = "") -> Mapping[str, float]:
    """How much a metric's samples grew from one text to another, by a label's value, in the order of the text."""
    found = _totals(after, name, by)
    if not found:
        raise SystemExit(f"the worker's metrics have no {PREFIX}{name}")
    earlier = _totals(before, name, by)
    return {value: total - earlier.get(value, 0.0) for value, total in found.items()}


def _totals(text: str, name: str, by: str) -> Mapping[str, float]:
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == PREFIX + name:
                found[sample.labels.get(by, "")] += sample.value  # type: ignore[assignment]  # it may count in parts
    return found


def check_undisturbed(system: System) -> None:
    """As the oracle has it, and nothing twice: where no fault is made, none is an excuse. A difference raises."""
    verdict = check_against_oracle(system, processes=os.cpu_count() or 1)
    why = repeated(verdict.repeated_messages, verdict.repeated_batches)
    if why:
        raise SystemExit(why)


def stands_twice(system: System) -> str:
    """Why a run without faults is void, the oracle not asked: what stands twice on the queues or in the journal."""
    messages = Counter(
        (topic, record.key, record.value) for topic in (*QUEUES, DECISIONS) for record in system.read(topic)
    )
    batches = Counter((entry.partition, entry.sequence) for entry in system.journal())
    return repeated(messages.total() - len(messages), batches.total() - len(batches))


def repeated(messages: int, batches: int) -> str:
    """Why a run without faults is void: what was sent or journalled more than once. Empty: it counts."""
    if messages == batches == 0:
        return ""
    return f"void: {messages} messages and {batches} batches stand there twice"
