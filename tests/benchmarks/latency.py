"""Latency by an open loop: events at a fixed rate, from the moment each was *meant* to be sent to its action read back.

The rates are shares of what the same worker drained in the same run. Events are sent by a process of its own that does
not wait for anybody, so a worker that stands still is charged for every event that should have come meanwhile. Only
actions decided at their event's own time count; percentiles are of all samples, none is interpolated.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, Self

from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from schemas.actions import NextBestAction
from schemas.base import to_ms
from streams.demo.neighbours import latency, percentile
from streams.embedded_redis import EmbeddedRedis
from streams.simulator.publish import Handed
from tests.benchmarks.results import Result, Target
from tests.benchmarks.watched import cpu_seconds, position, time_drain
from tests.benchmarks.work import RULES, TOPIC, profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import QUEUES, System
from tests.support.worker_process import WorkerProcess, wait_until

ABOUT: Final = "from an event's intended time to its action, at fixed rates (open loop)"
ROOT: Final = Path(__file__).parents[2]
_ADDRESS: Final = re.compile(r"health and metrics at (http://127\.0\.0\.1:\d+)")
_HALF: Final = 0.5
_DRAIN_S: Final = 120.0
_WARM_S: Final = 2.0
"""The first seconds at a rate do not count: caches and estimates settle."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One rate. Times in milliseconds; ``pauses`` of the worker's garbage collector during it."""

    share: float
    rate: float
    events: int
    actions: int
    p50: float
    p99: float
    p999: float
    longest: float
    sender_late: float
    cpu_us: float
    pauses: int
    pause_ms: float
    longest_pause: str
    """The bound in seconds that the longest pause kept within."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=60_000, help="transactions that are drained first")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each rate is held")
    parser.add_argument("--shares", type=float, nargs="*", default=[0.5, 0.8], help="rates, of the drain's")
    parser.add_argument("--rules", type=Path, default=RULES, help="a folder of triggers")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Starts a Kafka and a Redis, drains, holds each rate and prints the table."""
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with (
            KafkaBroker(folder / "kafka") as broker,
            EmbeddedRedis(folder / "redis", appendonly=True) as redis,
            System(
                broker.bootstrap,
                redis.url,
                folder,
                rules=given.rules.resolve(),
                name="bench",
                session_timeout_ms=6_000,
            ) as system,
        ):
            system.create_topics()
            system.publish(profiles(given.customers))
            # So many make the two months: all rates together may take a multiple of what is drained.
            of = given.events * 4
            system.publish(transactions(given.events, given.customers, of=of))
            worker = system.start_worker()
            drained = time_drain(system, redis.url, worker, given.events)
            system.wait_until_drained(120)
            first, figures = given.events, []
            for share in given.shares:
                rate = drained.rate * share
                count = int(rate * given.seconds)
                figures.append(_hold(system, worker, redis.url, share, rate, first, count, of, given.customers))
                first += count
            system.stop_workers()
            check_against_oracle(system)
    found = Result(
        of=f"{given.events:,} transactions of {given.customers:,} customers drained at {drained.rate:,.0f}/s\n"
        f"each rate held for {given.seconds:g} s; actions, decisions and states equal the oracle's",
        text=table(figures),
        figures={"drain": drained.rate, "rates": [asdict(figure) for figure in figures]},
        targets=targets(figures),
    )
    found.tell(given.json)


def targets(figures: Sequence[Figure]) -> list[Target]:
    """At half of the rate at which it drains."""
    return [
        target
        for f in figures
        if f.share == _HALF
        for target in (
            Target("latency at half the drain's rate: p99 ms", 50, 15, f.p99, at_most=True),
            Target("latency at half the drain's rate: p99.9 ms", 250, 50, f.p999, at_most=True),
        )
    ]


def table(figures: Sequence[Figure]) -> str:
    """A row for each rate."""
    heads = ("rate", "events/s", "actions", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "sender late", "CPU us/event")
    lines = ["".join(f"{head:>13}" for head in heads) + f"{'collector: pauses, ms, longest':>34}"]
    for f in figures:
        times = "".join(f"{value:>13.1f}" for value in (f.p50, f.p99, f.p999, f.longest, f.sender_late, f.cpu_us))
        pauses = f"{f.pauses}, {f.pause_ms:.1f}, <= {f.longest_pause} s" if f.pauses else "none"
        lines.append(f"{f'{f.share:.0%}':>13}{f.rate:>13,.0f}{f.actions:>13,}{times}{pauses:>34}")
    return "\n".join(lines)


