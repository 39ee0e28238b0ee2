"""Latency by an open loop: events at a fixed rate, from the moment each was *meant* to be sent to its action read back.

Each round is a system of its own. It drains a backlog, and the rates are shares of what its worker drained; which rate
is first changes from round to round. Each rate has customers of its own, who all did the same for two months, so that
no hold finds its triggers silenced by the one before; from there on the events' own time goes on as fast as the clock
does, as at a bank: a worker that sees two days go by in a second would mostly run timers. Events are sent by a process
that does not wait for anybody, so a worker that stands still is charged for every event that should have come by then.
Only actions decided at their event's own time count, and none of the first seconds of a hold. A hold that yields few
actions for its events is void. Latencies go into HDR histograms of microseconds with three digits, one for each rate
of a round, and one of all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Self

from confluent_kafka import Consumer, TopicPartition
from hdrh.histogram import HdrHistogram

from schemas.actions import NextBestAction
from schemas.base import to_ms
from streams.backtest.charts import bars
from streams.demo.neighbours import latency
from streams.embedded_redis import EmbeddedRedis
from streams.simulator.publish import Handed
from tests.benchmarks.pictures import alone
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds, turns
from tests.benchmarks.rounds import add_arguments as add_rounds
from tests.benchmarks.rule_sets import write_rules
from tests.benchmarks.watched import check_undisturbed, cpu_seconds, grown, metrics_text, position, time_drain
from tests.benchmarks.work import SURROUNDINGS, TOPIC, holdings, profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.system import QUEUES, Event, System
from tests.support.worker_process import WorkerProcess, wait_until

ABOUT: Final = "from an event's intended time to its action, at fixed rates (open loop)"
ROOT: Final = Path(__file__).parents[2]
_HALF: Final = 0.5
_ENDLESS: Final = 1 << 40
_DRAIN_S: Final = 120.0
_WARM_S: Final = 2.0
"""The first seconds at a rate do not count: caches and estimates settle."""
_LONGEST_US: Final = 600_000_000
_DIGITS: Final = 3
_LEAST: Final = 100
"""Actions of a hold: fewer have no 99th percentile."""
_DRAWN: Final = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """One rate of one round. Times in milliseconds; ``pauses`` of the worker's garbage collector during it.

    ``waits`` are of a batch on average: how long its first and its last record had been on Kafka when it began.

    ``counted`` of its events come after the first seconds, ``actions`` of those; ``batch_records`` and ``phases`` are
    of a batch on average. ``histogram`` is the whole HDR histogram, in the text form that its libraries in any language
    read.
    """

    share: float
    rate: float
    events: int
    counted: int
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
    batch_records: float
    phases: Mapping[str, float]
    waits: Mapping[str, float]
    histogram: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=60_000, help="transactions that are drained first, of all rates")
    parser.add_argument("--customers", type=int, default=10_000, help="of each rate")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each rate is held in a round")
    add_rounds(parser)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.5, 0.8], help="rates, of the drain's")
    parser.add_argument("--pictures", type=Path, help="write a picture to this folder, as SVG")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Starts a Kafka and a Redis, runs the rounds and prints the table."""
    pace = Rounds(given)
    rounds, drains = list[list[Figure]](), list[float]()
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with KafkaBroker(folder / "kafka") as broker, EmbeddedRedis(folder / "redis", appendonly=True) as redis:
            for number in pace:
                drained, figures = _round(broker.bootstrap, redis.url, folder, given, number)
                drains.append(drained)
                rounds.append(figures)
                told = ", ".join(f"{f.share:.0%}: p99 {f.p99:.0f} ms, {f.actions:,} actions" for f in figures)
                print(f"round {number + 1}: drained at {drained:,.0f}/s; {told}", flush=True)
    why = too_few(rounds)
    if why:
        raise SystemExit(why)
    if given.pictures is not None:
        given.pictures.mkdir(parents=True, exist_ok=True)
        for name, drawn in pictures(rounds).items():
            (given.pictures / f"{name}.svg").write_text(drawn, "utf-8")
    found = Result(
        of=f"ten triggers, full policy; {given.events:,} transactions drained first, "
        f"at {statistics.median(drains):,.0f}/s (range {min(drains):,.0f}-{max(drains):,.0f}); {pace}\n"
        f"each rate of each round has {given.customers:,} customers of its own and is held for {given.seconds:g} s, "
        f"of which the first {_WARM_S:g} do not count\n"
        f"{SURROUNDINGS}, so are the sender and the reader\n"
        "in each round actions, decisions and states equal the oracle's, nothing twice",
        text=table(rounds),
        figures={"drains": drains, "rounds": [[asdict(figure) for figure in figures] for figures in rounds]},
        targets=targets(rounds),
    )
    found.tell(given.json)


