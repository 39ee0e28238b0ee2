"""What a mode found: printed as text, and kept as JSON for the page of all modes."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.work import machine
from tests.support.commit import commit

FIGURES: Final = "tests/benchmarks/figures"
PROMISED: Final[dict[str, tuple[str, ...]]] = {
    "engine, ten triggers with policy: events/s on a core": ("engine: ten triggers",),
    "drain against the aiokafka loop": ("drain: one worker / aiokafka loop",),
    "drain against stock Faust": ("drain: one worker / stock Faust",),
    "drain against Quix Streams": ("drain: one worker / Quix Streams",),
    "open loop at half the drain's rate: p99, p99.9": ("latency at half the drain's rate",),
    "200 triggers instead of 10: times the time of an event": (
        "200 triggers instead of 10",
        "engine: 200 triggers instead of 10",
    ),
    "Redis MB for a million customers": ("Redis MB for a million customers",),
    "SIGKILL to the first correct action": ("SIGKILL",),
}
"""The targets that were promised, and how the names of their figures begin."""
_WHOLE: Final = 1_000
_LOOK_S: Final = 0.5
_BEGAN: Final = time.monotonic()
"""About when the command began."""
PAGE: Final = "tests/benchmarks/FIGURES.md"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to reach, what is aimed at beyond that, and what it reached; ``lowest`` and ``highest`` are its
    rounds'. Without a value it is not met, and ``why`` says what became of it: void, not measured."""

    figure: str
    wanted: float
    aimed: float | None
    found: float | None
    at_most: bool = False
    lowest: float | None = None
    highest: float | None = None
    why: str = ""
    of: str = ""
    """What it was taken of, where the name does not say so."""

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.reach >= 1

    @property
    def reach(self) -> float:
        """How much of what is wanted was found; 1 and more is enough."""
        if self.found is None:
            return 0.0
        over, under = (self.wanted, self.found) if self.at_most else (self.found, self.wanted)
        return over / under if under else math.inf

    def __str__(self) -> str:
        return f"target: {self.figure} {self._bound(self.wanted)}: {self._found}, {self._said}"

    def row(self) -> str:
        """As a row of the page's table."""
        return self.row_of(self.figure)

    def row_of(self, name: str, note: str = "") -> str:
        """The same under another name."""
        cells = (name, self._bound(self.wanted), self._bound(self.aimed), f"{self._found}{note}", self._said)
        return f"| {' | '.join(cells)} |"

    @property
    def _found(self) -> str:
        if self.found is None:
            return self.why
        of = f", of {self.of}" if self.of else ""
        if self.lowest is None or self.highest is None:
            return f"{_told(self.found)}{of}"
        return f"{_told(self.found)} ({_told(self.lowest)} to {_told(self.highest)}){of}"

    @property
    def _said(self) -> str:
        return "met" if self.met else "not met"

    def _bound(self, value: float | None) -> str:
        return "" if value is None else f"{'<=' if self.at_most else '>='} {value:,g}"


