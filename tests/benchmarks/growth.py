"""How the cost of an event grows: with customers, triggers, workers, and events in a customer's window.

Each row is a drain of a real Kafka by real workers; the base of every axis is the same. The cost is the workers' own
processor time for an event, which does not depend on how many share the machine. Beside it what is kept: the memory of
a worker, and Redis's bytes for each customer.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from redis import Redis

from streams.backtest.charts import bars
from streams.embedded_redis import EmbeddedRedis
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rule_sets import rule_files
from tests.benchmarks.watched import cpu_seconds, memory_mib, position
from tests.benchmarks.work import profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.system import System
from tests.support.worker_process import WorkerProcess, wait_until

ABOUT: Final = "cost of an event by customers, triggers, workers and window, with pictures"
_STYLE: Final = (
    "svg{font:13px sans-serif}.c0{fill:#3267a8}.label{fill:#222}.number{fill:#222}"
    "@media(prefers-color-scheme:dark){.c0{fill:#6fa3dd}.label,.number{fill:#ddd}}"
)


@dataclass(frozen=True, slots=True)
class Size:
    """One drain. ``window`` is how many events each customer has, where that decides how many customers there are."""

    customers: int
    triggers: int
    workers: int
    events: int
    window: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """What a drain took. ``axis`` is what was varied, ``value`` to what."""

    axis: str
    value: int
    size: Size
    rate: float
    cpu_us: float
    memory_mib: float
    redis_bytes: float
    """For each customer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=20_000, help="transactions of each drain")
    parser.add_argument("--customers", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--triggers", type=int, nargs="*", default=[1, 10, 50, 200])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--window", type=int, nargs="*", default=[30, 3_000], help="events of each customer")
    parser.add_argument("--pictures", type=Path, help="write a picture of each axis to this folder, as SVG")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Starts a Kafka and a Redis, drains once for each value of each axis, prints the table and draws the pictures."""
    base = Size(customers=10_000, triggers=10, workers=1, events=given.events)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with KafkaBroker(folder / "kafka") as broker, EmbeddedRedis(folder / "redis", appendonly=True) as redis:
            done: dict[Size, Figure] = {}
            for axis, value, size in _sizes(given, base):
                if size not in done:
                    done[size] = _measure(broker.bootstrap, redis.url, folder, axis, value, size)
                figures.append(replace(done[size], axis=axis, value=value))
                print(row(figures[-1]), flush=True)
    if given.pictures is not None:
        given.pictures.mkdir(parents=True, exist_ok=True)
        for axis, picture in pictures(figures).items():
            (given.pictures / f"growth-{axis}.svg").write_text(picture, "utf-8")
    found = Result(
        of=f"{given.events:,} transactions a drain; otherwise 10,000 customers, 10 triggers, 1 worker",
        text=table(figures),
        figures=[asdict(figure) for figure in figures],
        targets=targets(figures),
    )
    found.tell(given.json)


def targets(figures: Sequence[Figure]) -> list[Target]:
    """What 200 triggers may cost, and what a customer may take in Redis."""
    by = {(figure.axis, figure.value): figure for figure in figures}
    found = []
    if ("triggers", 10) in by and ("triggers", 200) in by:
        ratio = by["triggers", 200].cpu_us / by["triggers", 10].cpu_us
        found.append(Target("200 triggers instead of 10: times the processor time", 3, 1.5, ratio, at_most=True))
    if ("window", 30) in by:
        # A month of a customer who pays each day: most customers of a large bank have fewer events in their windows.
        kept = by["window", 30].redis_bytes
        found.append(Target("Redis MB for a million customers, 30 events each", 1_000, 400, kept, at_most=True))
    return found


def table(figures: Sequence[Figure]) -> str:
    """A row for each drain."""
    head = f"{'':10}{'':>10}{'events/s':>12}{'CPU us/event':>14}{'memory MiB':>12}{'Redis MB/1M customers':>24}"
    return "\n".join([head, *map(row, figures)])


def row(f: Figure) -> str:
    """One drain."""
    # Bytes for each customer are megabytes for a million.
    return f"{f.axis:10}{f.value:>10,}{f.rate:>12,.0f}{f.cpu_us:>14.1f}{f.memory_mib:>12,.0f}{f.redis_bytes:>24,.0f}"


def pictures(figures: Sequence[Figure]) -> Mapping[str, str]:
    """Of each axis a picture that stands alone: what an event costs at each value."""
    found = {}
    for axis in dict.fromkeys(figure.axis for figure in figures):
        rows = [(f"{figure.value:,} {axis}", round(figure.cpu_us)) for figure in figures if figure.axis == axis]
        drawn = bars(f"growth-{axis}", f"Microseconds of processor time for an event, by {axis}", rows)
        # Inside a page the page's style holds; a file brings its own.
        found[axis] = re.sub(
            r"<svg ([^>]*)>", rf'<svg xmlns="http://www.w3.org/2000/svg" \1><style>{_STYLE}</style>', drawn
        )
    return found


def _sizes(given: argparse.Namespace, base: Size) -> list[tuple[str, int, Size]]:
    return [
        *(("customers", count, replace(base, customers=count)) for count in given.customers),
        *(("triggers", count, replace(base, triggers=count)) for count in given.triggers),
        *(("workers", count, replace(base, workers=count)) for count in given.workers),
        *(
            ("window", count, replace(base, customers=max(1, given.events // count), window=count))
            for count in given.window
        ),
    ]


def _measure(kafka: str, redis_url: str, folder: Path, axis: str, value: int, size: Size) -> Figure:
    rules = folder / f"rules-{axis}-{value}"
    rules.mkdir()
    for name, text in rule_files(triggers=size.triggers).items():
        (rules / name).write_text(text, "utf-8")
    redis: Any = Redis.from_url(redis_url)
    with System(kafka, redis_url, folder, rules=rules, name="growth", session_timeout_ms=6_000) as system:
        system.create_topics()
        before = redis.info("memory")["used_memory"]
        system.publish(profiles(size.customers))
        workers = [system.start_worker() for _ in range(size.workers)]
        wait_until(lambda: _shared_out(workers, system.partitions), "the partitions are shared out", 120)
        system.wait_until_drained(600)
        half = size.events // 2
        # The first half warms up the caches and the windows; the second is measured, from a standing backlog.
        _drain(system, redis_url, islice(transactions(size.events, size.customers), half), half)
        used = sum(map(cpu_seconds, workers))
        began = time.perf_counter()
        _drain(system, redis_url, islice(transactions(size.events, size.customers), half, None), size.events)
        seconds = time.perf_counter() - began
        used = sum(map(cpu_seconds, workers)) - used
        system.wait_until_drained(120)
        kept = redis.info("memory")["used_memory"] - before
        memory = max(map(memory_mib, workers))
        system.stop_workers()
    redis.flushall()
    redis.close()
    measured = size.events - half
    return Figure(axis, value, size, measured / seconds, used / measured * 1e6, memory, kept / size.customers)


def _drain(system: System, redis_url: str, events: Any, reach: int) -> None:
    system.publish(events)
    wait_until(lambda: position(system, redis_url) >= reach, "the workers have drained the topic", 600)


def _shared_out(workers: Sequence[WorkerProcess], partitions: int) -> bool:
    owned = [worker.owned() for worker in workers]
    return all(owned) and sum(map(len, owned)) == partitions
