"""How the cost of an event grows: with customers, triggers, workers, and events in a customer's window.

Each row is a system of its own on one Kafka and one Redis, with the profiles of all its customers, and as many deposits
on each, so that timers are as many; the base of every axis is the same system. The rounds take the systems in turns:
workers are started, drain a few thousand transactions to warm up, are stopped by a signal while the round's backlog is
published, and drain it. The cost is the workers' own processor time for an event, which does not depend on how many
share the machine; events a second of several workers do. Beside it how many of the states asked for were in the cache,
and what is kept: the memory of a worker, and Redis's bytes for each customer. After the last round what each system
published and kept is compared with the oracle's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec
from redis import Redis

from schemas.topics import DECISIONS
from streams.backtest.charts import bars
from streams.embedded_redis import EmbeddedRedis
from tests.benchmarks.contest import difference
from tests.benchmarks.expectation import expect, outputs_of
from tests.benchmarks.pictures import alone
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds, turns
from tests.benchmarks.rounds import add_arguments as add_rounds
from tests.benchmarks.rule_sets import write_rules
from tests.benchmarks.watched import check_undisturbed, cpu_seconds, grown, memory_mib, metrics_text, position
from tests.benchmarks.work import MATURITIES, PROFILES, SURROUNDINGS, holdings, profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.system import QUEUES, Event, System
from tests.support.worker_process import WorkerProcess, wait_until
from triggers.engine.codec import decode_state
from triggers.engine.state import CustomerState

ABOUT: Final = "cost of an event by customers, triggers, workers and window, with pictures"
_SESSION_MS: Final = 30_000
"""Longer than a backlog takes to be published: a worker that is stopped meanwhile keeps its partitions."""
_HOLDERS: Final = 10_000
"""Customers of whom every fourth has a deposit."""
_WHY: Final = {
    "customers": "the more there are, the fewer of them are in the cache, a state that is not is read from Redis, and "
    "fewer events share one; nothing else of an event depends on their number",
    "triggers": "most of them concern other events than a payment and are not looked at; an event pays for what is "
    "kept for them in its customer's state, and for those that it does concern",
    "workers": "they share the cores with the broker, the store and each other: where one worker and the broker have "
    "taken all of them, another only makes smaller batches",
    "window": "a state is decoded and encoded whole, with every event in its windows, and a window's value is counted "
    "from its rows, not kept up: a reversal takes any of them out",
}
"""What is behind an axis's figures."""
_AXES: Final = {"window": "events of a customer"}
"""What an axis is called where it is not its own name."""
SECTIONS: Final = CustomerState.__struct_fields__[: CustomerState.__struct_fields__.index("key")]
_SECTIONS: Final = 6
"""Sections of a state that are told, the largest."""
_COMPARED: Final = 200_000
"""Customers up to whose number a system is compared with the oracle whole: a million would take too long.
Of more, the actions and decisions of those who paid are compared."""


@dataclass(frozen=True, slots=True)
class Size:
    """One system. ``fill`` transactions are drained before the rounds; ``window`` says how many each customer has at
    the end, where that is what is varied."""

    customers: int
    triggers: int
    workers: int
    fill: int = 0
    window: int = 0


@dataclass(frozen=True, slots=True)
class Drain:
    """One round of one system: events a second, the workers' processor time for an event, and how many states were
    asked of their caches and were not there."""

    rate: float
    cpu_us: float
    events: int = 0
    asked: float = 0
    missed: float = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """What a system's rounds took. ``axis`` is what was varied, ``value`` to what. ``redis_bytes`` are a customer's."""

    axis: str
    value: int
    size: Size
    rounds: Sequence[Drain]
    memory_mib: float
    redis_bytes: float
    events_kept: int = 0
    """All transactions that its customers had at the end."""
    idle_mib: float = 0.0
    """A worker's memory before its first record."""
    cached_mib: float = 0.0
    """The states in its cache, as they are encoded."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Of a customer's state on average the bytes of each of its sections."""

    @property
    def cpu_us(self) -> float:
        """The median of the rounds."""
        return statistics.median(drain.cpu_us for drain in self.rounds)

    @property
    def rate(self) -> float:
        """Events a second, the median of the rounds."""
        return statistics.median(drain.rate for drain in self.rounds)

    @property
    def missed(self) -> float:
        """The share of the states asked for, of all rounds, that was not in the cache."""
        return sum(drain.missed for drain in self.rounds) / max(1, sum(drain.asked for drain in self.rounds))

    @property
    def missed_per_event(self) -> float:
        """As many states an event were not in the cache: fewer are asked for than events come."""
        return sum(drain.missed for drain in self.rounds) / max(1, sum(drain.events for drain in self.rounds))


