"""Drain: a backlog in a real Kafka, one worker, beside a bare aiokafka loop and stock Faust agents."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from redis import Redis

from streams.embedded_redis import EmbeddedRedis
from tests.benchmarks.work import RULES, TOPIC, machine, profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import System
from tests.support.worker_process import wait_until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STOCK = "stock Faust, same job"
ABOUT = "one worker drains a backlog of a real Kafka, beside stock Faust agents"


@dataclass(frozen=True, slots=True)
class Figure:
    """One contender in one round. ``cpu_seconds`` are its process's own; ``memory_mib`` the worker's peak."""

    contender: str
    events: int
    seconds: float
    cpu_seconds: float
    memory_mib: float | None = None
    actions: int | None = None

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu(self) -> float:
        """Microseconds of processor time for an event: steadier than the rate where the machine is shared."""
        return self.cpu_seconds / self.events * 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=200_000, help="transactions of a round")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--stock-events", type=int, default=20_000, help="of these, how many the stock agent reads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rules", type=Path, default=RULES, help="a folder of triggers")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Starts a Kafka and a Redis, runs the rounds and prints the table."""
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with KafkaBroker(folder / "kafka") as broker, EmbeddedRedis(folder / "redis", appendonly=True) as redis:
            rounds = []
            for number in range(given.rounds):
                figures = run_round(
                    broker.bootstrap,
                    redis.url,
                    folder,
                    rules=given.rules.resolve(),
                    events=given.events,
                    customers=given.customers,
                    stock_events=min(given.stock_events, given.events),
                    check=number == 0,
                )
                rounds.append(figures)
                print(
                    f"round {number + 1}: " + ", ".join(f"{f.contender} {f.rate:,.0f}/s" for f in figures), flush=True
                )
    print(f"{given.events:,} transactions of {given.customers:,} customers, {given.rounds} rounds; {machine()}")
    print("the worker's actions, decisions and states equal the oracle's in round 1")
    print(table(rounds))
    if given.json is not None:
        given.json.write_text(as_json(rounds), "utf-8")


def run_round(
    kafka: str,
    redis_url: str,
    folder: Path,
    *,
    rules: Path,
    events: int,
    customers: int,
    stock_events: int,
    check: bool,
) -> list[Figure]:
    """Publishes the work to topics of its own and runs the contenders on it, one after another.

    With ``check`` what the worker published and kept is compared with the oracle's; a difference raises.
    """
    with System(kafka, redis_url, folder, rules=rules, name="bench", session_timeout_ms=6_000) as system:
        system.create_topics()
        system.publish(profiles(customers))
        system.publish(transactions(events, customers))
        topic, count = system.kafka_topic(TOPIC), str(stock_events)
        changelog = NewTopic(f"j-{system.name}-states-changelog", system.partitions, 1)
        admin = AdminClient({"bootstrap.servers": kafka})
        for created in admin.create_topics([changelog]).values():
            created.result()
        return [
            _script("bare aiokafka loop", "bare_loop.py", kafka, topic, str(events)),
            _worker(system, redis_url, events, check=check),
            # After the worker's outputs were compared: the stock job publishes among them.
            _script(STOCK, "stock_faust.py", kafka, topic, count, str(rules), f"j-{system.name}", "job"),
            _script(
                "stock Faust, decode", "stock_faust.py", kafka, topic, count, str(rules), f"d-{system.name}", "decode"
            ),
        ]


def _script(contender: str, script: str, *arguments: str) -> Figure:
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments], capture_output=True, timeout=300, check=True
    )
    answer = json.loads(
        done.stdout[done.stdout.index(b"{") : done.stdout.index(b"}") + 1]
    )  # Faust draws a spinner around it
    return Figure(contender, answer["events"], answer["seconds"], answer["cpu"])


def _worker(system: System, redis_url: str, events: int, *, check: bool) -> Figure:
    """Measured from the worker's first commit of transactions to its last, without what the first batches did."""
    redis = Redis.from_url(redis_url)

    def done() -> int:
        keys = [f"{{{system.settings.namespace}:{number}}}:meta" for number in range(system.partitions)]
        return sum(int(redis.hget(key, f"pos:{TOPIC}") or 0) for key in keys)

    worker = system.start_worker()
    wait_until(lambda: done() > 0, "the worker commits its first batch", 60)
    before, began, used = done(), time.perf_counter(), _cpu_seconds(worker.process.pid)
    wait_until(lambda: done() >= events, "the worker has drained the topic", 600)
    seconds = time.perf_counter() - began
    used = _cpu_seconds(worker.process.pid) - used
    system.wait_until_drained(120)
    status = Path(f"/proc/{worker.process.pid}/status").read_text("utf-8")
    memory = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    system.stop_workers()
    redis.close()
    actions = check_against_oracle(system).actions if check else None
    return Figure("one worker", events - before, seconds, used, memory, actions)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process (Linux), from the second field after its name's closing bracket on."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(rounds: Sequence[Sequence[Figure]]) -> str:
    """Median and range of each contender, and its ratio to the stock agent, round by round."""
    names = [figure.contender for figure in rounds[0]]
    stock = names.index(STOCK)
    lines = [f"{'':22}{'events/s':>12}{'range':>22}{'x stock':>10}{'CPU us/event':>14}{'memory MiB':>12}"]
    for index, name in enumerate(names):
        rates = [figures[index].rate for figures in rounds]
        ratio = statistics.median(figures[index].rate / figures[stock].rate for figures in rounds)
        memory = max((figures[index].memory_mib or 0) for figures in rounds)
        span = f"{min(rates):,.0f}-{max(rates):,.0f}"
        shown = f"{memory:,.0f}" if memory else ""
        cpu = statistics.median(figures[index].cpu for figures in rounds)
        lines.append(f"{name:22}{statistics.median(rates):>12,.0f}{span:>22}{ratio:>10.1f}{cpu:>14.1f}{shown:>12}")
    return "\n".join(lines)


def as_json(rounds: Sequence[Sequence[Figure]]) -> str:
    """Every figure of every round."""
    return json.dumps([[{**asdict(figure), "rate": figure.rate} for figure in figures] for figures in rounds], indent=1)
