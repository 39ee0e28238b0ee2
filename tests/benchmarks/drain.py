"""Drain: a backlog in a real Kafka, one worker, beside bare loops and the peers on the same topics.

Profiles and holdings are known before the clock starts, to the worker as to every peer; the clock then runs from the
first batch of transactions to the last commit. Each contender is a process of its own, one after another, and whose
turn it is first changes from round to round. What does not publish the ids of the pure engine's actions and decisions
is void.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from schemas.topics import CONSUMED
from streams.embedded_redis import EmbeddedRedis
from tests.benchmarks.contest import (
    CEILING,
    PEERS,
    QUIX,
    STOCK,
    WORKER,
    WORKER_DELIVERY,
    WORKER_STATE,
    Contender,
    Figure,
    difference,
    run_peer,
)
from tests.benchmarks.expectation import Expectation, expect, outputs_of
from tests.benchmarks.peers.environments import versions
from tests.benchmarks.peers.task import Task
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds, turns
from tests.benchmarks.rounds import add_arguments as add_rounds
from tests.benchmarks.watched import memory_mib, time_drain
from tests.benchmarks.work import RULES, holdings, profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.oracle_check import check_against_oracle
from tests.support.system import System
from tests.support.worker_process import wait_until

ABOUT: Final = "one worker drains a backlog of a real Kafka, beside bare loops and the peers"
TARGETS: Final[tuple[tuple[str, float, float], ...]] = (
    (CEILING, 0.35, 0.6),
    (STOCK, 8.0, 20.0),
    (STOCK, 10.0, 20.0),
    (QUIX, 1.5, 3.0),
)
"""How many times as fast as these the worker is to be, and what is aimed at."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=200_000, help="transactions of a round")
    parser.add_argument("--customers", type=int, default=20_000)
    add_rounds(parser)
    parser.add_argument("--rules", type=Path, default=RULES, help="a folder of triggers; the peers know the default")
    names = ", ".join(peer.name for peer in PEERS)
    parser.add_argument(
        "--peers",
        type=chosen,
        default=list(PEERS),
        metavar="all|targets|none|NAME[;NAME]",
        help=f"who takes part; targets: those that the worker is to outdo ({names})",
    )
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def chosen(text: str) -> list[Contender]:
    """The peers that an option names."""
    wanted = {
        "all": [peer.name for peer in PEERS],
        "targets": [name for name, *_ in TARGETS],
        "none": [],
    }.get(text, text.split(";"))
    unknown = set(wanted) - {peer.name for peer in PEERS}
    if unknown:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(sorted(unknown))}")
    return [peer for peer in PEERS if peer.name in wanted]


def run(given: argparse.Namespace) -> None:
    """Starts a Kafka and a Redis, runs the rounds and prints the table."""
    pace, peers = Rounds(given), given.peers
    if given.rules.resolve() != RULES.resolve():
        peers = [peer for peer in peers if not peer.has_rules]
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with (
            KafkaBroker(folder / "kafka", speed=True) as broker,
            EmbeddedRedis(folder / "redis", appendonly=True) as redis,
        ):
            rounds = []
            for number in pace:
                figures = run_round(
                    broker.bootstrap,
                    redis.url,
                    folder,
                    rules=given.rules.resolve(),
                    events=given.events,
                    customers=given.customers,
                    number=number,
                    peers=peers,
                )
                rounds.append(figures)
                print(
                    f"round {number + 1}: "
                    + ", ".join(f"{f.contender} {f.void or f'{f.rate:,.0f}/s'}" for f in figures),
                    flush=True,
                )
    work = f"{given.events:,} transactions of {given.customers:,} customers, {pace}"
    found = Result(
        of=f"{work}; {versions()}\n"
        "in round 1 the worker's actions, decisions and states equal the oracle's, in each round the ids do",
        text=f"{table(rounds)}\n{promises(peers)}",
        figures=figures_of(rounds, peers),
        targets=targets(rounds),
    )
    found.tell(given.json)


def run_round(
    kafka: str,
    redis_url: str,
    folder: Path,
    *,
    rules: Path,
    events: int,
    customers: int,
    number: int = 0,
    peers: Sequence[Contender] = (),
) -> list[Figure]:
    """Publishes the work to topics of its own and runs the contenders on it, one after another; the worker is first in
    what is returned.

    In the first round what the worker published and kept is compared with the oracle's; a difference raises.
    """
    with System(kafka, redis_url, folder, rules=rules, name="bench", session_timeout_ms=6_000) as system:
        system.create_topics()
        wait_until(lambda: _leads_all(system), "the broker leads every partition of the new topics", 60)
        before, flow = [*profiles(customers), *holdings(customers)], list(transactions(events, customers))
        expected = expect(outputs_of(rules, [*before, *flow], system.partitions))
        system.publish(before)
        system.start_worker()
        system.wait_until_drained(300)
        system.stop_workers()
        system.publish(flow)

        def peer_run(index: int, peer: Contender) -> Figure:
            workspace = folder / f"{system.name}-peer-{index}"
            workspace.mkdir()
            task = Task(
                bootstrap=kafka,
                prefix=system.settings.topic_prefix,
                out=f"{system.name}-peer-{index}.",
                known=len(before),
                events=events,
                folder=str(workspace),
                partitions=system.partitions,
                outputs=len(expected.ids),
                output_bytes=expected.mean_bytes,
            )
            return run_peer(peer, task, expected.ids)

        runs: list[Callable[[], Figure]] = [partial(_worker, system, redis_url, events, expected, check=number == 0)]
        runs += [partial(peer_run, index, peer) for index, peer in enumerate(peers)]
        figures: dict[int, Figure] = {}
        for place in turns(range(len(runs)), number):
            figures[place] = runs[place]()
        return [figure for _, figure in sorted(figures.items())]