@dataclass(slots=True)
class Stand:
    """A system that stands through all rounds."""

    size: Size
    system: System
    flow: Iterator[Event]
    total: int
    """Transactions of all rounds."""
    sent: int = 0
    drains: list[Drain] = field(default_factory=list)
    idle_mib: float = 0.0
    cached_mib: float = 0.0
    memory_mib: float = 0.0
    bytes_kept: int = 0
    parts: Mapping[str, float] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=10_000, help="transactions of a system in each round")
    parser.add_argument("--warm", type=int, default=5_000, help="transactions before those, not measured")
    parser.add_argument("--fill", type=int, default=100_000, help="transactions of --window before the first round")
    add_rounds(parser)
    parser.add_argument("--customers", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--triggers", type=int, nargs="*", default=[1, 10, 50, 200])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--window", type=int, nargs="*", default=[30, 3_000], help="events of each customer")
    parser.add_argument("--pictures", type=Path, help="write a picture of each axis to this folder, as SVG")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Starts a Kafka and a Redis, sets the systems up, runs the rounds and prints the table."""
    pace, sizes = Rounds(given), _sizes(given, Size(customers=10_000, triggers=10, workers=1))
    total = given.rounds * (given.warm + given.events)
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch, ExitStack() as open_things:
        folder = Path(scratch)
        broker = open_things.enter_context(KafkaBroker(folder / "kafka"))
        redis = open_things.enter_context(EmbeddedRedis(folder / "redis", appendonly=True))
        stands: dict[Size, Stand] = {}
        for _, _, size in sizes:
            if size not in stands:
                began = time.perf_counter()
                stands[size] = _set_up(broker.bootstrap, redis.url, folder, open_things, size, total)
                print(f"{_named(size)}: set up in {time.perf_counter() - began:.0f} s", flush=True)
        order = list(stands.values())
        for number in pace:
            for stand in turns(order, number):
                _round(stand, redis.url, given.warm, given.events)
            print(f"round {number + 1}: " + ", ".join(f"{s.drains[-1].cpu_us:.1f} us" for s in order), flush=True)
        for stand in order:
            began = time.perf_counter()
            _publish_rest(stand)
            workers = _start(stand)
            stand.system.wait_until_drained(300)
            _stop(stand, workers)
            stand.bytes_kept = _bytes_of(redis.url, stand.system)
            if stand.size.window:
                kept = stand.system.states()
                stand.parts = parts_of((key, state) for (stage, _, key), state in kept.items() if stage == "customer")
            if stand.size.customers <= _COMPARED:
                check_undisturbed(stand.system)
            else:
                _check_who_paid(stand)
            print(f"{_named(stand.size)}: checked in {time.perf_counter() - began:.0f} s", flush=True)
    figures = [_figure(axis, value, stands[size]) for axis, value, size in sizes]
    if given.pictures is not None:
        given.pictures.mkdir(parents=True, exist_ok=True)
        for axis, picture in pictures(figures).items():
            (given.pictures / f"growth-{axis}.svg").write_text(picture, "utf-8")
    large = sorted(_named(size) for size in stands if size.customers > _COMPARED)
    partly = f"; of {'; '.join(large)}: actions and decisions of those who paid" if large else ""
    found = Result(
        of=f"full policy; {given.events:,} transactions a round after {given.warm:,} that are not measured, {pace}; "
        f"otherwise 10,000 customers, 10 triggers, 1 worker\n{SURROUNDINGS}\n"
        f"actions, decisions and states equal the oracle's, nothing twice{partly}",
        text="\n".join([table(figures), *explained(figures)]),
        figures=[asdict(figure) for figure in figures],
        targets=targets(figures),
    )
    found.tell(given.json)


def targets(figures: Sequence[Figure]) -> list[Target]:
    """What 200 triggers may cost, and what customers may take in Redis and in a worker's memory."""
    by = {(figure.axis, figure.value): figure for figure in figures}
    found = []
    if ("triggers", 10) in by and ("triggers", 200) in by:
        ratio = by["triggers", 200].cpu_us / by["triggers", 10].cpu_us
        found.append(Target("200 triggers instead of 10: times the processor time", 3, 1.5, ratio, at_most=True))
    if ("window", 30) in by:
        # A month of a customer who pays each day: most customers of a large bank have fewer events in their windows.
        month = by["window", 30]
        each = month.events_kept / month.size.customers
        of = f"the mean of {month.size.customers:,} customers with {each:.0f} events each"
        name = "Redis MB for a million customers, 30 events each"
        found.append(Target(name, 1_000, 400, month.redis_bytes, at_most=True, of=of))
    if ("customers", 100_000) in by:
        large = by["customers", 100_000]
        of = f"{large.size.customers:,} customers with {large.events_kept:,} events together"
        name = "a worker's memory with 100,000 customers, MiB"
        found.append(Target(name, 500, None, large.memory_mib, at_most=True, of=of))
    return found


