"""The command ``backtest`` over a file of events, as an author runs it: all cores, ten triggers with their policy.

Timed from start to end of the command, the import of its modules included; its memory is the peak of any process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from streams.event_file import format_event
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.rounds import add_arguments as add_rounds
from tests.benchmarks.work import RULES, holdings, profiles, transactions

ABOUT: Final = "the command backtest over a file, all cores, ten triggers with the short policy"
ROOT: Final = Path(__file__).parents[2]
_MILLION: Final = 1_000_000
_CORES: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--events", type=int, default=_MILLION, help="events in the file, profiles and holdings too")
    parser.add_argument("--customers", type=int, default=50_000)
    add_rounds(parser)
    parser.add_argument("--jobs", type=int, nargs="*", default=[len(os.sched_getaffinity(0)), 1], help="processes")
    parser.add_argument("--rules", type=Path, default=RULES, help="a folder of triggers")
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Writes the file, runs the rounds and prints the table. Every run must print the same report."""
    pace = Rounds(given)
    with tempfile.TemporaryDirectory(prefix="bank-triggers-bench-") as folder:
        path = Path(folder) / "events.jsonl"
        _write(path, given.events, given.customers)
        rounds: list[dict[int, float]] = []
        reports: set[str] = set()
        for _ in pace:
            seconds: dict[int, float] = {}
            for jobs in given.jobs:
                seconds[jobs], report = _backtest(path, given.rules, jobs)
                reports.add(report)
            rounds.append(seconds)
            print(", ".join(f"{jobs} jobs {took:.1f} s" for jobs, took in seconds.items()), flush=True)
        if len(reports) != 1:
            raise SystemExit("void: the runs differ in their reports")
        size = path.stat().st_size
    report = json.loads(reports.pop())
    events = sum(report["input"]["events"].values())
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    lines = [f"{'':10}{'seconds':>10}{'range':>16}{'events/s':>12}"]
    medians = {}
    for jobs in given.jobs:
        took = sorted(seconds[jobs] for seconds in rounds)
        middle = medians[jobs] = statistics.median(took)
        span = f"{took[0]:.1f}-{took[-1]:.1f}"
        lines.append(f"{jobs:>4} jobs {middle:>10.1f}{span:>16}{events / middle:>12,.0f}")
    found = Result(
        of=f"{events:,} events ({size / 1e6:,.0f} MB) of {report['input']['customers']:,} customers, "
        f"{len(report['triggers'])} triggers, short policy, {report['actions']['total']:,} actions, {pace}; "
        f"at most {memory:,.0f} MiB in a process",
        text="\n".join(lines),
        figures={"events": events, "rounds": rounds, "memory_mib": memory},
        targets=[Target("backtest of a million events on two cores, s", 20, None, medians[_CORES], at_most=True)]
        if given.events == _MILLION and _CORES in medians
        else [],
    )
    found.tell(given.json)


def _write(path: Path, events: int, customers: int) -> None:
    known = [*profiles(customers), *holdings(customers)]
    with path.open("w", encoding="utf-8") as file:
        for source in (known, transactions(events - len(known), customers)):
            for event in source:
                file.write(format_event(event.topic, (event.key or b"").decode(), event.value.decode()))


def _backtest(path: Path, rules: Path, jobs: int) -> tuple[float, str]:
    command: list[Any] = [sys.executable, "-m", "streams", "backtest", rules, "-e", path, "--json", "--jobs", jobs]
    began = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True, cwd=ROOT, text=True)
    return time.perf_counter() - began, done.stdout
