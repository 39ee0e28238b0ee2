"""What a mode found: printed as text, and kept as JSON for the page of all modes."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.work import machine


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
        return f"target: {self.figure} {self._bound(self.wanted)}: {self.found:,.4g}, {self._said}"

    def row(self) -> str:
        """As a row of the page's table."""
        cells = (self.figure, self._bound(self.wanted), self._bound(self.aimed), f"{self.found:,.4g}", self._said)
        return f"| {' | '.join(cells)} |"

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
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {
            "command": "python -m tests.benchmarks " + shlex.join(sys.argv[1:]),
            "machine": machine(),
            "of": self.of,
            "text": self.text,
            "targets": [asdict(target) for target in self.targets],
            "figures": self.figures,
        }
        path.write_text(json.dumps(body, indent=1), "utf-8")


def page(results: Sequence[dict[str, Any]], pictures: Sequence[str] = ()) -> str:
    """All modes on one page of Markdown: the targets first. ``results`` are read back from their files.

    ``pictures`` are names of files beside the page.
    """
    targets = [Target(**target) for result in results for target in result["targets"]]
    machines = dict.fromkeys(result["machine"] for result in results)
    return "\n".join(
        [
            "# Figures",
            "",
            f"Measured on {'; '.join(machines)}. Machines drift: what is compared was measured in one run.",
            "",
            "| figure | target | aimed at | measured | |",
            "|---|---|---|---|---|",
            *(target.row() for target in targets),
            *(
                line
                for result in results
                for line in ("", f"## `{result['command']}`", "", result["of"], "", "```text", result["text"], "```")
            ),
            *(line for picture in pictures for line in ("", f"![{Path(picture).stem}]({picture})")),
            "",
        ]
    )
