"""The pure engine: ten triggers with the full policy over events in memory, on one core, no broker and no store.
``--triggers 1 10 50 200`` shows what more of them cost.

Five ways through the same events, which must cause the same actions and decisions: ``engine`` has records that are
decoded already and takes them as a backtest does, one customer after another; ``engine, in order of time`` takes them
as they come, so that nearly every event waits for its customer's state to come out of the machine's memory;
``decode`` reads the messages and no more; ``decode + engine`` is both, by customer; and ``a worker's batches`` is
what a worker does: records read, run over states, states and outputs encoded, batch by batch.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, Final

from schemas.base import Record
from schemas.decode import decode
from schemas.encode import encode
from schemas.journal import RecordBatch
from schemas.topics import TOPIC as TOPICS
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds, turns
from tests.benchmarks.rounds import add_arguments as add_rounds
from tests.benchmarks.rule_sets import POLICIES, rule_set
from tests.benchmarks.work import RULES, TOPIC, holdings, profiles, transactions
from triggers.engine.batch import Message, Opened, decode_batch, run_records
from triggers.engine.customer import CustomerStage
from triggers.engine.state import CustomerState
from triggers.language.model import RuleSet

ABOUT: Final = "the pure engine, one core, ten triggers with policy"
_TENANT: Final = "bank"
_BATCH: Final = 2_000
_TEN: Final = 10
_MANY: Final = 200
_ENGINE: Final = "engine"
_BY_TIME: Final = "engine, in order of time"
_FROM_BYTES: Final = "decode + engine"


@dataclass(frozen=True, slots=True)
class Raw:
    """A message in memory."""

    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One way through the events: how long it took, and a digest of what it caused."""

    contender: str
    events: int
    seconds: float
    cpu_seconds: float
    actions: int = 0
    digest: str = ""

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
    parser.add_argument("--events", type=int, default=150_000, help="transactions of a round")
    parser.add_argument("--customers", type=int, default=10_000)
    add_rounds(parser)
    parser.add_argument("--rules", type=Path, default=RULES, help="a folder of triggers")
    parser.add_argument(
        "--triggers",
        type=int,
        nargs="+",
        help="so many of them, one figure for each number; more than there are are made",
    )
    parser.add_argument("--policy", choices=POLICIES, help="of the gate; full without --rules, else that of the folder")
    parser.add_argument("--only", choices=WAYS, nargs="*", default=WAYS, help="ways through the events")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Runs the rounds and prints the table."""
    policy = given.policy or ("full" if given.rules == RULES else "short")
    pace, load = Rounds(given), Load(given.events, given.customers)
    works = [Work(rule_set(given.rules, wanted, policy), load) for wanted in given.triggers or [None]]
    rounds = _rounds(works, pace, [way for name, way in CONTENDERS.items() if name in given.only])
    tables: list[str] = []
    rates: dict[tuple[int, str], list[float]] = defaultdict(list)
    costs: list[tuple[int, float]] = []
    for work, of_one in zip(works, rounds, strict=True):
        count = len(work.ruleset.triggers)
        tables.append(f"{count} triggers, {of_one[0][0].actions:,} actions\n{_table(of_one)}")
        for figure in chain.from_iterable(of_one):
            rates[count, figure.contender].append(figure.rate)
        costs.append((count, statistics.median(figures[0].cpu_seconds for figures in of_one)))
    targets = []
    for way, name in (
        (_ENGINE, f"engine: ten triggers with the {policy} policy, decoded before, customer by customer: events/s"),
        (_FROM_BYTES, f"decode + engine: ten triggers with the {policy} policy, customer by customer: events/s"),
    ):
        if found := rates.get((_TEN, way)):
            middle = statistics.median(found)
            targets.append(Target(name, 60_000, 150_000, middle, lowest=min(found), highest=max(found)))
    for count, seconds in costs[1:]:
        ratio = seconds / costs[0][1]
        tables.append(f"{count} triggers instead of {costs[0][0]}: {ratio:.2f} times the processor time of an event")
        if (costs[0][0], count) == (_TEN, _MANY):
            name = "engine: 200 triggers instead of 10, times the processor time"
            targets.append(Target(name, 3, 1.5, ratio, at_most=True))
    found = Result(
        of=f"{given.events:,} transactions of {given.customers:,} customers, {policy} policy, {pace}; "
        "records are decoded before and run customer by customer where nothing else is said; "
        "all ways cause the same actions and decisions",
        text="\n".join(tables),
        figures={
            str(len(work.ruleset.triggers)): [[{**asdict(f), "rate": f.rate} for f in figures] for figures in of_one]
            for work, of_one in zip(works, rounds, strict=True)
        },
        targets=targets,
    )
    found.tell(given.json)


def _rounds(works: Sequence[Work], pace: Rounds, ways: Sequence[Callable[[Work], Figure]]) -> list[list[list[Figure]]]:
    """Of each rule set its rounds; in each round the rule sets take turns, and whose is first changes."""
    made: list[list[list[Figure]]] = [[] for _ in works]
    for number in pace:
        for place in turns(range(len(works)), number):
            figures = [way(works[place]) for way in ways]
            made[place].append(figures)
            found = {(figure.actions, figure.digest) for figure in figures if figure.digest}
            if len(found) > 1:
                raise SystemExit(f"void: the ways through the events differ in what they cause: {sorted(found)}")
            rates = ", ".join(f"{figure.contender} {figure.rate:,.0f}/s" for figure in figures)
            print(f"{len(works[place].ruleset.triggers)} triggers: {rates}", flush=True)
    return made


def _table(rounds: Sequence[Sequence[Figure]]) -> str:
    """A row for each way through the events."""
    lines = [f"{'':26}{'events/s':>12}{'range':>22}{'us/event':>12}{'CPU us/event':>14}"]
    for of_one in zip(*rounds, strict=True):
        rates = [figure.rate for figure in of_one]
        middle = statistics.median(rates)
        span = f"{min(rates):,.0f}-{max(rates):,.0f}"
        cpu = statistics.median(figure.cpu for figure in of_one)
        lines.append(f"{of_one[0].contender:26}{middle:>12,.0f}{span:>22}{1e6 / middle:>12.1f}{cpu:>14.1f}")
    return "\n".join(lines)


class Load:
    """The events, the same for every rule set. Customers' profiles and holdings are known before the clock starts."""

    def __init__(self, events: int, customers: int) -> None:
        self.raws = [Raw(at, event.key, event.value) for at, event in enumerate(transactions(events, customers))]
        self.known = [
            decode(TOPICS[event.topic], _TENANT, event.key, event.value)
            for source in (profiles(customers), holdings(customers))
            for event in source
        ]
        self.raws_by_customer = sorted(self.raws, key=lambda raw: raw.key or b"")
        self.records = self._decoded(self.raws)
        # Decoded anew, so that the records lie in memory as they do in a backtest: in the order in which they are run.
        self.records_by_customer = self._decoded(self.raws_by_customer)

    def _decoded(self, raws: Iterable[Raw]) -> list[Any]:
        return [decode(TOPICS[TOPIC], _TENANT, raw.key, raw.value) for raw in raws]