def _told(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class Result:
    """``of`` says of what work, ``text`` is the table as it is read, ``figures`` every figure as JSON has it. One whose
    outputs are not the oracle's is ``void``."""

    of: str
    text: str
    figures: Any
    targets: Sequence[Target] = ()
    void: bool = False

    def tell(self, path: Path | None) -> None:
        """Prints it, and writes it to a file where one is named."""
        print(machine())
        print(self.of)
        print(self.text)
        for target in self.targets:
            print(target)
        if path is not None:
            body = {"of": self.of, "text": self.text, "targets": [asdict(target) for target in self.targets]}
            _write(path, {**body, "figures": self.figures, "void": self.void})


def tell_void(path: Path, why: str) -> None:
    """A run that ended before it had figures, or whose outputs are not the oracle's: it is on the page, and void."""
    _write(path, {"of": "void", "text": why, "targets": [], "figures": None, "void": True})


def _write(path: Path, body: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "command": "python -m tests.benchmarks " + shlex.join(sys.argv[1:]),
        "seconds": time.monotonic() - _BEGAN,
        "before": before(),
        "machine": machine(),
        "commit": commit([FIGURES, PAGE]),
        "ended": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    path.write_text(json.dumps({**head, **body}, indent=1) + "\n", "utf-8")


@cache
def before() -> Mapping[str, float]:
    """How busy the machine is when this is first asked, which is before a mode begins: the share of its processors'
    time in half a second, and the load of the last minute, which what ran before is part of (Linux)."""
    idle, total = _idle()
    time.sleep(_LOOK_S)
    idle_then, total_then = _idle()
    return {"busy": 1 - (idle_then - idle) / max(1, total_then - total), "load": os.getloadavg()[0]}


def _idle() -> tuple[int, int]:
    """Ticks in which processors had nothing to do, or waited for a disk, and all ticks."""
    ticks = [int(field) for field in Path("/proc/stat").read_text("utf-8").split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def explanations(text: str) -> dict[str, str]:
    """What is said of figures by hand: of each heading ``## FIGURE`` the text below it."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return {heading.strip(): body.strip() for heading, body in zip(parts[::2], parts[1::2], strict=True)}


def targets_of(results: Mapping[str, Mapping[str, Any]]) -> list[Target]:
    """Those of all modes."""
    return [Target(**target) for result in results.values() for target in result["targets"]]


def apart(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why the figures are not of one run: empty where one commit, as it is committed, was measured on one machine."""
    commits = {result["commit"] for result in results.values()}
    machines = {result["machine"] for result in results.values()}
    why = [f"{len(found)} {what}" for found, what in ((commits, "commits"), (machines, "machines")) if len(found) > 1]
    return [*why, *(["changes that are not committed"] if any(" " in commit for commit in commits) else [])]


def minutes_of(results: Mapping[str, Mapping[str, Any]]) -> float:
    """How long all modes took together."""
    return sum(result.get("seconds", 0.0) for result in results.values()) / 60


def page(
    results: Mapping[str, Mapping[str, Any]],
    pictures: Sequence[str] = (),
    *,
    command: str = "make bench",
    explained: Mapping[str, str] | None = None,
    rows: Mapping[str, tuple[str, ...]] = PROMISED,
) -> str:
    """All modes on one page of Markdown: the targets first, then why those that are not met are not.

    ``results`` are read back from their files, by name; ``pictures`` are links from the page, each below the mode whose
    name it begins with. ``explained`` is what ``explanations`` found. ``rows`` are the targets that were promised: each
    has one row, that of its figure which is farthest from what is wanted.
    """
    targets = targets_of(results)
    missed = [target.figure for target in targets if not target.met]
    void = [name for name, result in results.items() if result.get("void")]
    left = [picture for picture in pictures if not any(_of(name, picture) for name in results)]
    worst = {
        row: min((target for target in targets if target.figure.startswith(begun)), key=_reach, default=None)
        for row, begun in rows.items()
    }
    others = [target for target in targets if target not in worst.values()]
    split = apart(results)
    lines = [
        "# Figures",
        "",
        f"Written by `{command}`, whose modes took {minutes_of(results):.0f} minutes.",
        "Machines drift: what is compared was measured in one run, in turns.",
        "",
        *(f"- Machine: {facts}" for facts in dict.fromkeys(result["machine"] for result in results.values())),
        *(f"- Commit: {found}" for found in dict.fromkeys(result["commit"] for result in results.values())),
        f"- Ended: {max(result['ended'] for result in results.values())}",
        "- Processors busy before each mode, and the load of the last minute, which the mode before is part of: "
        + "; ".join(f"{name} {_busy(result.get('before'))}" for name, result in results.items()),
        "",
        *([f"**Not one run**: {', '.join(split)}.", ""] if split else []),
        f"{sum(target is not None and target.met for target in worst.values())} of {len(worst)} targets are met"
        + (f", {sum(target.met for target in others)} of {len(others)} figures beside them." if others else ".")
        + (f" **Void: {', '.join(void)}**." if void else ""),
        "",
        "| target | wanted | aimed at | measured | |",
        "|---|---|---|---|---|",
        *(_row(row, target) for row, target in worst.items()),
    ]
    if others:
        lines += ["", "Beside them:", "", "| figure | wanted | aimed at | measured | |", "|---|---|---|---|---|"]
        lines += [target.row() for target in others]
    if missed:
        lines += ["", "## What is not met, and why"]
        for figure in missed:
            lines += ["", f"**{figure}**: {(explained or {}).get(figure, 'not explained yet.')}"]
    for name, result in results.items():
        when = (
            f"Commit {result['commit']}, ended {result['ended']}, took {result.get('seconds', 0.0) / 60:.1f} minutes."
        )
        lines += ["", f"## `{result['command']}`", "", when, "", result["of"], "", "```text", result["text"], "```"]
        for picture in pictures:
            if _of(name, picture):
                lines += ["", _shown(picture)]
    for picture in left:
        lines += ["", _shown(picture)]
    return "\n".join([*lines, ""])


def _busy(before: Mapping[str, float] | None) -> str:
    return "not noted" if before is None else f"{before['busy']:.0%}, {before['load']:.1f}"


def _reach(target: Target) -> float:
    return target.reach


def _row(row: str, target: Target | None) -> str:
    return f"| {row} | | | not measured | not met |" if target is None else target.row_of(row, f"; {target.figure}")


def _of(name: str, picture: str) -> bool:
    return Path(picture).stem.startswith(f"{name}-")


def _shown(picture: str) -> str:
    return f"![{Path(picture).stem}]({picture})"