def _leads_all(system: System) -> bool:
    """Whether the broker answers for every topic: a new one is known to clients before it is led."""
    try:
        for topic in CONSUMED:
            system.ends(topic.name)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION:
            return False
        raise
    return True


def _worker(system: System, redis_url: str, events: int, expected: Expectation, *, check: bool) -> Figure:
    worker = system.start_worker()
    drained = time_drain(system, redis_url, worker, events)
    system.wait_until_drained(300)
    memory = memory_mib(worker)
    system.stop_workers()
    if check:
        check_against_oracle(system)
    actions = {body["action_id"] for body in system.actions()}
    void = difference(actions | {body["decision_id"] for body in system.decisions()}, expected.ids)
    if drained.events < events // 2:
        void = void or f"void: only {drained.events:,} of {events:,} were left when the clock started; take more events"
    return Figure(WORKER, drained.events, drained.seconds, drained.cpu_seconds, memory, len(actions), void)


def table(rounds: Sequence[Sequence[Figure]]) -> str:
    """Median and range of each contender, and how many times as fast as it the worker is, round by round.

    A contender that is void in one round is void: the row says why, and nothing else.
    """
    lines = [f"{'':24}{'events/s':>12}{'range':>20}{'worker / it':>14}{'CPU us/event':>14}{'memory MiB':>12}"]
    for of_one in zip(*rounds, strict=True):
        name = of_one[0].contender
        why = next((figure.void for figure in of_one if figure.void), "")
        if why:
            lines.append(f"{name:24}{why:>12}")
            continue
        rates = [figure.rate for figure in of_one]
        ratio = _ratio(rounds, name)
        shown = "" if ratio is None else f"{ratio:.2f}"
        memory = max((figure.memory_mib or 0) for figure in of_one)
        span = f"{min(rates):,.0f}-{max(rates):,.0f}"
        cpu = statistics.median(figure.cpu for figure in of_one)
        lines.append(
            f"{name:24}{statistics.median(rates):>12,.0f}{span:>20}{shown:>14}{cpu:>14.1f}"
            f"{f'{memory:,.0f}' if memory else '':>12}"
        )
    return "\n".join(lines)


def targets(rounds: Sequence[Sequence[Figure]]) -> list[Target]:
    """What the worker is to reach against others, and what it reached; none of one that is void or took no part."""
    ratios = [(name, wanted, aimed, _ratio(rounds, name)) for name, wanted, aimed in TARGETS]
    return [
        Target(f"drain: one worker / {name}", wanted, aimed, ratio)
        for name, wanted, aimed, ratio in ratios
        if ratio is not None
    ]


def _ratio(rounds: Sequence[Sequence[Figure]], name: str) -> float | None:
    """How many times as fast as another the worker is: the median of the rounds. ``None`` where one of them is void."""
    ratios = []
    for figures in rounds:
        by_name = {figure.contender: figure for figure in figures}
        worker, other = by_name[WORKER], by_name.get(name)
        if other is None or worker.void or other.void:
            return None
        ratios.append(worker.rate / other.rate)
    return statistics.median(ratios)


def promises(peers: Sequence[Contender]) -> str:
    """What each contender keeps, and what it promises of what it sends."""
    rows = [(WORKER, WORKER_STATE, WORKER_DELIVERY), *((peer.name, peer.state, peer.delivery) for peer in peers)]
    return "\n".join(f"{name}\n    state: {state}\n    delivery: {delivery}" for name, state, delivery in rows)


def figures_of(rounds: Sequence[Sequence[Figure]], peers: Sequence[Contender]) -> dict[str, Any]:
    """Every figure of every round, and what each contender promises."""
    told = {WORKER: {"state": WORKER_STATE, "delivery": WORKER_DELIVERY}}
    told |= {peer.name: {"state": peer.state, "delivery": peer.delivery} for peer in peers}
    every = [[{**asdict(figure), "rate": figure.rate} for figure in figures] for figures in rounds]
    return {"promises": told, "rounds": every}
