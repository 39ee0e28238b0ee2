"""What a mode found: printed as text, and kept as JSON for the page of all modes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.work import machine

ROOT: Final = Path(__file__).parents[2]
FIGURES: Final = "tests/benchmarks/figures"
_WHOLE: Final = 1_000
PAGE: Final = "tests/benchmarks/FIGURES.md"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to reach, what is aimed at beyond that, and what it reached."""

    figure: str
    wanted: float
    aimed: float | None
    found: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def __str__(self) -> str:
        return f"target: {self.figure} {self._bound(self.wanted)}: {self._found}, {self._said}"

    def row(self) -> str:
        """As a row of the page's table."""
        cells = (self.figure, self._bound(self.wanted), self._bound(self.aimed), f"{self._found}", self._said)
        return f"| {' | '.join(cells)} |"

    @property
    def _found(self) -> str:
        return f"{self.found:,.0f}" if self.found >= _WHOLE else f"{self.found:.4g}"

    @property
    def _said(self) -> str:
        return "met" if self.met else "not met"

    def _bound(self, value: float | None) -> str:
        return "" if value is None else f"{'<=' if self.at_most else '>='} {value:,g}"


@dataclass(frozen=True, slots=True)
class Result:
    """``of`` says of what work, ``text`` is the table as it is read, ``figures`` every figure as JSON has it."""

    of: str
    text: str
    figures: Any
    targets: Sequence[Target] = ()

    def tell(self, path: Path | None) -> None:
        """Prints it, and writes it to a file where one is named."""
        print(machine())
        print(self.of)
        print(self.text)
        for target in self.targets:
            print(target)
        if path is not None:
            body = {"of": self.of, "text": self.text, "targets": [asdict(target) for target in self.targets]}
            _write(path, {**body, "figures": self.figures})


def tell_void(path: Path, why: str) -> None:
    """A run that ended before it had figures, or whose outputs are not the oracle's: it is on the page, and void."""
    _write(path, {"of": "void", "text": why, "targets": [], "figures": None, "void": True})


def _write(path: Path, body: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "command": "python -m tests.benchmarks " + shlex.join(sys.argv[1:]),
        "machine": machine(),
        "commit": commit(),
        "ended": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    path.write_text(json.dumps({**head, **body}, indent=1) + "\n", "utf-8")


def commit() -> str:
    """What was measured, and whether its files were as committed; the figures themselves are left out of that."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        mine = ["--", ".", f":!{FIGURES}", f":!{PAGE}"]
        changed = _git("status", "--porcelain", "--untracked-files=no", *mine)
    except (OSError, subprocess.CalledProcessError):
        return "not in a git repository"
    return f"{head}, with changes that are not committed" if changed else head


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def explanations(text: str) -> dict[str, str]:
    """What is said of figures by hand: of each heading ``## FIGURE`` the text below it."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return {heading.strip(): body.strip() for heading, body in zip(parts[::2], parts[1::2], strict=True)}


def page(
    results: Mapping[str, Mapping[str, Any]],
    pictures: Sequence[str] = (),
    *,
    command: str = "make bench",
    explained: Mapping[str, str] | None = None,
) -> str:
    """All modes on one page of Markdown: the targets first, then why those that are not met are not.

    ``results`` are read back from their files, by name; ``pictures`` are links from the page, each below the mode whose
    name it begins with. ``explained`` is what ``explanations`` found.
    """
    targets = [Target(**target) for result in results.values() for target in result["targets"]]
    missed = [target.figure for target in targets if not target.met]
    void = [name for name, result in results.items() if result.get("void")]
    left = [picture for picture in pictures if not any(_of(name, picture) for name in results)]
    lines = [
        "# Figures",
        "",
        f"Written by `{command}`. Machines drift: what is compared was measured in one run, in turns.",
        "",
        *(f"- Machine: {facts}" for facts in dict.fromkeys(result["machine"] for result in results.values())),
        *(f"- Commit: {found}" for found in dict.fromkeys(result["commit"] for result in results.values())),
        f"- Ended: {max(result['ended'] for result in results.values())}",
        "",
        f"{len(targets) - len(missed)} of {len(targets)} targets are met."
        + (f" **Void: {', '.join(void)}**; their targets are not in the table." if void else ""),
        "",
        "| figure | target | aimed at | measured | |",
        "|---|---|---|---|---|",
        *(target.row() for target in targets),
    ]
    if missed:
        lines += ["", "## What is not met, and why"]
        for figure in missed:
            lines += ["", f"**{figure}**: {(explained or {}).get(figure, 'not explained yet.')}"]
    for name, result in results.items():
        lines += ["", f"## `{result['command']}`", "", result["of"], "", "```text", result["text"], "```"]
        for picture in pictures:
            if _of(name, picture):
                lines += ["", _shown(picture)]
    for picture in left:
        lines += ["", _shown(picture)]
    return "\n".join([*lines, ""])


def _of(name: str, picture: str) -> bool:
    return Path(picture).stem.startswith(f"{name}-")


def _shown(picture: str) -> str:
    return f"![{Path(picture).stem}]({picture})"
