"""What a benchmark watches of a worker that drains a backlog: how far it is, its processor time, its memory (Linux)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from tests.benchmarks.work import TOPIC
from tests.support.system import System
from tests.support.worker_process import WorkerProcess, wait_until


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
    """Measured from the worker's first batch of transactions, before it is evaluated, to the last commit."""

    def begun() -> bool:
        intents = [system.meta(number).intent for number in range(system.partitions)]
        return any(getattr(intent, "topic", "") == TOPIC for intent in intents) or position(system, redis_url) > 0

    wait_until(begun, "the worker begins", 60)
    before, began, used = position(system, redis_url), time.perf_counter(), cpu_seconds(worker)
    wait_until(lambda: position(system, redis_url) >= events, "the worker has drained the topic", 600)
    seconds = time.perf_counter() - began
    return Drained(events - before, seconds, cpu_seconds(worker) - used)


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
