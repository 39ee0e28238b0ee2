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

ABOUT: Final = "check and test of many trigger files, as commands"
_ROOT: Final = Path(__file__).parents[2]
_HUNDRED: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this mode."""
    parser.add_argument("--files", type=int, default=_HUNDRED, help="how many trigger files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every figure to this file")


def run(given: argparse.Namespace) -> None:
    """Tells the seconds of each command, medians and ranges, and of both together."""
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules"
        rules.mkdir()
        write_copies(rules, given.files)
        found: dict[str, list[float]] = {"check": [], "test": []}
        processor: dict[str, list[float]] = {"check": [], "test": []}
        said = {}
        bytecode = Path(folder) / "bytecode"
        for command in found:
            _timed(command, rules, bytecode)
        for _ in range(given.rounds):
            for command in found:
                seconds, used, said[command] = _timed(command, rules, bytecode)
                found[command].append(seconds)
                processor[command].append(used)
    both = [sum(pair) for pair in zip(*found.values(), strict=True)]
    lines = [
        f"{command:6} {_shown(seconds)}, processor {_shown(processor[command])}: {said[command]}"
        for command, seconds in found.items()
    ]
    made = Result(
        of=f"{given.files} trigger files, {given.rounds} rounds",
        text="\n".join([*lines, f"both   {_shown(both)}"]),
        figures={"seconds": found, "processor_seconds": processor},
        targets=[Target("check and test of 100 trigger files, s", 3, None, statistics.median(both), at_most=True)]
        if given.files == _HUNDRED
        else [],
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


def _shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
