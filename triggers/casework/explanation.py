"""One evaluation of a trigger as a tree of texts: each clause with its value, what it read, and what followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from schemas.base import Record, from_ms
from triggers.casework.report import aftermath, show_reading, woken_by, word
from triggers.casework.timeline import moment, show_value
from triggers.casework.trace import Evaluated, Finding, Reading


@dataclass(frozen=True, slots=True)
class Branch:
    """A node of the tree. ``kind`` says what it shows; ``value`` is that of a clause."""

    kind: Literal["evaluation", "clause", "reading", "followed"]
    text: str
    value: bool | None = None
    branches: tuple[Branch, ...] = ()


def explain(evaluated: Evaluated, outputs: Sequence[Record], zone: ZoneInfo) -> Branch:
    """The tree of one evaluation. ``outputs`` are all that came of the case or history."""
    finding = evaluated.finding
    branches = [_clause(finding) if finding else Branch("clause", "no condition: it fires on each", True)]
    if evaluated.fires:
        lines = aftermath(evaluated, outputs, zone) or ["nothing"]
        branches.append(Branch("followed", "then", branches=tuple(Branch("followed", line) for line in lines)))
    else:
        branches.append(
            Branch("followed", f"no candidate: the condition is {word(finding.value if finding else None)}")
        )
    return Branch("evaluation", f"{moment(evaluated.at, zone)}  {woken_by(evaluated)}", branches=tuple(branches))


def _clause(finding: Finding) -> Branch:
    clause = finding.clause
    name = clause.operator or clause.source
    parts = tuple(_clause(part) for part in finding.parts)
    # A flag that stands alone has its value beside it already.
    read = tuple(
        Branch("reading", show_reading(reading))
        for reading in finding.readings
        if reading.window is not None or reading.source != clause.source
    )
    return Branch("clause", f"{name}: {word(finding.value)}", finding.value, (*parts, *read))


def as_lines(branch: Branch, indent: str = "") -> list[str]:
    """The tree as plain text, two spaces a level."""
    lines = [indent + branch.text]
    for below in branch.branches:
        lines += as_lines(below, indent + "  ")
    return lines


def explain_json(evaluated: Evaluated, outputs: Sequence[Record], zone: ZoneInfo) -> Mapping[str, Any]:
    """The same for a machine: values as text, ``None`` where unknown."""
    return {
        "trigger": evaluated.trigger,
        "at": from_ms(evaluated.at).astimezone(zone).isoformat(),
        "clock": from_ms(evaluated.clock).astimezone(zone).isoformat(),
        "occasion": evaluated.occasion,
        "woken_by": woken_by(evaluated),
        "fires": evaluated.fires,
        "condition": _clause_json(evaluated.finding) if evaluated.finding else None,
        "followed": aftermath(evaluated, outputs, zone),
    }


def _clause_json(finding: Finding) -> Mapping[str, Any]:
    clause = finding.clause
    return {
        "operator": clause.operator or None,
        "source": clause.source,
        "line": clause.line,
        "column": clause.column,
        "value": finding.value,
        "reads": [_reading_json(reading) for reading in finding.readings],
        "parts": [_clause_json(part) for part in finding.parts],
    }


def _reading_json(reading: Reading) -> Mapping[str, Any]:
    shown = None if reading.value is None else show_value(reading.value)
    if reading.window is None:
        return {"name": reading.source, "value": shown}
    window = reading.window
    return {
        "name": reading.source,
        "value": shown,
        "function": window.function,
        "of": window.source,
        "over_ms": window.over_ms,
        "samples": window.samples,
    }
