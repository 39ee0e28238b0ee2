"""What an author waits for: ``check`` and ``test`` over a folder of trigger files, each typed as a command.

The files are copies of the triggers that ship, each under an id of its own, with the files beside them. Before what is
measured each command runs once, so that Python has its modules' bytecode at hand, as after an author's first try.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from streams.commands.library import SHIPPED
from tests.benchmarks.results import Result, Target
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.rounds import add_arguments as add_rounds

ABOUT: Final = "check and test of many trigger files, as commands"
_ROOT: Final = Path(__file__).parents[2]
_HUNDRED: Final = 100
_CASES: Final = 500
_FEWER: Final = "test, fewer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this mode."""
    parser.add_argument("--files", type=int, default=_HUNDRED, help="how many trigger files")
    add_rounds(parser)
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Tells the seconds of each command, medians and ranges, and of both together."""
    pace = Rounds(given)
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules"
        rules.mkdir()
        write_copies(rules, given.files)
        bytecode = Path(folder) / "bytecode"
        cases, files = _passed(_timed("test", rules, bytecode)[2]), given.files
        fewer = Path(folder) / "fewer"
        fewer.mkdir()
        files = min(files, -(-files * _CASES // cases))
        write_copies(fewer, files)
        asked = {"check": ("check", rules), "test": ("test", rules), _FEWER: ("test", fewer)}
        found: dict[str, list[float]] = {name: [] for name in asked}
        processor: dict[str, list[float]] = {name: [] for name in asked}
        said = {}
        for command, where in asked.values():
            _timed(command, where, bytecode)
        for _ in pace:
            for name, (command, where) in asked.items():
                seconds, used, said[name] = _timed(command, where, bytecode)
                found[name].append(seconds)
                processor[name].append(used)
    both = [sum(pair) for pair in zip(found["check"], found["test"], strict=True)]
    lines = [
        f"{name:12} {_shown(seconds)}, processor {_shown(processor[name])}: {said[name]}"
        for name, seconds in found.items()
    ]
    targets = []
    if given.files == _HUNDRED:
        name = "check and test of 100 trigger files, s"
        targets.append(Target(name, 3, None, statistics.median(both), at_most=True))
    if _passed(said[_FEWER]) >= _CASES:
        name = "test of 500 cases, s"
        targets.append(Target(name, 5, None, statistics.median(found[_FEWER]), at_most=True))
    made = Result(
        of=f"{given.files} trigger files, {pace}",
        text="\n".join([*lines, f"{'check, test':12} {_shown(both)}"]),
        figures={"seconds": found, "processor_seconds": processor},
        targets=targets,
    )
    made.tell(given.json)


def write_copies(folder: Path, count: int) -> None:
    """So many trigger files, and what stands beside the triggers that ship."""
    shipped = [path for path in sorted(SHIPPED.rglob("*.yaml")) if path.parent != SHIPPED]
    for number, path in enumerate(islice(cycle(shipped), count)):
        name = f"{path.stem}_{number}"
        (folder / f"{name}.yaml").write_text(re.sub(rf"(trigger: ){path.stem}\b", rf"\g<1>{name}", path.read_text()))
    for path in SHIPPED.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())


def _timed(command: str, rules: Path, bytecode: Path) -> tuple[float, float, str]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "streams", command, str(rules)],
        cwd=_ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(bytecode),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [line for line in done.stdout.splitlines() if " passed" in line or "no errors" in line]
    if done.returncode or not lines:
        raise SystemExit(f"{command} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, lines[-1]


def _passed(said: str) -> int:
    """How many cases ``test`` says that passed."""
    return int(said.split()[0].replace(",", ""))


def _shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
