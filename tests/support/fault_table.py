"""The table of the faults that were tried: of which commit, and of each fault its runs, failures and time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

_MODULE: Final = re.compile(r"test_(f\d\d)_")
FAULT: Final = "fault"


@dataclass(slots=True)
class Row:
    """What the runs of one fault came to."""

    fault: str
    what: str
    runs: int = 0
    failures: int = 0
    skipped: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    """Of several runs the largest."""


def fault_of(module: str, doc: str | None) -> tuple[str, str]:
    """The fault that a test module is about, by its name, and its docstring's first line."""
    found = _MODULE.match(module)
    assert found, f"{module}: a module of the faults is named test_fNN_<name>.py"
    assert doc, f"{module}: its docstring says what the fault is"
    number = found[1].upper()
    return f"F{int(number[1:])}", doc.strip().splitlines()[0].rstrip(".").removeprefix(f"F{int(number[1:])}: ")


def rows_of(reports: Iterable[pytest.TestReport]) -> list[Row]:
    """One row for each fault, in order. Reports of other tests are passed over."""
    rows: dict[str, Row] = {}
    told: dict[str, list[str]] = {}
    for report in reports:
        properties: dict[str, Any] = dict(report.user_properties)
        if FAULT not in properties:
            continue
        fault, what = properties.pop(FAULT)
        row = rows.setdefault(fault, Row(fault, what))
        if what not in told.setdefault(fault, []):
            # A fault of several modules: what each of them tries.
            told[fault].append(what)
            row.what = "; ".join(told[fault])
        row.seconds += report.duration
        row.runs += report.when == "call"
        row.failures += report.failed
        row.skipped += report.skipped
        if report.when == "call":
            for name, value in properties.items():
                row.figures[name] = max(float(value), row.figures.get(name, float(value)))
    return sorted(rows.values(), key=lambda row: int(row.fault[1:]))


def as_markdown(rows: Sequence[Row], commit: str) -> str:
    """The table, and the commit that was tried."""
    heads = ["| fault | what | runs | failures | time | figures |", "|---|---|---|---|---|---|"]
    lines = [f"Commit {commit}.", "", *heads]
    for row in rows:
        figures = "; ".join(f"{name} {value:g}" for name, value in row.figures.items())
        runs = f"{row.runs} ({row.skipped} skipped)" if row.skipped else str(row.runs)
        lines.append(f"| {row.fault} | {row.what} | {runs} | {row.failures} | {_text(row.seconds)} | {figures} |")
    seconds = _text(sum(row.seconds for row in rows))
    lines.append(f"| all | | {sum(row.runs for row in rows)} | {sum(row.failures for row in rows)} | {seconds} | |")
    return "\n".join(lines)


def write(rows: Sequence[Row], commit: str, file: Path) -> None:
    """Writes the table, as JSON or Markdown by the file's name."""
    if file.suffix == ".json":
        file.write_text(json.dumps({"commit": commit, "faults": [asdict(row) for row in rows]}, indent=2) + "\n")
    else:
        file.write_text(as_markdown(rows, commit) + "\n")


def _text(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