def table(figures: Sequence[Figure]) -> str:
    """A row for each system on each axis: medians, and the range of the cost."""
    heads = f"{'events/s':>10}{'CPU us/event':>14}{'range':>14}{'cache hits':>12}{'memory MiB':>12}"
    return "\n".join(
        [
            f"{'':20}{heads}{'customers':>11}{'with events':>13}{'Redis MB/1M':>13}",
            *map(row, figures),
            "Redis MB/1M: bytes of a customer, the mean of so many customers and events as the row says, for a million",
        ]
    )


def row(f: Figure) -> str:
    """One system."""
    costs = [drain.cpu_us for drain in f.rounds]
    span = f"{min(costs):.1f}-{max(costs):.1f}"
    # Bytes for each customer are megabytes for a million.
    return (
        f"{f.axis:10}{f.value:>10,}{f.rate:>10,.0f}{f.cpu_us:>14.1f}{span:>14}"
        f"{1 - f.missed:>12.1%}{f.memory_mib:>12,.0f}"
        f"{f.size.customers:>11,}{f.events_kept:>13,}{f.redis_bytes:>13,.0f}"
    )


def explained(figures: Sequence[Figure]) -> list[str]:
    """Of each axis what its figures come to from the first to the last, and what is behind them."""
    found = []
    for axis in dict.fromkeys(figure.axis for figure in figures):
        of_axis = [figure for figure in figures if figure.axis == axis]
        first, last = of_axis[0], of_axis[-1]
        if first is last:
            continue
        more, further = last.cpu_us - first.cpu_us, last.value - first.value
        if axis == "workers":
            times = last.rate / first.rate
            told = f"{last.value} drain {times:.2f} times what {first.value} does, on {os.cpu_count()} cores"
        else:
            told = f"{first.value:,} to {last.value:,} make {more:+.1f} us of processor time an event"
        missed = last.missed_per_event - first.missed_per_event
        if axis == "customers" and missed > 0:
            told += f" and {missed:+.2f} states that are not in the cache: {more / missed:.0f} us for each"
        elif axis in ("triggers", "window"):
            told += f", {more / further:.3f} us for each further one"
        found.append(f"{axis}: {told}; {noise(first, last)}; {_WHY[axis]}")
    found += [
        f"state with {figure.value:,} events, bytes by section before it is compressed: "
        + ", ".join(f"{name} {size:,.0f}" for name, size in list(figure.parts.items())[:_SECTIONS])
        for figure in figures
        if figure.parts
    ]
    most = max(figures, key=lambda figure: figure.size.customers)
    found.append(
        f"memory with {most.size.customers:,} customers: {most.memory_mib:.0f} MiB, of which {most.idle_mib:.0f} are "
        f"there before the first record; the cache, which is bounded, holds {most.cached_mib:.0f} MiB of states; the "
        "rest is the batches under way and what was fetched ahead, which are bounded, too"
    )
    return found


