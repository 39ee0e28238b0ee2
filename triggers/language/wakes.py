"""What wakes a trigger: the forms of ``on``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, cast

from triggers.language import codes, grammar
from triggers.language.calendar import WEEKDAYS, Roll
from triggers.language.derived_events import is_derived, read_derived_event
from triggers.language.document import Node, Place, shorten
from triggers.language.model import OnEvent, OnEvery, OnMaturity, OnSilence, OnWait, Period, Wake
from triggers.language.names import ALIASES, DETAILS, RECORDS, detail_values
from triggers.language.reader import HOUR_MS, Fields, Reader, describe, nearest, one_of, suggest
from triggers.language.vocabulary import STANDARD, Vocabulary

_LEAD: Final = re.compile(r"([0-9]{1,4})(d| business days?) before", re.ASCII)
_LONGEST_LEAD: Final = 3660
_MONTHS: Final = {"quarter": 3, "year": 12}
_TOPIC_EVENTS: Final = "transaction, maturity, profile, behaviour.browse, feedback.opened or product.opened"
"""What a silence, a wait and ``until`` listen to."""
_FORMS: Final = (
    "transaction, maturity, profile, behaviour.browse, feedback.opened, product.opened, tier.up, tag.added, "
    "action.exhausted, "
    "{maturity: 7d before}, {silence: transaction, for: 90d}, "
    "{after: behaviour.browse, unless: product.opened, within: 24h}, "
    '{every: month, on_day: 1, at: "09:00"}, or a list'
)


def read_wakes(reader: Reader, node: Node, vocabulary: Vocabulary = STANDARD) -> tuple[Wake, ...]:
    """Every form under ``on``; mistakes are reported, and what is right is returned."""
    if not isinstance(node.value, list):
        wake = _wake(reader, node, vocabulary)
        return (wake,) if wake else ()
    if not node.value:
        reader.report(codes.OUT_OF_RANGE, node.place, f"nothing wakes the trigger; expected {_FORMS}")
    found: list[Wake] = []
    for item in node.value:
        wake = _wake(reader, item, vocabulary)
        if wake is not None and wake in found:
            reader.report(codes.CONTRADICTION, item.place, "this stands in the list already")
        elif wake is not None:
            found.append(wake)
    return tuple(found)


def place_of(node: Node, index: int) -> Place:
    """Where the wake with this index stands under ``on``, of a file without mistakes."""
    return node.value[index].place if isinstance(node.value, list) else node.place


def event_types(wakes: tuple[Wake, ...]) -> frozenset[str]:
    """The events among what wakes a trigger."""
    return frozenset(wake.record_type for wake in wakes if isinstance(wake, OnEvent))


def read_events(reader: Reader, node: Node) -> tuple[OnEvent, ...]:
    """One event of the topics, or a list of them."""
    found: list[OnEvent] = []
    for item in node.value if isinstance(node.value, list) else [node]:
        event = _event(reader, item)
        if event is not None and event in found:
            reader.report(codes.CONTRADICTION, item.place, "this stands in the list already")
        elif event is not None:
            found.append(event)
    return tuple(found)


def _wake(reader: Reader, node: Node, vocabulary: Vocabulary) -> Wake | None:
    if isinstance(node.value, str):
        if is_derived(node.value, vocabulary):
            return read_derived_event(reader, node, vocabulary)
        return _event(reader, node, _FORMS)
    if not isinstance(node.value, dict):
        reader.wrong_type(node, _FORMS)
        return None
    for key, read in _READERS.items():
        if key in node.value:
            return read(reader, node)
    reader.report(codes.WRONG_TYPE, node.place, f"expected {_FORMS}")
    return None


def _event(reader: Reader, node: Node, forms: str = _TOPIC_EVENTS) -> OnEvent | None:
    """``transaction`` or ``behaviour.browse``. ``forms`` is what else may stand there."""
    if not isinstance(node.value, str):
        reader.wrong_type(node, "an event such as transaction or behaviour.browse")
        return None
    text = ALIASES.get(node.value, node.value)
    name, dot, detail = text.partition(".")
    if name not in RECORDS:
        if forms == _TOPIC_EVENTS and is_derived(text, STANDARD):
            message = f"this takes events of the topics only, not {shorten(text)}; expected {forms}"
            reader.report(codes.BAD_CHOICE, node.place, message)
            return None
        near = nearest(name, RECORDS) if detail else ""
        whole = [f"{near}.{one}" for one in detail_values(near)] if near else []
        hint = suggest(text, (*whole, *RECORDS, *ALIASES)) or f"; expected {forms}"
        reader.report(codes.BAD_CHOICE, node.place, f'unknown event "{shorten(text)}"{hint}')
        return None
    if not dot:
        return OnEvent(name)
    values = detail_values(name)
    if not values:
        message = f"{name} has no kinds to tell apart; only {one_of(sorted(DETAILS))} have"
        reader.report(codes.BAD_CHOICE, node.place, message)
        return None
    if detail not in values:
        hint = suggest(detail, values) or f"; it is one of {one_of(values)}"
        reader.report(codes.BAD_CHOICE, node.place, f'there is no {name} "{shorten(detail)}"{hint}')
        return None
    return OnEvent(name, detail)


def _lead_time(reader: Reader, node: Node) -> OnMaturity | None:
    fields = reader.mapping(node, grammar.LEAD_TIME)
    lead = fields.get("maturity") if fields else None
    if fields is None or lead is None:
        return None
    roll = cast("Roll", fields.choice("roll") or "none")
    if lead.value == "on the day":
        return OnMaturity(0, roll=roll)
    match = _LEAD.fullmatch(lead.value) if isinstance(lead.value, str) else None
    if match is None:
        message = f"expected 7d before, 3 business days before, or on the day; found {describe(lead)}"
        reader.report(codes.BAD_DURATION, lead.place, message)
        return None
    days = int(match[1])
    if not 1 <= days <= _LONGEST_LEAD:
        message = f"a lead time is 1 to {_LONGEST_LEAD} days; for 0 write on the day"
        reader.report(codes.BAD_DURATION, lead.place, message)
        return None
    business = match[2] != "d"
    if business and roll != "none":
        message = "business days before a day are never on another: leave roll out"
        reader.report(codes.CONTRADICTION, fields.key_place("roll"), message)
        return None
    return OnMaturity(days, business, roll)


def _silence(reader: Reader, node: Node) -> OnSilence | None:
    fields = reader.mapping(node, grammar.SILENCE)
    if fields is None:
        return None
    kind = fields.get("silence")
    event = _event(reader, kind) if kind else None
    after = fields.duration("for")
    return OnSilence(event.record_type, event.detail, after) if event and after else None


def _wait(reader: Reader, node: Node) -> OnWait | None:
    fields = reader.mapping(node, grammar.WAIT)
    if fields is None:
        return None
    first, other = fields.get("after"), fields.get("unless")
    after = _event(reader, first) if first else None
    unless = _event(reader, other) if other else None
    within = fields.duration("within")
    if after is None or unless is None or within is None:
        return None
    if unless.covers(after.record_type, after.detail):
        message = "every event that begins the wait would end it at once; to wait for nothing at all there is silence"
        reader.report(codes.CONTRADICTION, fields.key_place("unless"), message)
        return None
    return OnWait(after, unless, within)


def _every(reader: Reader, node: Node) -> OnEvery | None:
    fields = reader.mapping(node, grammar.SCHEDULE)
    if fields is None:
        return None
    before = len(reader.problems)
    period = cast("Period | None", fields.choice("every"))
    at = fields.clock("at")
    roll = cast("Roll", fields.choice("roll") or "next")
    spread = _spread(fields)
    place = _place_in(reader, fields, period) if period else None
    if period is None or at is None or place is None or spread is None or len(reader.problems) > before:
        return None
    return OnEvery(period, at, *place, roll=roll, spread_ms=spread)


def _spread(fields: Fields) -> int | None:
    node = fields.get("spread")
    if node is None:
        return HOUR_MS
    return 0 if node.value in (0, "none") else fields.duration("spread")


def _place_in(reader: Reader, fields: Fields, period: Period) -> tuple[int, int] | None:
    """The day, and the month, of a period on which it comes round."""
    months = _MONTHS.get(period, 1)
    month_node, day_node = fields.get("month"), fields.get("on_day")
    if month_node is not None and months == 1:
        message = f"month says which month of a quarter or a year; every {period} has none to choose"
        reader.report(codes.CONTRADICTION, fields.key_place("month"), message)
        return None
    if period == "day":
        if day_node is not None:
            message = "every day has no day to choose; with roll: next it is every business day"
            reader.report(codes.CONTRADICTION, fields.key_place("on_day"), message)
        return 1, 1
    if day_node is None:
        if fields.lacks("on_day"):
            example = "monday" if period == "week" else "1, or last"
            message = f'missing key "on_day" in a schedule: every {period} on which day, such as {example}'
            reader.report(codes.MISSING_KEY, fields.node.place, message)
        return None
    if period == "week":
        weekday = reader.choice(day_node, WEEKDAYS)
        return (WEEKDAYS.index(weekday), 1) if weekday else None
    last = day_node.value == "last"
    if isinstance(day_node.value, str) and not last:
        reader.wrong_type(day_node, "a day of the month from 1 to 31, or last")
        return None
    day = 31 if last else fields.integer("on_day")
    month = reader.integer(month_node, 1, months) if month_node else months if last else 1
    return (day, month) if day and month else None


_READERS: Final[Mapping[str, Callable[[Reader, Node], Wake | None]]] = {
    "maturity": _lead_time,
    "silence": _silence,
    "every": _every,
    "on_day": _every,
    "after": _wait,
    "unless": _wait,
    "within": _wait,
}
"""The forms that are mappings, by a key that tells them."""
