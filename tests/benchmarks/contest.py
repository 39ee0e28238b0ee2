"""Who takes part in the drain benchmark beside the worker, what each promises, and whether its actions count."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.benchmarks.peers.environments import (
    HERE,
    PeerUnavailable,
    java_with_streams,
    last_line,
    own_python,
    python_with,
)
from tests.benchmarks.peers.task import Task
from tests.support.kafka_broker import consume_all, create_topics

WORKER: Final = "one worker"
CEILING: Final = "aiokafka loop"
STOCK: Final = "stock Faust"
QUIX: Final = "Quix Streams"
_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Contender:
    """One that drains the same topics. ``command`` says how it is started, and sets it up where it is not yet.

    ``publishes`` is what it must have published: nothing is compared of a loop without rules. ``state`` and
    ``delivery`` say what it promises of what it keeps and of what it sends. ``guarantee`` is the library's own word.
    One that is ``slow`` takes part in every second round.
    """

    name: str
    script: str
    command: Callable[[], Sequence[str]]
    state: str
    delivery: str
    guarantee: str = ""
    has_rules: bool = True
    extra_topics: Sequence[str] = ()
    slow: bool = False


PEERS: Final[tuple[Contender, ...]] = (
    Contender(
        CEILING,
        "aiokafka_loop.py",
        own_python,
        "none",
        "no rules: it decodes, and publishes as many messages of the same size",
        has_rules=False,
    ),
    Contender(
        "confluent-kafka loop",
        "confluent_loop.py",
        own_python,
        "none",
        "no rules: it decodes, and publishes as many messages of the same size",
        has_rules=False,
    ),
    Contender(
        STOCK,
        "stock_faust.py",
        own_python,
        "a table in memory, its changelog sent as it goes; timers in memory",
        "at least once at best: states, outputs and positions are not of one piece, a failed send is only logged",
        extra_topics=("{group}-states-changelog",),
        slow=True,
    ),
    Contender(
        QUIX,
        "quix.py",
        lambda: python_with("quix"),
        "RocksDB and changelog, each 5 s; timers in memory",
        "at least once: what was sent since the last checkpoint is sent again",
    ),
    Contender(
        "Quix, exactly once",
        "quix.py",
        lambda: python_with("quix"),
        "RocksDB and changelog, each 5 s; timers in memory",
        "exactly once by Kafka's transactions: an action is visible up to 5 s later",
        guarantee="exactly-once",
    ),
    Contender(
        "Bytewax",
        "bytewax_flow.py",
        lambda: python_with("bytewax"),
        "SQLite, each 10 s; timers of the silent run with their next record or at the end",
        "at least once: what was sent since the last epoch is sent again",
    ),
    Contender(
        "Kafka Streams",
        "KafkaStreamsPeer.java",
        java_with_streams,
        "RocksDB and changelog, each 30 s; timers too; a heap of at most 1 GiB",
        "at least once: what was sent since the last commit is sent again",
        slow=True,
    ),
    Contender(
        "Kafka Streams, e. once",
        "KafkaStreamsPeer.java",
        java_with_streams,
        "RocksDB and changelog, each 0.1 s; timers too; a heap of at most 1 GiB",
        "exactly once by Kafka's transactions: an action is visible when its transaction ends",
        guarantee="exactly_once_v2",
        slow=True,
    ),
)
WORKER_STATE: Final = "Redis, one atomic commit a batch, fenced by epochs; timers too; synced each second (its default)"
WORKER_DELIVERY: Final = "a batch that is run again sends the same ids; journalled, so that the oracle can repeat it"


@dataclass(frozen=True, slots=True)
class Figure:
    """One contender in one round. ``cpu_seconds`` are its process's own, ``memory_mib`` is its peak.

    ``void`` says why its figures do not count: its actions are not the oracle's, it failed, or it could not be set up.
    """

    contender: str
    events: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mib: float | None = None
    actions: int | None = None
    void: str = ""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds if self.seconds else 0.0

    @property
    def cpu(self) -> float:
        """Microseconds of processor time for an event: steadier than the rate where the machine is shared."""
        return self.cpu_seconds / self.events * 1e6 if self.events else 0.0


def run_peer(contender: Contender, task: Task, expected: Collection[str]) -> Figure:
    """Sets a peer up, runs it on a task and compares the ids of what it published with ``expected``."""
    try:
        command = [*contender.command(), str(HERE / contender.script)]
    except PeerUnavailable as error:
        return Figure(contender.name, void=f"not set up: {error}")
    group = task.out.strip(".")
    extra = [topic.format(group=group) for topic in contender.extra_topics]
    create_topics(task.bootstrap, [f"{task.out}actions", f"{task.out}decisions", *extra], task.partitions)
    command.append(json.dumps(task._replace(guarantee=contender.guarantee)._asdict()))
    # A peer finds its own libraries and what stands beside its script, nothing of this project.
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=alone)
    except subprocess.TimeoutExpired:
        return Figure(contender.name, void=f"void: not at the end within {_SECONDS:.0f} s")
    answer = answer_of(done.stdout)
    if done.returncode or answer is None:
        return Figure(contender.name, void=f"void: it failed: {last_line(done.stderr or done.stdout)}")
    figure = Figure(contender.name, answer["events"], answer["seconds"], answer["cpu"], answer["memory_mib"])
    measured, wanted = figure.events, task.events - task.warm
    if not contender.has_rules:
        return replace(figure, void=judged((), (), measured, wanted))
    ids = published_ids(task)
    actions = sum(1 for kind, _ in ids if kind == "action")
    return replace(figure, actions=actions, void=judged({name for _, name in ids}, expected, measured, wanted))


def answer_of(output: str) -> dict[str, Any] | None:
    """The answer among whatever else a library writes to its standard output; the last line that is one."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            answer: dict[str, Any] = json.loads(line)
            return answer
    return None


def published_ids(task: Task) -> list[tuple[str, str]]:
    """The kind and the id of each action and decision that a peer published; of transactions only what they ended."""
    return [
        (kind, json.loads(record.value or b"{}")[f"{kind}_id"])
        for kind in ("action", "decision")
        for record in consume_all(task.bootstrap, f"{task.out}{kind}s", committed_only=True)
    ]


def difference(found: Collection[str], expected: Collection[str]) -> str:
    """Why what was found does not count: the first id, in their order, that is on one side only. Empty: it counts."""
    missing, extra = set(expected) - set(found), set(found) - set(expected)
    if not missing and not extra:
        return ""
    first = min(missing | extra)
    which = "is missing" if first in missing else "should not be there"
    return f"void: id {first} {which} ({len(missing)} missing, {len(extra)} too many)"


def judged(found: Collection[str], expected: Collection[str], measured: int, wanted: int) -> str:
    """Why a contender's figures do not count: other ids than the engine's, or few events measured. Empty: they do."""
    if measured < wanted // 2:
        few = f"void: only {measured:,} of {wanted:,} were left when the clock started; take more events"
        return difference(found, expected) or few
    return difference(found, expected)