def noise(first: Figure, last: Figure) -> str:
    """Whether two rows differ by more than their rounds do: of workers in how fast they drain, else in what an event
    costs."""
    (low, high), (other_low, other_high) = _span(first), _span(last)
    told = f"{_told(low)} to {_told(high)} and {_told(other_low)} to {_told(other_high)}"
    if low <= other_high and other_low <= high:
        return f"the ranges of their rounds, {told}, overlap: the difference may be noise"
    return f"the ranges of their rounds, {told}, do not overlap: it is more than noise"


def _span(figure: Figure) -> tuple[float, float]:
    found = [drain.rate if figure.axis == "workers" else drain.cpu_us for drain in figure.rounds]
    return min(found), max(found)


def _told(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.1f}"


def pictures(figures: Sequence[Figure]) -> Mapping[str, str]:
    """Of each axis a picture that stands alone: what an event costs at each value; of workers, how much they drain."""
    found = {}
    for axis in dict.fromkeys(figure.axis for figure in figures):
        of_axis = [figure for figure in figures if figure.axis == axis]
        if axis == "workers":
            title = "Transactions drained in a second, by workers"
            rows = [(f"{figure.value} workers", round(figure.rate)) for figure in of_axis]
        else:
            title = f"Microseconds of processor time for an event, by {_AXES.get(axis, axis)}"
            rows = [(f"{figure.value:,} {_AXES.get(axis, axis)}", round(figure.cpu_us)) for figure in of_axis]
        found[axis] = alone(bars(f"growth-{axis}", title, rows))
    return found


def _publish_rest(stand: Stand) -> None:
    """The transactions of the rounds for which there was no time, so that windows hold what their row says."""
    stand.sent += stand.system.publish(stand.flow)