def _hold(
    system: System,
    worker: WorkerProcess,
    redis_url: str,
    share: float,
    rate: float,
    first: int,
    count: int,
    of: int,
    customers: int,
) -> Figure:
    paused, used = _pauses(worker), cpu_seconds(worker)
    script = ["-m", "tests.benchmarks.open_loop", system.kafka, system.kafka_topic(TOPIC)]
    numbers = [first, count, of, customers, rate]
    with _Reader(system) as reader:
        sender = subprocess.Popen(
            [sys.executable, *script, *map(str, numbers)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            while sender.poll() is None:
                reader.read()
        finally:
            sender.kill()
        output, _ = sender.communicate()
        if sender.returncode != 0:
            raise SystemExit("the sender failed")
        deadline = time.monotonic() + _DRAIN_S
        while position(system, redis_url) < first + count:
            # No sleep between: when a message was read is when it came.
            for _ in range(20):
                reader.read()
            if time.monotonic() > deadline:
                raise SystemExit(f"the worker was still behind {_DRAIN_S:g} s after the last event")
        system.wait_until_drained(120)
        reader.read_to_end()
    used = cpu_seconds(worker) - used
    told = json.loads(output)
    warm = int(_WARM_S * rate)
    when = {
        body["event_id"]: Handed(
            told["begin"] + (warm + number) / rate, to_ms(datetime.fromisoformat(body["occurred_at"]))
        )
        for number, event in enumerate(islice(transactions(first + count, customers, of=of), first + warm, None))
        for body in [json.loads(event.value)]
    }
    samples = [seconds * 1000 for at, value in reader.found if (seconds := _seconds(value, when, at)) is not None]
    if not samples:
        raise SystemExit(f"none of {len(reader.found):,} messages on the queues is an action at its event's own time")
    counts, seconds = _pauses(worker)
    new = {bound: counts[bound] - paused[0].get(bound, 0) for bound in counts}
    return Figure(
        share=share,
        rate=rate,
        events=count,
        actions=len(samples),
        p50=percentile(samples, 0.5) or 0.0,
        p99=percentile(samples, 0.99) or 0.0,
        p999=percentile(samples, 0.999) or 0.0,
        longest=max(samples),
        sender_late=told["late"] * 1000,
        cpu_us=used / count * 1e6,
        pauses=int(max(new.values(), default=0)),
        pause_ms=(seconds - paused[1]) * 1000,
        # The counts are cumulative: the first bound that has them all.
        longest_pause=next((bound for bound, number in new.items() if number == max(new.values())), ""),
    )


def _seconds(value: bytes, when: dict[str, Handed], at: float) -> float | None:
    body = json.loads(value)
    return latency(NextBestAction.model_validate(body), when, at) if body["type"] == "action" else None


class _Reader:
    """Reads the queues from their ends on, and notes when each message came, by ``time.monotonic``."""

    def __init__(self, system: System) -> None:
        self.found: list[tuple[float, bytes]] = []
        self._system = system
        self._consumer = Consumer(
            {
                "bootstrap.servers": system.kafka,
                "group.id": "latency",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
            }
        )
        self._next = {
            (system.kafka_topic(queue), partition): end
            for queue in QUEUES
            for partition, end in system.ends(queue).items()
        }

    def __enter__(self) -> Self:
        self._consumer.assign([TopicPartition(topic, number, end) for (topic, number), end in self._next.items()])
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self) -> bool:
        """Takes what has come, or waits a moment. True, so that it may stand in a condition."""
        messages = self._consumer.consume(1_000, 0.005)
        at = time.monotonic()
        for message in messages:
            if message.error() is not None:
                raise SystemExit(f"reading the queues failed: {message.error()}")
            self.found.append((at, message.value() or b""))
            self._next[message.topic() or "", message.partition() or 0] = (message.offset() or 0) + 1
        return True

    def read_to_end(self) -> None:
        """Reads until nothing is left."""
        ends = {
            (self._system.kafka_topic(queue), partition): end
            for queue in QUEUES
            for partition, end in self._system.ends(queue).items()
        }
        wait_until(lambda: self.read() and self._next == ends, "the queues are read to their ends", 60)


def _pauses(worker: WorkerProcess) -> tuple[dict[str, float], float]:
    """The collector's pauses so far: by upper bound (cumulative, in order), and their seconds."""
    address = _ADDRESS.findall(worker.text())[-1]
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    counts: dict[str, float] = {}
    seconds = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "bank_triggers_gc_pause_seconds_bucket":
                counts[sample.labels["le"]] = counts.get(sample.labels["le"], 0) + sample.value
            elif sample.name == "bank_triggers_gc_pause_seconds_sum":
                seconds += sample.value
    return counts, seconds
