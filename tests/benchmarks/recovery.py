"""Recovery: how long nothing is sent when a worker dies, how long it takes to end, how soon lag is gone.

A customer of each partition pays right after the fault; the clock runs from the signal to the first of the actions that
come of it, and to the last. A worker that is killed under load, with batches announced and not committed, leaves them
to be run again. Until the first words of a worker that is started again, Python alone starts: on a busy
machine that is most of the time. Between the rounds everything that was sent and kept is compared with the oracle's. A
target that one of the rounds missed ends the run with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from confluent_kafka import Consumer, TopicPartition

from streams.embedded_redis import EmbeddedRedis
from streams.publisher import partition_of
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.rounds import add_arguments as add_rounds
from tests.benchmarks.work import RULES, SURROUNDINGS, TOPIC, profiles, transactions
from tests.support.faults import INDEPENDENT, await_shared
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import Event, System, payment
from tests.support.worker_process import WorkerProcess, wait_until

ABOUT: Final = "from SIGKILL to the first action, from SIGTERM to the end, and how soon a minute of lag is gone"
QUEUE: Final = "outreach.push"
PARTITIONS: Final = 8
SESSION: Final[dict[str, Any]] = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_000}
"""As by default; tests are quicker to give a worker up."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement in seconds. ``target``: what it is to stay below, where there is a target; ``aimed``: better."""

    name: str
    seconds: float
    target: float | None = None
    aimed: float | None = None

    @property
    def missed(self) -> str:
        """What to tell where the target was missed; empty where it was not."""
        if self.target is None or self.seconds <= self.target:
            return ""
        return f"missed: {self.name}: {self.seconds:.1f} s, the target is {self.target:g} s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    add_rounds(parser)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second that make up the minute of lag")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Starts a Kafka and a Redis, runs the rounds and prints the table."""
    pace = Rounds(given)
    rounds: list[list[Figure]] = []
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with (
            KafkaBroker(folder / "kafka") as broker,
            EmbeddedRedis(folder / "redis", appendonly=True) as redis,
        ):
            for number in pace:
                rounds.append(run_round(broker.bootstrap, redis.url, folder, given.rate))
                shown = ", ".join(f"{figure.name} {figure.seconds:.1f}" for figure in rounds[-1])
                print(f"round {number + 1}: {shown}", flush=True)
    report(rounds, given.json, str(pace))


def report(rounds: Sequence[Sequence[Figure]], file: Path | None, pace: str) -> None:
    """Prints the table and writes the figures. Raises ``SystemExit`` with each target that was missed in a round."""
    found = Result(
        of=f"{pace}, session_timeout_ms {SESSION['session_timeout_ms']}; under load: ten triggers, short policy\n"
        f"{SURROUNDINGS}\n"
        "after each round the actions, decisions and states equal the oracle's",
        text=table(rounds),
        figures=[{figure.name: figure.seconds for figure in figures} for figures in rounds],
        targets=[
            Target(f"{figure.name}, longest s", figure.target, figure.aimed, longest, at_most=True)
            for index, figure in enumerate(rounds[0])
            if figure.target is not None
            for longest in [max(figures[index].seconds for figures in rounds)]
        ],
    )
    found.tell(file)
    sys.stdout.flush()
    missed = [figure.missed for figures in rounds for figure in figures if figure.missed]
    if missed:
        raise SystemExit("\n".join(missed))


def run_round(kafka: str, redis_url: str, folder: Path, rate: int) -> list[Figure]:
    """Every fault once, each on a system of its own."""
    figures: list[Figure] = []

    @contextmanager
    def system_of(rules: Path = INDEPENDENT, **settings: object) -> Any:
        with System(
            kafka, redis_url, folder, rules=rules, name="recovery", partitions=PARTITIONS, **SESSION, **settings
        ) as system:
            system.create_topics()
            yield system
            system.wait_until_drained(120)
            system.stop_workers()
            check_against_oracle(system, processes=os.cpu_count() or 1)

    for name, settings in (("started again", {}), ("started again, instance_id", {"instance_id": "worker-1"})):
        with system_of(**settings) as system:
            worker = _warm(system, system.start_worker())
            figures += _killed(system, worker, f"SIGKILL, {name}", system.start_worker)
    with system_of() as system:
        first, second = system.start_worker(), system.start_worker()
        await_shared(system, first, second)
        _warm(system, first)
        figures += _killed(system, second, "SIGKILL, another takes over", lambda: None)
    with system_of(RULES) as system:
        worker = _at_work(system)
        caught = system.catch_in_flight(worker)
        began = time.perf_counter()
        worker.kill()
        system.start_worker()
        with _Watch(system) as watch:
            figures.append(
                Figure("SIGKILL under load, started again: first action", watch.first(120) - began, 10.0, 4.0)
            )
        again = (system.rerun_logged(number, batch.sequence) for number, batch in caught.items())
        assert any(again), "no batch that was under way was run again"
    with system_of(RULES) as system:
        worker = _at_work(system)
        figures.append(Figure("SIGTERM under load, to the end", worker.terminate(), 5.0))
        assert system.lag(range(PARTITIONS)) > 0, "all was done before the signal came: publish more"
        system.start_worker()
    with system_of(RULES) as system:
        system.publish(profiles(20_000))
        system.start_worker().wait_for_partitions(PARTITIONS)
        system.wait_until_drained(120)
        system.stop_workers()
        count = 60 * rate
        system.publish(transactions(count, 20_000))
        began = time.perf_counter()
        system.start_worker()
        positions: Callable[[], int] = lambda: sum(  # noqa: E731 - asked again and again
            system.meta(number).positions.get(TOPIC, 0) for number in range(PARTITIONS)
        )
        wait_until(lambda: positions() >= count, "the lag is gone", 600)
        figures.append(Figure(f"60 s of lag at {rate:,}/s, from the start", time.perf_counter() - began))
    return figures


def _at_work(system: System) -> WorkerProcess:
    """A worker that has begun to drain a backlog of several batches in each partition."""
    system.publish(profiles(2_000))
    worker = system.start_worker()
    worker.wait_for_partitions(PARTITIONS)
    system.wait_until_drained(60)
    worker.pause()
    system.publish(transactions(80_000, 2_000))
    before = system.journal_size()
    worker.resume()
    wait_until(lambda: system.journal_size() > before, "the worker is at work")
    return worker


def _warm(system: System, worker: WorkerProcess) -> WorkerProcess:
    """Everything has been done once."""
    wait_until(lambda: bool(worker.owned()), "the worker has its partitions")
    system.publish(_payments("warm", range(PARTITIONS)))
    system.wait_until_drained()
    return worker


def _killed(system: System, worker: WorkerProcess, name: str, then: Callable[[], WorkerProcess | None]) -> list[Figure]:
    """Kills a worker, does what follows on it, and watches for the actions of payments in its partitions."""
    concerned = worker.owned()
    with _Watch(system) as watch:
        began = time.perf_counter()
        at = time.time()
        worker.kill()
        successor = then()
        events = list(_payments("after", concerned))
        system.publish(events)
        seen = watch.times({f"transaction:after-{number}" for number in concerned}, 120)
    figures = [
        Figure(f"{name}: first action", min(seen.values()) - began, 10.0, 4.0),
        Figure(f"{name}: in all partitions", max(seen.values()) - began),
    ]
    if successor is not None:
        figures.append(Figure(f"{name}: to its first words", _first_words(successor) - at))
    return figures


def _first_words(worker: WorkerProcess) -> float:
    """When a worker wrote its first line of the log, by the line."""
    found = re.search(r"^\d{4}-\S+", worker.text(), re.MULTILINE)
    assert found is not None, f"{worker}"
    return datetime.fromisoformat(found[0]).timestamp()


class _Watch:
    """The actions that come to the queue from now on."""

    def __init__(self, system: System) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": system.kafka, "group.id": "unused", "enable.auto.commit": False}
        )
        topic = system.kafka_topic(QUEUE)
        self._consumer.assign([TopicPartition(topic, n, end) for n, end in system.ends(QUEUE).items()])
        self._consumer.poll(0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def times(self, occasions: Iterable[str], seconds: float) -> Mapping[str, float]:
        """When an action of each occasion was first seen."""
        left, seen = set(occasions), dict[str, float]()
        deadline = time.monotonic() + seconds
        while left:
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                occasion = json.loads(message.value() or b"{}").get("occasion")
                if occasion in left:
                    seen[occasion] = time.perf_counter()
                    left.remove(occasion)
            if time.monotonic() > deadline:
                raise AssertionError(f"no action within {seconds:g} s of {sorted(left)}")
        return seen

    def first(self, seconds: float) -> float:
        """When the first action of all was seen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                return time.perf_counter()
        raise AssertionError(f"no action within {seconds:g} s")


def _payments(name: str, partitions: Iterable[int]) -> Iterable[Event]:
    for number in partitions:
        customer = next(c for c in map("c{}".format, range(10_000)) if partition_of(c.encode(), PARTITIONS) == number)
        yield payment(customer, 1 if name == "warm" else 2, "2026-03-02T10:00:00+08:00", event_id=f"{name}-{number}")


def table(rounds: Sequence[Sequence[Figure]]) -> str:
    """Median and range of each figure beside its target."""
    lines = [f"{'seconds':52}{'median':>8}{'range':>16}{'target':>9}"]
    for index, figure in enumerate(rounds[0]):
        found = [figures[index].seconds for figures in rounds]
        target = "" if figure.target is None else f"<= {figure.target:g}"
        span = f"{min(found):.1f}-{max(found):.1f}"
        lines.append(f"{figure.name:52}{statistics.median(found):>8.1f}{span:>16}{target:>9}")
    return "\n".join(lines)
