"""Latency by an open loop: events at a fixed rate, from the moment each was *meant* to be sent to its action read back.

The rates are shares of what the same worker drained in the same run; each is held once a round, and which is first
changes from round to round. Events are sent by a process of its own that does not wait for anybody, so a worker that
stands still is charged for every event that should have come meanwhile. What is drained first fills two months; from
there on the events' own time goes on as fast as the clock does, as at a bank: a worker that sees two days go by in a
second would mostly run timers. Only actions decided at their event's own time count. Latencies go into HDR histograms
of microseconds with three digits, one for each rate of a round, and one of all.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final, Self

from confluent_kafka import Consumer, TopicPartition
from hdrh.histogram import HdrHistogram
from prometheus_client.parser import text_string_to_metric_families

from schemas.actions import NextBestAction
from schemas.base import to_ms
from streams.backtest.charts import bars
from streams.demo.neighbours import latency
from streams.embedded_redis import EmbeddedRedis
from streams.simulator.publish import Handed
from tests.benchmarks.pictures import alone
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.rounds import add_arguments as add_rounds
from tests.benchmarks.watched import cpu_seconds, position, time_drain
from tests.benchmarks.work import RULES, TOPIC, profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import QUEUES, Event, System
from tests.support.worker_process import WorkerProcess, wait_until

ABOUT: Final = "from an event's intended time to its action, at fixed rates (open loop)"
ROOT: Final = Path(__file__).parents[2]
_ADDRESS: Final = re.compile(r"health and metrics at (http://127\.0\.0\.1:\d+)")
_HALF: Final = 0.5
_ENDLESS: Final = 1 << 40
_DRAIN_S: Final = 120.0
_WARM_S: Final = 2.0
"""The first seconds at a rate do not count: caches and estimates settle."""
_LONGEST_US: Final = 600_000_000
_DIGITS: Final = 3
_DRAWN: Final = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """One rate of one round. Times in milliseconds; ``pauses`` of the worker's garbage collector during it.

    ``histogram`` is the whole HDR histogram, in the text form that its libraries in any language read.
    """

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
    histogram: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=60_000, help="transactions that are drained first")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each rate is held in a round")
    add_rounds(parser)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.5, 0.8], help="rates, of the drain's")
    parser.add_argument("--rules", type=Path, default=RULES, help="a folder of triggers")
    parser.add_argument("--pictures", type=Path, help="write a picture to this folder, as SVG")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Starts a Kafka and a Redis, drains, holds each rate and prints the table."""
    pace = Rounds(given)
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with (
            KafkaBroker(folder / "kafka", speed=True) as broker,
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
            flow = transactions(_ENDLESS, given.customers, of=given.events)
            filling = list(islice(flow, given.events))
            system.publish(filling)
            since = _time_of(filling[-1])
            worker = system.start_worker()
            drained = time_drain(system, redis.url, worker, given.events)
            system.wait_until_drained(120)
            sent, rounds = given.events, list[list[Figure]]()
            for number in pace:
                turns = range(len(given.shares))
                figures: dict[int, Figure] = {}
                for place in [*turns[number % len(turns) :], *turns[: number % len(turns)]]:
                    rate = drained.rate * given.shares[place]
                    events = at_pace(islice(flow, int(rate * given.seconds)), since, rate)
                    since = _time_of(events[-1])
                    sent += len(events)
                    figures[place] = _hold(system, worker, redis.url, given.shares[place], rate, events, sent)
                rounds.append([figure for _, figure in sorted(figures.items())])
                told = ", ".join(f"{f.share:.0%}: p99 {f.p99:.0f} ms" for f in rounds[-1])
                print(f"round {number + 1}: {told}", flush=True)
            system.wait_until_drained(120)
            system.stop_workers()
            check_against_oracle(system)
    if given.pictures is not None:
        given.pictures.mkdir(parents=True, exist_ok=True)
        for name, drawn in pictures(rounds).items():
            (given.pictures / f"{name}.svg").write_text(drawn, "utf-8")
    found = Result(
        of=f"{given.events:,} transactions of {given.customers:,} customers drained at {drained.rate:,.0f}/s\n"
        f"each rate held for {given.seconds:g} s in each of {pace}; "
        "actions, decisions and states equal the oracle's",
        text=table(rounds),
        figures={"drain": drained.rate, "rounds": [[asdict(figure) for figure in figures] for figures in rounds]},
        targets=targets(rounds),
    )
    found.tell(given.json)


def at_pace(events: Iterable[Event], since: datetime, rate: float) -> list[Event]:
    """The events with times of their own that follow each other, from ``since`` on, as they are meant to be sent."""
    found = []
    for number, event in enumerate(events, 1):
        body = json.loads(event.value or b"")
        body["occurred_at"] = (since + timedelta(seconds=number / rate)).isoformat(timespec="milliseconds")
        found.append(replace(event, value=json.dumps(body).encode()))
    return found


def _time_of(event: Event) -> datetime:
    return datetime.fromisoformat(json.loads(event.value or b"")["occurred_at"])


def targets(rounds: Sequence[Sequence[Figure]]) -> list[Target]:
    """At half of the rate at which it drains, of all rounds together."""
    return [
        target
        for of_one in zip(*rounds, strict=True)
        if of_one[0].share == _HALF
        for every in [together(of_one)]
        for target in (
            Target("latency at half the drain's rate: p99 ms", 50, 15, _ms(every, 99.0), at_most=True),
            Target("latency at half the drain's rate: p99.9 ms", 250, 50, _ms(every, 99.9), at_most=True),
        )
    ]


def together(figures: Sequence[Figure]) -> HdrHistogram:
    """The latencies of all rounds of a rate."""
    every = HdrHistogram(1, _LONGEST_US, _DIGITS)
    for figure in figures:
        every.add(HdrHistogram.decode(figure.histogram))
    return every


def _ms(histogram: HdrHistogram, percentile: float) -> float:
    return float(histogram.get_value_at_percentile(percentile)) / 1000


def table(rounds: Sequence[Sequence[Figure]]) -> str:
    """Of each rate the median of the rounds and below it their range, then all rounds in one histogram."""
    heads = ("rate", "events/s", "actions", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "sender late", "CPU us/event")
    lines = ["".join(f"{head:>14}" for head in heads) + f"{'collector: pauses, ms, longest':>34}"]
    for of_one in zip(*rounds, strict=True):
        columns = [
            [f.p50 for f in of_one],
            [f.p99 for f in of_one],
            [f.p999 for f in of_one],
            [f.longest for f in of_one],
            [f.sender_late for f in of_one],
            [f.cpu_us for f in of_one],
        ]
        actions = sum(f.actions for f in of_one)
        pauses = sum(f.pauses for f in of_one)
        longest = max((float(f.longest_pause) for f in of_one if f.longest_pause), default=0.0)
        said = f"{pauses}, {sum(f.pause_ms for f in of_one):.1f}, <= {longest:g} s" if pauses else "none"
        medians = "".join(f"{_shown(statistics.median(column)):>14}" for column in columns)
        spans = "".join(f"{f'{_shown(min(column))}-{_shown(max(column))}':>14}" for column in columns)
        every = together(of_one)
        times = "".join(f"{_shown(_ms(every, p)):>14}" for p in (50.0, 99.0, 99.9, 100.0))
        lines += [
            f"{f'{of_one[0].share:.0%}':>14}{of_one[0].rate:>14,.0f}{actions:>14,}{medians}{said:>34}",
            f"{'range':>14}{'':28}{spans}",
            f"{'all rounds':>14}{'':28}{times}",
        ]
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def pictures(rounds: Sequence[Sequence[Figure]]) -> dict[str, str]:
    """Of each rate a picture of its percentiles, by name."""
    found = {}
    for of_one in zip(*rounds, strict=True):
        every, share = together(of_one), of_one[0].share
        rows = [("longest" if p == _DRAWN[-1] else f"p{p:g}", round(_ms(every, p))) for p in _DRAWN]
        name = f"latency-{share * 100:.0f}"
        title = f"Milliseconds from an event's intended time to its action, at {share:.0%} of the drain's rate"
        found[name] = alone(bars(name, title, rows))
    return found


def _hold(
    system: System, worker: WorkerProcess, redis_url: str, share: float, rate: float, events: Sequence[Event], sent: int
) -> Figure:
    """Sends the events at a rate; ``sent`` of them are in the topic when the last one is."""
    paused, used, count = _pauses(worker), cpu_seconds(worker), len(events)
    file = system.folder / "open-loop.tsv"
    file.write_bytes(b"".join(b"%s\t%s\n" % (event.key, event.value) for event in events))
    script = ["-m", "tests.benchmarks.open_loop", system.kafka, system.kafka_topic(TOPIC), file, rate]
    with _Reader(system) as reader:
        sender = subprocess.Popen([sys.executable, *map(str, script)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            while sender.poll() is None:
                reader.read()
        finally:
            sender.kill()
        output, _ = sender.communicate()
        if sender.returncode != 0:
            raise SystemExit("the sender failed")
        deadline = time.monotonic() + _DRAIN_S
        while position(system, redis_url) < sent:
            # No sleep between: when a message was read is when it came.
            for _ in range(20):
                reader.read()
            if time.monotonic() > deadline:
                raise SystemExit(f"the worker was still behind {_DRAIN_S:g} s after the last event")
        # An action is sent before its event's position is committed.
        reader.read_to_end()
    used = cpu_seconds(worker) - used
    told = json.loads(output)
    warm = int(_WARM_S * rate)
    when = {
        body["event_id"]: Handed(
            told["begin"] + (warm + number) / rate, to_ms(datetime.fromisoformat(body["occurred_at"]))
        )
        for number, event in enumerate(events[warm:])
        for body in [json.loads(event.value)]
    }
    samples = [seconds * 1000 for at, value in reader.found if (seconds := _seconds(value, when, at)) is not None]
    if not samples:
        raise SystemExit(f"none of {len(reader.found):,} messages on the queues is an action at its event's own time")
    histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)
    for sample in samples:
        if not histogram.record_value(max(1, round(sample * 1000))):
            raise SystemExit(f"a latency of {sample / 1000:.0f} s is more than the histogram holds")
    counts, seconds = _pauses(worker)
    new = {bound: counts[bound] - paused[0].get(bound, 0) for bound in counts}
    return Figure(
        share=share,
        rate=rate,
        events=count,
        actions=len(samples),
        p50=_ms(histogram, 50.0),
        p99=_ms(histogram, 99.0),
        p999=_ms(histogram, 99.9),
        longest=max(samples),
        sender_late=told["late"] * 1000,
        cpu_us=used / count * 1e6,
        pauses=int(max(new.values(), default=0)),
        pause_ms=(seconds - paused[1]) * 1000,
        # The counts are cumulative: the first bound that has them all.
        longest_pause=next((bound for bound, number in new.items() if number == max(new.values())), ""),
        histogram=histogram.encode().decode(),
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

        def reached() -> bool:
            # Not equal: what timers send may have come after the ends were asked for.
            return self.read() and all(self._next[place] >= end for place, end in ends.items())

        wait_until(reached, "the queues are read to their ends", 60)


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
