"""Where the time goes: a worker that does the drain's own job, one that drains under the full policy, one that is sent
half as many as it can drain, and the engine over events in memory, sampled by py-spy.

A sample is the stack of a thread that runs. It belongs to the layer of its innermost function that has one, so that a
helper counts for who called it. The kernel tells the processor time of each thread, its samples say for what: so a
thread that waits for a processor counts no more than it ran. py-spy runs in an environment of its own and sees Python
only: of threads without Python, such as librdkafka's, there is the time alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from streams.embedded_redis import EmbeddedRedis
from tests.benchmarks.engine import in_batches
from tests.benchmarks.latency import at_pace, hold, time_of
from tests.benchmarks.peers.environments import environment_of
from tests.benchmarks.results import Result
from tests.benchmarks.rule_sets import write_rules
from tests.benchmarks.watched import time_drain
from tests.benchmarks.work import RULES, SURROUNDINGS, holdings, profiles, transactions
from tests.support.kafka_broker import KafkaBroker
from tests.support.system import System

ABOUT: Final = "where the time goes, by layer: a draining worker and the engine, sampled by py-spy"
ROOT: Final = Path(__file__).parents[2]
_PINS: Final = Path(__file__).parent / "tools" / "py-spy.txt"
_RATE: Final = 250
_SHARE: Final = 0.5
_HELD_S: Final = 8.0
_WHY: Final = (
    "py-spy: it samples a worker from outside and tells functions of Python, those that are generated, too, by thread; "
    "perf sees one loop of the interpreter before Python 3.12, and memray would measure a worker that it slows down: "
    "what is kept is counted (growth: memory by the kernel, bytes of the cache and of a state's sections)"
)
_ENDLESS: Final = 1 << 40
_LONGEST_S: Final = 300
_MOST: Final = 15
_DRAIN: Final = "drain's own job"
_FULL: Final = ("worker, draining", "worker, half the rate")
_ONLY: Final = "thread (0): the only one"
_REST: Final = "event loop and all else"

LAYERS: Final[tuple[tuple[str, str], ...]] = (
    ("records decoded", r"schemas/(decode|construct|transactions?)\.py|<recogniser of |\(pydantic|decode_batch "),
    ("states decoded", r"\bdecode_state |CustomerStage\.decode "),
    ("states encoded", r"\bencode_state |CustomerStage\.encode "),
    ("states compressed", r"streams/state_compression\.py"),
    ("outputs encoded", r"schemas/encode\.py|\b_message \(triggers/engine/batch|\b_add \(triggers/engine/batch"),
    ("engine: usual way", r"\(<usual>"),
    ("engine: candidates, gate, ladder", r"triggers/policy/|engine/(journeys|together|ladder|ranking|decisions)\.py"),
    ("engine: candidates, gate, ladder", r"engine/(outputs|offers|handoff|texts|contact_log|withdrawal|reach)\.py"),
    ("engine: timers", r"engine/(timers|schedule)\.py|CustomerStage\.(_run_\w+|run_timers|take_due_change) "),
    ("engine: general way", r"triggers/engine/(?!batch|customer|codec)\w+\.py|\(<\w+>|triggers/language/"),
    ("engine: around each record", r"triggers/engine/(batch|customer|codec)\.py"),
    ("Redis", r"streams/(store_redis|redis_client|redis_packing)\.py|[( ]redis/|hiredis"),
    ("published to Kafka", r"streams/(publisher|journal)\.py|aiokafka/producer/|confluent_kafka"),
    ("fetched from Kafka", r"streams/(driver|kafka_requests)\.py|aiokafka/|faust/transport/|[( ]kafka/"),
    ("worker: batches, cache, metrics", r"streams/\w+\.py"),
    ("event loop of the reading thread", r"mode/threads\.py"),
)
"""A layer's name and what its functions' names and places are like; the first that fits. A layer may stand twice."""
_RULES: Final = tuple((name, re.compile(pattern)) for name, pattern in LAYERS)
_ENTRY: Final = re.compile(r"streams/(__main__|cli|worker|app)\.py|streams/commands/|run_forever|Owner\._main ")
"""What every stack of a worker has at its root."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Microseconds of processor time for an event by layer and by innermost function; ``native_us``: other threads."""

    of: str
    samples: int
    layers: Mapping[str, float]
    functions: Mapping[str, float]
    native_us: float = 0.0

    @property
    def cpu_us(self) -> float:
        """Of all layers."""
        return sum(self.layers.values())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=120_000, help="transactions, of the worker and of the engine")
    parser.add_argument("--customers", type=int, default=12_000)
    parser.add_argument(
        "--drain",
        type=int,
        nargs=2,
        default=[120_000, 12_000],
        metavar=("EVENTS", "CUSTOMERS"),
        help="of the drain's own job, under its short policy",
    )
    parser.add_argument("--triggers", type=int, nargs="*", default=[10, 200], help="of the engine, one profile each")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Samples a worker, then the engine, and prints the tables."""
    spy = environment_of(_PINS) / "bin" / "py-spy"
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as scratch:
        folder = Path(scratch)
        with KafkaBroker(folder / "kafka") as broker, EmbeddedRedis(folder / "redis", appendonly=True) as redis:
            places = broker.bootstrap, redis.url, folder
            found = of_worker(spy, *places, RULES, *given.drain, names=[_DRAIN])
            full = write_rules(folder / "rules")
            found += of_worker(spy, *places, full, given.events, given.customers, names=_FULL)
        found += [of_engine(spy, folder, given.events, given.customers, count) for count in given.triggers]
    pinned = _PINS.with_suffix(".in").read_text("utf-8").strip().replace("==", " ")
    made = Result(
        of=f"{_DRAIN}: {given.drain[0]:,} transactions of {given.drain[1]:,} customers, short policy, as there\n"
        f"otherwise {given.events:,} transactions of {given.customers:,} customers, full policy; "
        f"at {_SHARE:.0%} of the drain's rate {_HELD_S:g} s of more of theirs\n{SURROUNDINGS}\n"
        f"{pinned}, {_RATE} samples a second; {_WHY}",
        text=f"{table(found)}\n\n{hottest(found)}",
        figures=[asdict(profile) for profile in found],
    )
    made.tell(given.json)


def of_worker(
    spy: Path,
    kafka: str,
    redis_url: str,
    folder: Path,
    rules: Path,
    events: int,
    customers: int,
    *,
    names: Sequence[str],
) -> list[Profile]:
    """One worker that drains a backlog, from its first batch to its last; by a second name events at half of that rate.

    The backlog comes when it is sampled already, and stands still: what it does for it is all seen, and all counted.
    """
    with System(kafka, redis_url, folder, rules=rules, name="profile", session_timeout_ms=6_000) as system:
        system.create_topics()
        system.publish([*profiles(customers), *holdings(customers)])
        system.start_worker()
        system.wait_until_drained(300)
        system.stop_workers()
        flow = transactions(_ENDLESS, customers, of=events)
        backlog = list(islice(flow, events))
        worker = system.start_worker()
        worker.wait_for_partitions()
        raw = [folder / f"{system.name}-{number}.raw" for number in range(len(names))]
        with _recording(spy, raw[0], worker.process.pid) as spent:
            worker.pause()
            system.publish(backlog)
            spent.begin()
            worker.resume()
            drained = time_drain(system, redis_url, worker, events)
        used = [spent.each(drained.events)]
        system.wait_until_drained(300)
        if len(names) > 1:
            rate = drained.rate * _SHARE
            paced = at_pace(islice(flow, int(rate * _HELD_S)), time_of(backlog[-1]), rate)
            with _recording(spy, raw[1], worker.process.pid) as spent:
                hold(system, worker, redis_url, _SHARE, rate, paced, events + len(paced))
            used.append(spent.each(len(paced)))
            system.wait_until_drained(300)
        system.stop_workers()
    return [_profile(name, _stacks(file), each) for name, file, each in zip(names, raw, used, strict=True)]


class _Spent:
    """The processor time of a process's threads from when it is made, or ``begin``, to ``end``."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._after: dict[int, float] = {}
        self.begin()

    def begin(self) -> None:
        """Now."""
        self._before = _of_threads(self._pid)

    def end(self) -> None:
        """Now."""
        self._after = _of_threads(self._pid)

    def each(self, events: int) -> dict[int, float]:
        """Seconds an event, by the threads' numbers."""
        return {number: (spent - self._before.get(number, 0.0)) / events for number, spent in self._after.items()}