def _sizes(given: argparse.Namespace, base: Size) -> list[tuple[str, int, Size]]:
    end = given.fill + given.rounds * (given.warm + given.events)
    return [
        *(("customers", count, replace(base, customers=count)) for count in given.customers),
        *(("triggers", count, replace(base, triggers=count)) for count in given.triggers),
        *(("workers", count, replace(base, workers=count)) for count in given.workers),
        *(
            ("window", count, replace(base, customers=max(1, end // count), fill=given.fill, window=count))
            for count in given.window
        ),
    ]


def _named(size: Size) -> str:
    window = f", {size.window:,} events each" if size.window else ""
    return f"{size.customers:,} customers{window}, {size.triggers} triggers, {size.workers} workers"


def _set_up(kafka: str, redis_url: str, folder: Path, open_things: ExitStack, size: Size, total: int) -> Stand:
    """Topics, and every customer's profile in its state; the first transactions, too, where windows are to be full."""
    rules = write_rules(folder / f"rules-{size.triggers}", size.triggers)
    system = open_things.enter_context(
        System(kafka, redis_url, folder, rules=rules, name="growth", session_timeout_ms=_SESSION_MS)
    )
    system.create_topics()
    stand = Stand(size, system, transactions(size.fill + total, size.customers), total)
    workers = _start(stand)
    stand.idle_mib = max(map(memory_mib, workers))
    system.publish(profiles(size.customers))
    deposits = system.publish(holdings(min(size.customers, _HOLDERS)))
    wait_until(lambda: position(system, redis_url, PROFILES) >= size.customers, "the profiles are known", 600)
    wait_until(lambda: position(system, redis_url, MATURITIES) >= deposits, "the deposits are known", 600)
    stand.sent = system.publish(islice(stand.flow, size.fill))
    wait_until(lambda: position(system, redis_url) >= stand.sent, "the windows are filled", 600)
    _stop(stand, workers)
    return stand


def _round(stand: Stand, redis_url: str, warm: int, events: int) -> None:
    system = stand.system
    workers = _start(stand)

    def reached() -> bool:
        return position(system, redis_url) >= stand.sent

    stand.sent += system.publish(islice(stand.flow, warm))
    wait_until(reached, "the workers have warmed up", 600)
    before = list(map(metrics_text, workers))
    for worker in workers:
        worker.pause()
    published = system.publish(islice(stand.flow, events))
    stand.sent += published
    used, began = sum(map(cpu_seconds, workers)), time.perf_counter()
    for worker in workers:
        worker.resume()
    wait_until(reached, "the workers have drained the topic", 600)
    seconds, used = time.perf_counter() - began, sum(map(cpu_seconds, workers)) - used
    lookups = Counter[str]()
    for earlier, worker in zip(before, workers, strict=True):
        lookups.update(grown(earlier, metrics_text(worker), "cache_lookups_total", "result"))  # type: ignore[arg-type]
    stand.drains.append(Drain(published / seconds, used / published * 1e6, published, lookups.total(), lookups["miss"]))
    _stop(stand, workers)


def _start(stand: Stand) -> list[WorkerProcess]:
    workers = [stand.system.start_worker() for _ in range(stand.size.workers)]
    wait_until(lambda: _shared_out(workers, stand.system.partitions), "the partitions are shared out", 120)
    return workers


def _stop(stand: Stand, workers: Sequence[WorkerProcess]) -> None:
    stand.memory_mib = max(stand.memory_mib, *map(memory_mib, workers))
    cached = [sum(grown("", metrics_text(worker), "cache_bytes").values()) / 2**20 for worker in workers]
    stand.cached_mib = max(stand.cached_mib, *cached)
    stand.system.stop_workers()


def _check_who_paid(stand: Stand) -> None:
    """The actions and decisions of those who paid are the engine's, whatever came of the others. Raises where not."""
    flow = list(islice(transactions(stand.size.fill + stand.total, stand.size.customers), stand.sent))
    paid = {event.key or b"" for event in flow}
    known = chain(profiles(stand.size.customers), holdings(min(stand.size.customers, _HOLDERS)))
    of_them = (event for event in known if event.key in paid)
    expected = expect(outputs_of(stand.system.rules, chain(of_them, flow), stand.system.partitions)).ids
    sent = [record.value or b"" for topic in (*QUEUES, DECISIONS) for record in stand.system.read(topic)]
    why = who_paid(sent, {key.decode() for key in paid}, expected)
    if why:
        raise SystemExit(f"{_named(stand.size)}: {why}")


def who_paid(sent: Sequence[bytes], paid: Collection[str], expected: Collection[str]) -> str:
    """Why the messages to those who paid are not the expected ones, each once. Empty: they are."""
    bodies = [body for body in map(json.loads, sent) if body["customer_id"] in paid]
    ids = [name for body in bodies if (name := body.get("decision_id") or _id_of_action(body))]
    why = difference(ids, expected)
    return why or (f"void: {len(ids) - len(set(ids))} messages stand there twice" if len(ids) > len(set(ids)) else "")


def _id_of_action(body: Mapping[str, Any]) -> str | None:
    return body["action_id"] if body["type"] == "action" else None


def parts_of(states: Iterable[tuple[str, bytes]]) -> Mapping[str, float]:
    """The bytes of each section of a state on average, the largest first."""
    found, count = Counter[str](), 0
    for key, data in states:
        state, count = decode_state(key, data), count + 1
        found.update({name: len(msgspec.msgpack.encode(getattr(state, name))) for name in SECTIONS})
    return {name: size / count for name, size in found.most_common()}


def _figure(axis: str, value: int, stand: Stand) -> Figure:
    size = stand.size
    kept = stand.bytes_kept / size.customers
    return Figure(
        axis,
        value,
        size,
        stand.drains,
        stand.memory_mib,
        kept,
        events_kept=stand.sent,
        idle_mib=stand.idle_mib,
        cached_mib=stand.cached_mib,
        parts=stand.parts,
    )


def _bytes_of(redis_url: str, system: System) -> int:
    """What the store takes for a system: the server's own count of each of its keys."""
    client: Any = Redis.from_url(redis_url)
    with client:
        keys = list(client.scan_iter(match=f"{{{system.settings.namespace}:*", count=10_000))
        total = 0
        for start in range(0, len(keys), 10_000):
            with client.pipeline(transaction=False) as pipe:
                for key in keys[start : start + 10_000]:
                    pipe.memory_usage(key, samples=0)
                total += sum(pipe.execute())
        return total


def _shared_out(workers: Sequence[WorkerProcess], partitions: int) -> bool:
    owned = [worker.owned() for worker in workers]
    return all(owned) and sum(map(len, owned)) == partitions
