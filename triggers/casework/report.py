"""A case that failed, as plain text: the timeline, and what decided each evaluation of its trigger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record, to_ms
from schemas.decisions import Decision
from triggers.casework.case_runner import CaseResult
from triggers.casework.timeline import Row, moment, show_output, show_value
from triggers.casework.trace import Evaluated, Finding, Reading
from triggers.language.grammar import CHANNELS
from triggers.language.names import DETAILS
from triggers.language.reader import DAY_MS, show_duration

MARKS: Final = {"event": " ", "matched": "=", "missing": "-", "unexpected": "+", "differs": "~", "noted": "."}
LEGEND: Final = "= as expected   - missing   + unexpected   ~ different   . held back"
_WORDS: Final = {True: "true", False: "false", None: "unknown"}


def report(result: CaseResult) -> list[str]:
    """The lines of a failed case; none for one that passed."""
    if result.passed:
        return []
    lines = [f"line {result.line}: {result.problem}"] if result.problem else _timeline(result)
    for evaluated in result.trace:
        lines += ["", *decided(evaluated, result.outputs, result.zone)]
    return lines


def cells(row: Row) -> tuple[str, str]:
    """The texts of a row under "expected" and under "came"."""
    where = f" (line {row.line})" if row.line else ""
    if row.kind == "event":
        return f"{row.expected}{where}", ""
    return (row.expected + where if row.expected else "nothing"), row.came or "nothing"


def decided(evaluated: Evaluated, outputs: Sequence[Record], zone: ZoneInfo) -> list[str]:
    """One evaluation: when and why, each top-level clause with its value and what it read, and what followed."""
    lines = [headline(evaluated, outputs, zone)]
    clauses = top_clauses(evaluated.finding)
    width = max((len(clause.clause.source) for clause in clauses), default=0)
    for clause in clauses:
        read = ", ".join(map(show_reading, readings(clause)))
        lines.append(f"  {word(clause.value):7}  {clause.clause.source:{width}}  {read}".rstrip())
    return lines


def headline(evaluated: Evaluated, outputs: Sequence[Record], zone: ZoneInfo) -> str:
    """When a trigger was evaluated, what woke it, what its condition came to, what followed."""
    value = word(evaluated.finding.value) if evaluated.finding else "no condition"
    text = f"{moment(evaluated.at, zone)}  {woken_by(evaluated)}: {value}"
    return f"{text}, {'; '.join(followed(evaluated, outputs, zone))}" if evaluated.fires else text


def woken_by(evaluated: Evaluated) -> str:
    """The event that woke the trigger, or the time that did."""
    event = evaluated.event
    if event is None:
        return evaluated.occasion.partition(":")[0]
    kind = event.record_type
    return f"{kind}.{getattr(event, DETAILS[kind])}" if kind in DETAILS else str(kind)


def followed(evaluated: Evaluated, outputs: Sequence[Record], zone: ZoneInfo) -> list[str]:
    """What came of a candidate, its first step: the action, or why there was none."""
    found = []
    for output in outputs:
        if not isinstance(output, NextBestAction | Decision) or output.trigger != evaluated.trigger:
            continue
        if output.occasion != evaluated.occasion or output.step > 0:
            continue
        if isinstance(output, NextBestAction):
            found.append(f"sent {show_output(output, zone)}")
        elif output.outcome in ("suppressed", "deferred"):
            found.append(show_output(output, zone))
        elif output.outcome == "sent":
            found += _passed_over(output)
    return found or ["nothing followed"]


def aftermath(evaluated: Evaluated, outputs: Sequence[Record], zone: ZoneInfo) -> list[str]:
    """Everything that came of a candidate, with its time: each step of the ladder, and what withdrew it."""
    of_occasion = [
        output
        for output in outputs
        if isinstance(output, NextBestAction | Decision)
        and (output.trigger, output.occasion) == (evaluated.trigger, evaluated.occasion)
    ]
    sent = {output.action_id for output in of_occasion if isinstance(output, NextBestAction)}
    lines = []
    for output in outputs:
        if isinstance(output, Cancellation):
            if output.action_id in sent:
                lines.append(f"{moment(to_ms(output.created_at), zone)}  {show_output(output, zone)}")
        elif output in of_occasion and isinstance(output, NextBestAction):
            lines.append(f"{moment(to_ms(output.created_at), zone)}  sent {show_output(output, zone)}")
        elif output in of_occasion and isinstance(output, Decision) and output.outcome == "suppressed":
            lines.append(f"{moment(to_ms(output.decided_at), zone)}  {show_output(output, zone)}")
        elif output in of_occasion and isinstance(output, Decision) and output.outcome == "sent":
            when = moment(to_ms(output.decided_at), zone)
            lines += [f"{when}  {line}" for line in _passed_over(output)]
    return lines


def _passed_over(decision: Decision) -> list[str]:
    """The better channels that an action could not take."""
    return [f"not by {name}: {decision.detail[name]}" for name in CHANNELS if name in decision.detail]


def top_clauses(finding: Finding | None) -> Sequence[Finding]:
    """The parts of the ``and`` at the top; the condition itself where there is none."""
    if finding is None:
        return ()
    return finding.parts if finding.clause.operator == "and" else (finding,)


def readings(finding: Finding) -> Iterator[Reading]:
    """Everything that the leaves of a clause read, each once."""
    seen: dict[str, Reading] = {}
    _gather(finding, seen)
    yield from seen.values()


def _gather(finding: Finding, seen: dict[str, Reading]) -> None:
    for reading in finding.readings:
        seen.setdefault(reading.source, reading)
    for part in finding.parts:
        _gather(part, seen)


def show_reading(reading: Reading) -> str:
    """A name with its value; of a feature also its window and samples."""
    text = f"{reading.source} = {show_value(reading.value)}"
    window = reading.window
    if window is None:
        return text
    count = f"{window.samples} sample{'' if window.samples == 1 else 's'}"
    return f"{text} ({window.function} of {window.source} over {window.since or _length(window.over_ms)}, {count})"


def _length(length: int) -> str:
    """A window as authors write it: in days where it has whole ones."""
    return show_duration(length) if length % DAY_MS else f"{length // DAY_MS}d"


def word(value: Any) -> str:
    """``true``, ``false`` or ``unknown``."""
    return _WORDS[value]


def _timeline(result: CaseResult) -> list[str]:
    texts = [(moment(row.at_ms, result.zone), MARKS[row.kind], *cells(row)) for row in result.rows]
    first = max((len(when) for when, *_ in texts), default=0)
    second = max((len(left) for _, _, left, right in texts if right), default=0)
    second = max(second, len("expected"))
    lines = [f"{'':{first}}    {'expected':{second}} | came     ({LEGEND})"]
    for when, mark, left, right in texts:
        lines.append(f"{when:{first}}  {mark} {left:{second}} | {right}" if right else f"{when:{first}}    {left}")
    return lines