@contextmanager
def _recording(spy: Path, stacks: Path, pid: int) -> Iterator[_Spent]:
    """Samples a process until the end of the block, and tells what its threads took meanwhile."""
    command = [spy, "record", "--pid", pid, "--rate", _RATE, "--duration", _LONGEST_S]
    command += ["--threads", *_raw(stacks)]
    recorder = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(0.3)  # It says nothing when it has begun; what it misses is missing at the beginning.
    spent = _Spent(pid)
    try:
        yield spent
        spent.end()
    finally:
        recorder.send_signal(signal.SIGINT)
        said, _ = recorder.communicate(timeout=60)
    if not stacks.exists():
        raise SystemExit(f"py-spy could not sample the worker; it may have to be run as root: {said.decode()}")


def of_engine(spy: Path, folder: Path, events: int, customers: int, triggers: int) -> Profile:
    """The engine as a worker runs it, without broker and store."""
    stacks, figures = folder / f"engine-{triggers}.raw", folder / f"engine-{triggers}.json"
    mode = ["-m", "tests.benchmarks", "engine", "--rounds", 1, "--events", events, "--customers", customers]
    asked = [sys.executable, *mode, "--triggers", triggers, "--only", "a worker's batches", "--json", figures]
    command = [spy, "record", "--rate", _RATE, *_raw(stacks), "--", *asked]
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode or not stacks.exists():
        raise SystemExit(f"py-spy could not sample the engine: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    ((figure,),) = json.loads(figures.read_text("utf-8"))["figures"][str(triggers)]
    inside = [(stack, count) for stack, count in _stacks(stacks) if f"{in_batches.__name__} (" in stack]
    used = figure["cpu_seconds"] / figure["events"]
    return _profile(f"engine, {triggers}", [(f"{_ONLY};{stack}", count) for stack, count in inside], {0: used})


def _raw(stacks: Path) -> list[Any]:
    return ["--format", "raw", "--output", stacks]


def _stacks(file: Path) -> list[tuple[str, int]]:
    """Each stack, outermost first, and how often it was seen."""
    lines = (line.rpartition(" ") for line in file.read_text("utf-8").splitlines())
    return [(stack, int(count)) for stack, _, count in lines]


def _profile(of: str, stacks: Sequence[tuple[str, int]], used: Mapping[int, float]) -> Profile:
    """Of stacks whose outermost frame is the thread; ``used`` is each thread's processor time, seconds an event."""
    samples = Counter[int]()
    for stack, count in stacks:
        samples[_thread_of(stack)] += count
    layers, functions = Counter[str](), Counter[str]()
    for stack, count in stacks:
        thread, frames = _thread_of(stack), stack.split(";")[1:]
        spent = used.get(thread, 0.0) * 1e6 * count / samples[thread]
        layers[layer_of(frames)] += spent  # type: ignore[assignment]  # a counter may count in parts
        functions[re.sub(r":\d+\)$", ")", frames[-1])] += spent  # type: ignore[assignment]
    if not any(layers.values()):
        raise SystemExit(f"{of}: py-spy took no sample of it")
    native = sum(seconds for thread, seconds in used.items() if thread not in samples) * 1e6
    return Profile(of, sum(samples.values()), dict(layers), dict(functions), native)


def _thread_of(stack: str) -> int:
    found = re.match(r"thread \((\d+)\)", stack)
    if found is None:
        raise SystemExit(f"py-spy tells no number of a thread: {stack[:200]}")
    return int(found[1])


def layer_of(frames: Sequence[str]) -> str:
    """The layer of a stack, outermost frame first: that of the innermost function that has one."""
    for frame in reversed(frames):
        if _ENTRY.search(frame):
            break
        for name, pattern in _RULES:
            if pattern.search(frame):
                return name
    return _REST


def table(profiles: Sequence[Profile]) -> str:
    """Shares and microseconds of an event, a row for each layer."""
    lines = [f"{'':34}" + "".join(f"{profile.of:>22}" for profile in profiles)]
    lines.append(f"{'':34}" + f"{'share':>11}{'us/event':>11}" * len(profiles))
    for name in [*dict.fromkeys(name for name, _ in LAYERS), _REST]:
        if any(profile.layers.get(name) for profile in profiles):
            cells = [_cells(profile.layers.get(name, 0.0), profile.cpu_us + profile.native_us) for profile in profiles]
            lines.append(f"{name:34}{''.join(cells)}")
    native = "".join(_cells(profile.native_us, profile.cpu_us + profile.native_us) for profile in profiles)
    lines.append(f"{'threads without Python':34}{native}")
    lines.append(f"{'all':34}" + "".join(f"{'':11}{p.cpu_us + p.native_us:>11.1f}" for p in profiles))
    lines.append(f"{'samples':34}" + "".join(f"{profile.samples:>22,}" for profile in profiles))
    return "\n".join(lines)


def _cells(spent: float, of: float) -> str:
    return f"{spent / of:>11.1%}{spent:>11.1f}"


def hottest(profiles: Sequence[Profile]) -> str:
    """Of each profile the functions that were seen innermost most often."""
    lines = []
    for profile in profiles:
        lines.append(f"{profile.of}: functions by their own time")
        most = sorted(profile.functions.items(), key=lambda pair: -pair[1])[:_MOST]
        lines += [f"  {spent / profile.cpu_us:>6.1%}{spent:>7.1f} us  {name}" for name, spent in most]
    return "\n".join(lines)


def _of_threads(pid: int) -> dict[int, float]:
    """Processor seconds of a process's threads, by their numbers (Linux)."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text("utf-8").rpartition(")")[2].split()
        found[int(task.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found