def _round(
    kafka: str, redis_url: str, folder: Path, given: argparse.Namespace, number: int
) -> tuple[float, list[Figure]]:
    """How fast a new system drained, and then each rate in its turn, in the order of the options."""
    shares: Sequence[float] = given.shares
    each, customers = given.events // len(shares), given.customers
    with System(
        kafka, redis_url, folder, rules=write_rules(folder / "rules"), name="bench", session_timeout_ms=6_000
    ) as system:
        system.create_topics()
        firsts = [place * customers for place in range(len(shares))]
        flows = [transactions(_ENDLESS, customers, of=each, first=first) for first in firsts]
        system.publish(chain.from_iterable(source(customers, at) for at in firsts for source in (profiles, holdings)))
        worker = system.start_worker()
        system.wait_until_drained(120)
        worker.pause()
        # Side by side in order of time: all that they did before is the same but for their ids.
        filling = [event for same in islice(zip(*flows, strict=True), each) for event in same]
        system.publish(filling)
        since, sent = time_of(filling[-1]), len(filling)
        worker.resume()
        drained = time_drain(system, redis_url, worker, sent)
        system.wait_until_drained(120)
        figures: dict[int, Figure] = {}
        for place in turns(range(len(shares)), number):
            rate = drained.rate * shares[place]
            events = at_pace(islice(flows[place], int(rate * given.seconds)), since, rate)
            since = time_of(events[-1])
            sent += len(events)
            figures[place] = hold(system, worker, redis_url, shares[place], rate, events, sent)
        system.wait_until_drained(120)
        system.stop_workers()
        check_undisturbed(system)
    return drained.rate, [figure for _, figure in sorted(figures.items())]


def too_few(rounds: Sequence[Sequence[Figure]]) -> str:
    """Why the rounds do not count: a hold has few actions, or for its events not half of the most. Empty: they do."""
    for of_one in zip(*rounds, strict=True):
        most = max(figure.actions / figure.counted for figure in of_one)
        for number, figure in enumerate(of_one, 1):
            if figure.actions < _LEAST or figure.actions / figure.counted < most / 2:
                counts = ", ".join(f"{f.actions:,} of {f.counted:,} events" for f in of_one)
                return f"void: too few actions in round {number} at {figure.share:.0%}; rounds: {counts}"
    return ""


def at_pace(events: Iterable[Event], since: datetime, rate: float) -> list[Event]:
    """The events with times of their own that follow each other, from ``since`` on, as they are meant to be sent."""
    found = []
    for number, event in enumerate(events, 1):
        body = json.loads(event.value or b"")
        body["occurred_at"] = (since + timedelta(seconds=number / rate)).isoformat(timespec="milliseconds")
        found.append(replace(event, value=json.dumps(body).encode()))
    return found


def time_of(event: Event) -> datetime:
    """Its own time."""
    return datetime.fromisoformat(json.loads(event.value or b"")["occurred_at"])


def targets(rounds: Sequence[Sequence[Figure]]) -> list[Target]:
    """At half of the rate at which it drains, of all rounds together."""
    return [
        target
        for of_one in zip(*rounds, strict=True)
        if of_one[0].share == _HALF
        for every in [together(of_one)]
        for target in (
            _at_most("p99", 50, 15, _ms(every, 99.0), [figure.p99 for figure in of_one]),
            _at_most("p99.9", 250, 50, _ms(every, 99.9), [figure.p999 for figure in of_one]),
        )
    ]


def _at_most(percentile: str, wanted: float, aimed: float, found: float, by_round: Sequence[float]) -> Target:
    name = f"latency at half the drain's rate: {percentile} ms"
    return Target(name, wanted, aimed, found, at_most=True, lowest=min(by_round), highest=max(by_round))


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
        rates = [f.rate for f in of_one]
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
        longest = max(float(f.longest_pause) for f in of_one)
        said = f"{pauses}, {sum(f.pause_ms for f in of_one):.1f}, <= {longest:g} s" if pauses else "none"
        medians = "".join(f"{_shown(statistics.median(column)):>14}" for column in columns)
        spans = "".join(f"{f'{_shown(min(column))}-{_shown(max(column))}':>14}" for column in columns)
        every = together(of_one)
        times = "".join(f"{_shown(_ms(every, p)):>14}" for p in (50.0, 99.0, 99.9, 100.0))
        lines += [
            f"{f'{of_one[0].share:.0%}':>14}{statistics.median(rates):>14,.0f}{actions:>14,}{medians}{said:>34}",
            f"{'range':>14}{f'{min(rates):,.0f}-{max(rates):,.0f}':>14}{'':14}{spans}",
            f"{'all rounds':>14}{'':28}{times}",
            f"{'':14}actions by round: {', '.join(f'{f.actions:,}' for f in of_one)}",
            f"{'':14}a batch: {_batch(of_one)}",
            f"{'':14}before a batch: {_waits(of_one)}",
        ]
    return "\n".join(lines)


