"""Drain: a backlog in a real Kafka, one worker, beside bare loops and the peers on the same topics.

Profiles and holdings are known before the clock starts, to the worker as to every peer. The clock runs from a
contender's first transaction to its last commit, or acknowledgement where it commits nothing; what it then shuts down
is not timed. Of the peers the first transactions are not measured: who compiles as it goes has done so by then. The
worker is measured from its very first, with an empty cache: several of its batches are under way at a time, so that
there is no clean beginning later. Each contender is a process of its own, one after another, and whose turn it is first
changes from round to round. What does not publish the ids of the pure engine's actions and decisions is void, and so
is a worker that sends or journals something twice: nobody kills it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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
    judged,
    run_peer,
)
from tests.benchmarks.expectation import Expectation, expect, outputs_of
from tests.benchmarks.peers.environments import versions
from tests.benchmarks.peers.task import Task
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds, turns
from tests.benchmarks.rounds import add_arguments as add_rounds
from tests.benchmarks.watched import check_undisturbed, memory_mib, stands_twice, time_drain
from tests.benchmarks.work import RULES, SURROUNDINGS, holdings, profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.system import Event, System
from tests.support.worker_process import wait_until

ABOUT: Final = "one worker drains a backlog of a real Kafka, beside bare loops and the peers"
TARGETS: Final[tuple[tuple[str, float, float], ...]] = (
    (CEILING, 0.35, 0.6),
    (STOCK, 8.0, 20.0),
    (QUIX, 1.5, 3.0),
)
"""How many times as fast as these the worker is to be, and what is aimed at."""
PARTITIONS: Final = 4
HOW: Final = """\
worker / it: in each round the worker's rate divided by the other's; the median and the range of the rounds
the loops and stock Faust run in the worker's own environment, so that their clients, their event loop and their Python
are the worker's and a ratio is of what is done with them; each of the others has an environment of its own, with the
versions that it asks for, of the same Python (Kafka Streams: of jars)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=100_000, help="transactions of a round behind the warm-up")
    parser.add_argument("--customers", type=int, default=12_000)
    parser.add_argument("--warm", type=int, default=20_000, help="transactions before those, not measured of the peers")
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
    """Starts a Kafka and a Redis, runs the rounds and prints the table. The run is void where the worker is."""
    peers, pace = given.peers, Rounds(given)
    work = work_of(given.rules.resolve(), given.warm + given.events, given.customers, warm=given.warm)
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with KafkaBroker(folder / "kafka") as broker, EmbeddedRedis(folder / "redis", appendonly=True) as redis:
            rounds = []
            for number in pace:
                figures = run_round(broker.bootstrap, redis.url, folder, work, number=number, peers=peers)
                rounds.append(figures)
                print(
                    f"round {number + 1}: "
                    + ", ".join(f"{f.contender} {f.void or f'{f.rate:,.0f}/s'}" for f in figures),
                    flush=True,
                )
    void = next(
        (figure.void for figures in rounds for figure in figures if figure.contender == WORKER and figure.void), ""
    )
    every = given.warm + given.events
    found = Result(
        of=f"{every:,} transactions of {given.customers:,} customers, {pace}, the slow in every second\n"
        f"from the first to the last commit; of the peers the first {given.warm:,} are not measured\n"
        f"ten triggers, short policy (consent and two caps); {versions()}\n{SURROUNDINGS}\n"
        "in round 1 the worker's actions, decisions and states equal the oracle's; in each round the ids do, each once",
        text=f"{table(rounds)}\n{HOW}\n{promises(peers)}",
        figures=figures_of(rounds, peers),
        targets=targets(rounds),
        void=bool(void),
    )
    found.tell(given.json)
    if void:
        raise SystemExit(f"{WORKER}: {void}")


@dataclass(frozen=True, slots=True)
class Work:
    """What every contender is given in every round, and what must come of it."""

    rules: Path
    known: Sequence[Event]
    flow: Sequence[Event]
    warm: int
    expected: Expectation


def work_of(rules: Path, events: int, customers: int, warm: int = 0) -> Work:
    """Of so many transactions the first ``warm`` are not measured of the peers."""
    known, flow = [*profiles(customers), *holdings(customers)], list(transactions(events, customers))
    return Work(rules, known, flow, warm, expect(outputs_of(rules, [*known, *flow], PARTITIONS)))


