"""What a case expected beside what came, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any, Literal
from zoneinfo import ZoneInfo

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record, from_ms, to_ms
from schemas.decisions import Decision
from triggers.engine.texts import text_of
from triggers.language.model import Case, CaseEvent, Expected

Kind = Literal["event", "matched", "missing", "unexpected", "differs", "noted"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the timeline. ``line`` is that of the expectation or event in the file, 0 where there is none.

    An ``event`` is what the case did, on the left; ``noted`` is a candidate that was held back, which a case need not
    expect.
    """

    at_ms: int
    kind: Kind
    expected: str = ""
    came: str = ""
    line: int = 0

    @property
    def wrong(self) -> bool:
        """Whether the case fails for it."""
        return self.kind in ("missing", "unexpected", "differs")


def lay_out(case: Case, outputs: Sequence[Record], zone: ZoneInfo) -> tuple[Row, ...]:
    """The timeline of a case that ran. Of one time, expectations are met in their order."""
    moments: dict[int, _Moment] = {}
    for event in case.events:
        moments.setdefault(event.at_ms, _Moment()).events.append(event)
    for expected in case.expect:
        moments.setdefault(expected.at_ms, _Moment()).expected.append(expected)
    for output in outputs:
        if isinstance(output, NextBestAction | Cancellation) or _held_back(output):
            moments.setdefault(_time_of(output), _Moment()).came.append(output)
    rows: list[Row] = []
    for at in sorted(moments):
        found = moments[at]
        rows += [
            Row(at, "event", show_event(event.record_type, event.fields), "", event.line) for event in found.events
        ]
        rows += _match(at, found.expected, found.came, zone)
    return tuple(rows)


@dataclass(slots=True)
class _Moment:
    events: list[CaseEvent] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    came: list[Any] = field(default_factory=list)


def _match(at: int, expected: Sequence[Expected], came: Sequence[Any], zone: ZoneInfo) -> list[Row]:
    rows: list[Row] = []
    missing: list[Expected] = []
    position = 0
    for wanted in expected:
        found = next((index for index in range(position, len(came)) if _fits(wanted, came[index])), None)
        if found is None:
            missing.append(wanted)
            continue
        rows += _apart(at, missing, came[position:found], zone)
        rows.append(Row(at, "matched", show_expected(wanted), show_output(came[found], zone, wanted), wanted.line))
        missing, position = [], found + 1
    return rows + _apart(at, missing, came[position:], zone)


def _apart(at: int, missing: Sequence[Expected], extra: Sequence[Any], zone: ZoneInfo) -> list[Row]:
    """What found no match, side by side where it is of one sort."""
    rows: list[Row] = []
    for held in (False, True):
        wanted = [one for one in missing if (one.held_back is not None) == held]
        others = [one for one in extra if _held_back(one) == held]
        for one, other in zip_longest(wanted, others):
            if one is None:
                rows.append(Row(at, "noted" if held else "unexpected", "", show_output(other, zone)))
            elif other is None:
                rows.append(Row(at, "missing", show_expected(one), "", one.line))
            else:
                rows.append(Row(at, "differs", show_expected(one), show_output(other, zone, one), one.line))
    return rows


def _fits(expected: Expected, output: Any) -> bool:
    if (expected.held_back is not None) != _held_back(output):
        return False
    if expected.held_back is not None and output.reason != expected.held_back:
        return False
    if expected.cancelled != isinstance(output, Cancellation):
        return False
    for name, wanted in expected.fields.items():
        if name == "message":
            if any(output.fields.get(key) != text for key, text in wanted.items()):
                return False
        elif name == "handoff":
            if show_handoff(output) != wanted:
                return False
        elif getattr(output, name, None) != wanted:
            return False
    return True


def _held_back(output: Record) -> bool:
    return isinstance(output, Decision) and output.outcome in ("suppressed", "deferred")


def _time_of(output: Any) -> int:
    return to_ms(output.decided_at if isinstance(output, Decision) else output.created_at)


def show_event(record_type: str, fields: Mapping[str, Any]) -> str:
    """An event in one line: its kind and the fields that were given."""
    return " ".join([record_type, *_pairs(fields)])


def show_expected(expected: Expected) -> str:
    """An expectation in one line."""
    if expected.held_back is not None:
        return " ".join([f"held back: {expected.held_back}", *_pairs(expected.fields)])
    return " ".join([*(["cancelled"] if expected.cancelled else []), *_pairs(expected.fields)])


def show_output(output: Record, zone: ZoneInfo, beside: Expected | None = None) -> str:
    """What came, in one line: the fields that matter most, and those that the expectation beside it names."""
    if isinstance(output, Decision):
        detail = show_detail(output.detail, zone)
        channel = {} if output.channel is None else {"channel": output.channel}
        return " ".join([f"held back: {output.reason}", *_pairs({**channel, **detail})])
    if isinstance(output, Cancellation):
        return " ".join(["cancelled", *_pairs({"channel": output.channel, "reason": output.reason})])
    assert isinstance(output, NextBestAction)
    shown: dict[str, Any] = {"offer": output.offer, "channel": output.channel, "step": output.step}
    if output.value is not None:
        shown["value"] = output.value
    for name, wanted in beside.fields.items() if beside else ():
        if name == "message":
            shown[name] = {key: output.fields.get(key) for key in wanted}
        elif name == "handoff":
            shown[name] = show_handoff(output)
        else:
            shown[name] = getattr(output, name, None)
    return " ".join(_pairs(shown))


def show_handoff(action: NextBestAction) -> tuple[str, ...]:
    """What a person is told was tried, each contact in two words."""
    return tuple(f"{contact['channel']} {contact['outcome']}" for contact in action.handoff)


def moment(at_ms: int, zone: ZoneInfo) -> str:
    """A time in the bank's time zone, as short as it is exact."""
    local = from_ms(at_ms).astimezone(zone)
    if local.microsecond:
        return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03}"
    return f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"


def show_detail(detail: Mapping[str, str], zone: ZoneInfo) -> dict[str, str]:
    """The details of a decision, with times in the bank's time zone."""
    return {name: _local(text, zone) for name, text in detail.items()}


def _local(text: str, zone: ZoneInfo) -> str:
    """A detail of a decision: a time as the rows have theirs, anything else as it is."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    # A day has no zone.
    return moment(to_ms(found), zone) if found.tzinfo else text


def show_value(value: Any) -> str:
    """A value as a report shows it; ``unknown`` where there is none. Of tags it shows the names."""
    if isinstance(value, tuple | Mapping):
        return ", ".join(value) or "none"
    return "unknown" if value is None else text_of(value)


def _pairs(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield f"{name}.{key}={show_value(inner)}"
        else:
            yield f"{name}={show_value(value)}"