class Work:
    """The events and a rule set."""

    def __init__(self, ruleset: RuleSet, load: Load) -> None:
        self.ruleset = ruleset
        self.load = load

    def begin(self) -> tuple[CustomerStage, dict[str, CustomerState]]:
        """A stage and the states of all customers before the first transaction."""
        stage, states = CustomerStage(_TENANT), {}
        for record in self.load.known:
            key = stage.key_of(record)
            if key not in states:
                states[key] = stage.fresh(key)
            stage.process(record, states[key], self.ruleset, None)
        _settle()
        return stage, states


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    return time.perf_counter() - began[0], time.process_time() - began[1]


def _settle() -> None:
    """The collector as a worker sets it; what a former way left and was frozen is freed before."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def _engine(work: Work) -> Figure:
    return _processed(_ENGINE, work, work.load.records_by_customer)


def _by_time(work: Work) -> Figure:
    return _processed(_BY_TIME, work, work.load.records)


def _processed(name: str, work: Work, records: Sequence[Any]) -> Figure:
    stage, states = work.begin()
    made: list[Record] = []
    began = _now()
    process, ruleset = stage.process, work.ruleset
    for record in records:
        outcome = process(record, states[record.customer_id], ruleset, None)
        if outcome is not None:
            made += outcome.outputs
    seconds = _since(began)
    return _figure(name, work, seconds, map(encode, made))


def _decode(work: Work) -> Figure:
    _settle()
    topic = TOPICS[TOPIC]
    began = _now()
    for raw in work.load.raws:
        decode(topic, _TENANT, raw.key, raw.value)
    return Figure("decode", len(work.load.raws), *_since(began))


def _decode_and_engine(work: Work) -> Figure:
    stage, states = work.begin()
    made: list[Record] = []
    topic = TOPICS[TOPIC]
    began = _now()
    process, ruleset = stage.process, work.ruleset
    for raw in work.load.raws_by_customer:
        record: Any = decode(topic, _TENANT, raw.key, raw.value)
        outcome = process(record, states[record.customer_id], ruleset, None)
        if outcome is not None:
            made += outcome.outputs
    seconds = _since(began)
    return _figure(_FROM_BYTES, work, seconds, map(encode, made))


def _batches(work: Work) -> Figure:
    stage, states = work.begin()
    held: dict[str, bytes | None] = {key: stage.encode(state) for key, state in states.items()}
    states.clear()
    _settle()
    began = _now()
    messages = in_batches(work, stage, held)
    seconds = _since(began)
    return _figure("a worker's batches", work, seconds, (message.value or b"" for message in messages))


def in_batches(work: Work, stage: CustomerStage, held: dict[str, bytes | None]) -> list[Message]:
    """The messages that come of the events; ``held`` are the bytes of all states."""
    topic, messages = TOPICS[TOPIC], list[Message]()
    for number in range(0, len(work.load.raws), _BATCH):
        raws = work.load.raws[number : number + _BATCH]
        decoded = decode_batch(stage, topic, _TENANT, raws)
        entry = RecordBatch(
            tenant=_TENANT,
            partition=0,
            sequence=number + 1,
            epoch=1,
            stage=stage.name,
            topic=topic.name,
            first_offset=raws[0].offset,
            last_offset=raws[-1].offset,
            ruleset=work.ruleset.hash,
            clock="record",
            now_ms=0,
        )
        result = run_records(stage, entry, topic, decoded, Opened(stage, held), work.ruleset)
        messages += result.messages
        held |= result.states
    return messages


def _figure(contender: str, work: Work, seconds: tuple[float, float], published: Iterable[bytes]) -> Figure:
    """``published``: the bytes of all that the events caused, decisions too."""
    whole = sorted(published)
    actions = sum(json.loads(value).get("type") == "action" for value in whole)
    return Figure(contender, len(work.load.raws), *seconds, actions, sha256(b"\n".join(whole)).hexdigest())


CONTENDERS: Final[dict[str, Callable[[Work], Figure]]] = {
    _ENGINE: _engine,
    _BY_TIME: _by_time,
    "decode": _decode,
    _FROM_BYTES: _decode_and_engine,
    "a worker's batches": _batches,
}
WAYS: Final = list(CONTENDERS)