def run_round(
    kafka: str, redis_url: str, folder: Path, work: Work, *, number: int = 0, peers: Sequence[Contender] = ()
) -> list[Figure]:
    """Publishes the work to topics of its own and runs the contenders on it, one after another; the worker is first in
    what is returned.

    In the first round what the worker published and kept is compared with the oracle's; a difference raises.
    """
    with System(
        kafka, redis_url, folder, rules=work.rules, name="bench", partitions=PARTITIONS, session_timeout_ms=6_000
    ) as system:
        system.create_topics()
        wait_until(lambda: _leads_all(system), "the broker leads every partition of the new topics", 60)
        system.publish(work.known)
        system.start_worker()
        system.wait_until_drained(300)
        system.stop_workers()
        system.publish(work.flow)

        def peer_run(index: int, peer: Contender) -> Figure:
            workspace = folder / f"{system.name}-peer-{index}"
            workspace.mkdir()
            task = Task(
                bootstrap=kafka,
                prefix=system.settings.topic_prefix,
                out=f"{system.name}-peer-{index}.",
                known=len(work.known),
                events=len(work.flow),
                folder=str(workspace),
                partitions=system.partitions,
                outputs=len(work.expected.ids),
                output_bytes=work.expected.mean_bytes,
                warm=work.warm,
            )
            return run_peer(peer, task, work.expected.ids)

        runs: list[Callable[[], Figure]] = [partial(_worker, system, redis_url, work, check=number == 0)]
        runs += [partial(peer_run, index, peer) for index, peer in enumerate(taking_part(peers, number))]
        figures = {place: runs[place]() for place in turns(range(len(runs)), number)}
        return [figure for _, figure in sorted(figures.items())]


def taking_part(peers: Sequence[Contender], number: int) -> list[Contender]:
    """Those of a round: the slow ones in every second, from the first on."""
    return [peer for peer in peers if not (peer.slow and number % 2)]


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


def _worker(system: System, redis_url: str, work: Work, *, check: bool) -> Figure:
    worker = system.start_worker()
    drained = time_drain(system, redis_url, worker, len(work.flow))
    system.wait_until_drained(300)
    memory = memory_mib(worker)
    system.stop_workers()
    if check:
        check_undisturbed(system)
    actions = {body["action_id"] for body in system.actions()}
    found = actions | {body["decision_id"] for body in system.decisions()}
    void = judged(found, work.expected.ids, drained.events, len(work.flow)) or stands_twice(system)
    return Figure(WORKER, drained.events, drained.seconds, drained.cpu_seconds, memory, len(actions), void)


def table(rounds: Sequence[Sequence[Figure]]) -> str:
    """Median and range of each contender, and how many times as fast as it the worker is, round by round.

    A contender that is void in one round is void: the row says why, and nothing else.
    """
    heads = f"{'events/s':>12}{'range':>20}{'rounds':>8}{'worker / it':>13}{'range':>14}{'CPU us/event':>14}"
    lines = [f"{'':24}{heads}{'memory MiB':>12}"]
    for name in dict.fromkeys(figure.contender for figures in rounds for figure in figures):
        of_one = [figure for figures in rounds for figure in figures if figure.contender == name]
        why = next((figure.void for figure in of_one if figure.void), "")
        if why:
            lines.append(f"{name:24}{why:>12}")
            continue
        rates = [figure.rate for figure in of_one]
        ratios = ratios_to(rounds, name)
        middle = f"{statistics.median(ratios):.2f}" if ratios else ""
        around = f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else ""
        memory = max((figure.memory_mib or 0) for figure in of_one)
        span = f"{min(rates):,.0f}-{max(rates):,.0f}"
        cpu = statistics.median(figure.cpu for figure in of_one)
        lines.append(
            f"{name:24}{statistics.median(rates):>12,.0f}{span:>20}{len(of_one):>8}{middle:>13}{around:>14}{cpu:>14.1f}"
            f"{f'{memory:,.0f}' if memory else '':>12}"
        )
    return "\n".join(lines)


def targets(rounds: Sequence[Sequence[Figure]]) -> list[Target]:
    """What the worker is to reach against others, and what it reached; of one that is void or took no part, that."""
    found = []
    for name, wanted, aimed in TARGETS:
        figure, ratios = f"drain: one worker / {name}", ratios_to(rounds, name)
        if ratios:
            middle = statistics.median(ratios)
            found.append(Target(figure, wanted, aimed, middle, lowest=min(ratios), highest=max(ratios)))
        else:
            void = any(figure.void for figures in rounds for figure in figures if figure.contender in (WORKER, name))
            found.append(Target(figure, wanted, aimed, None, why="void" if void else "not measured"))
    return found


def ratios_to(rounds: Sequence[Sequence[Figure]], name: str) -> list[float]:
    """How many times as fast as another the worker is, in each round that has both; none where one is ever void."""
    ratios = []
    for figures in rounds:
        by_name = {figure.contender: figure for figure in figures}
        worker, other = by_name[WORKER], by_name.get(name)
        if worker.void or (other is not None and other.void):
            return []
        if other is not None:
            ratios.append(worker.rate / other.rate)
    return ratios


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