def _batch(figures: Sequence[Figure]) -> str:
    """How large one is and how long its phases take, each the median of the rounds."""
    records = statistics.median(figure.batch_records for figure in figures)
    phases = _medians([figure.phases for figure in figures])
    return f"{records:.0f} records; {', '.join(f'{name} {_shown(spent)} ms' for name, spent in phases.items())}"


def _waits(figures: Sequence[Figure]) -> str:
    """How long its records had been on Kafka, each the median of the rounds."""
    waits = _medians([figure.waits for figure in figures])
    return ", ".join(f"its {record} record waits {_shown(waited)} ms" for record, waited in waits.items())


def _medians(of_all: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one.get(name, 0.0) for one in of_all) for name in of_all[0]}


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


def hold(
    system: System, worker: WorkerProcess, redis_url: str, share: float, rate: float, events: Sequence[Event], sent: int
) -> Figure:
    """Sends the events at a rate; ``sent`` of them are in the topic when the last one is."""
    before, used = metrics_text(worker), cpu_seconds(worker)
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
    return figure_of(share, rate, events, json.loads(output), reader.found, used, before, metrics_text(worker))


def figure_of(
    share: float,
    rate: float,
    events: Sequence[Event],
    told: Mapping[str, float],
    messages: Sequence[tuple[float, bytes]],
    used: float,
    before: str,
    after: str,
) -> Figure:
    """What a hold was like: ``told`` is the sender's answer, ``messages`` what was read and when, ``used`` the worker's
    processor seconds, ``before`` and ``after`` its metrics."""
    when = intended(events, told["begin"], rate)
    samples = [seconds * 1000 for at, value in messages if (seconds := _seconds(value, when, at)) is not None]
    if not samples:
        raise SystemExit(f"none of {len(messages):,} messages on the queues is an action at its event's own time")
    histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)
    for sample in samples:
        if not histogram.record_value(max(1, round(sample * 1000))):
            raise SystemExit(f"a latency of {sample / 1000:.0f} s is more than the histogram holds")
    pauses = grown(before, after, "gc_pause_seconds_bucket", "le")
    batches = sum(grown(before, after, "batch_records_count").values())
    spent = _means(before, after, "batch_seconds", "phase")
    waits = _means(before, after, "batch_wait_seconds", "record")
    return Figure(
        share=share,
        rate=rate,
        events=len(events),
        counted=len(when),
        actions=len(samples),
        p50=_ms(histogram, 50.0),
        p99=_ms(histogram, 99.0),
        p999=_ms(histogram, 99.9),
        longest=max(samples),
        sender_late=told["late"] * 1000,
        cpu_us=used / len(events) * 1e6,
        pauses=int(max(pauses.values())),
        pause_ms=sum(grown(before, after, "gc_pause_seconds_sum").values()) * 1000,
        # The counts are cumulative: the first bound that has them all.
        longest_pause=next(bound for bound, number in pauses.items() if number == max(pauses.values())),
        batch_records=sum(grown(before, after, "batch_records_sum").values()) / max(1.0, batches),
        phases=spent,
        waits=waits,
        histogram=histogram.encode().decode(),
    )


def _means(before: str, after: str, name: str, by: str) -> dict[str, float]:
    """The mean milliseconds that a histogram has taken in since, by a label's value."""
    seconds, times = (grown(before, after, f"{name}_{part}", by) for part in ("sum", "count"))
    return {value: total / max(1.0, times[value]) * 1000 for value, total in seconds.items()}


def intended(events: Sequence[Event], begin: float, rate: float) -> dict[str, Handed]:
    """When each event that counts was meant to be sent, however late it was, and its own time; by its id."""
    warm = int(_WARM_S * rate)
    bodies: list[dict[str, Any]] = [json.loads(event.value) for event in events[warm:]]
    return {
        body["event_id"]: Handed(begin + number / rate, to_ms(datetime.fromisoformat(body["occurred_at"])))
        for number, body in enumerate(bodies, warm)
    }


def _seconds(value: bytes, when: Mapping[str, Handed], at: float) -> float | None:
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
