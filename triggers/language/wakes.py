"""What wakes a trigger: the forms of ``on``."""

from __future__ import annotations

import re
from typing import Final

from triggers.language import codes
from triggers.language.derived_events import is_derived, read_derived_event
from triggers.language.document import Node, shorten
from triggers.language.model import OnEvent, OnMaturity, OnSilence, Wake
from triggers.language.names import DETAILS, RECORDS, detail_values
from triggers.language.reader import DAY_MS, HOUR_MS, Reader, describe, one_of, suggest
from triggers.language.vocabulary import STANDARD, Vocabulary

_LEAD: Final = re.compile(r"([0-9]{1,4})(d| business days?) before", re.ASCII)
_LONGEST_LEAD: Final = 3660
_SHORTEST_SILENCE_MS: Final = HOUR_MS
_LONGEST_SILENCE_MS: Final = 3660 * DAY_MS
_LATER_EVENTS: Final = frozenset({"product"})
_LATER_KEYS: Final = frozenset({"after", "unless", "within", "every", "on_day", "at"})
_FORMS: Final = (
    "transaction, maturity, profile, behaviour.browse, feedback.opened, tier.up, tag.added, action.exhausted, "
    "{maturity: 7d before}, {silence: transaction, for: 90d}, or a list"
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


def event_types(wakes: tuple[Wake, ...]) -> frozenset[str]:
    """The events among what wakes a trigger."""
    return frozenset(wake.record_type for wake in wakes if isinstance(wake, OnEvent))


def _wake(reader: Reader, node: Node, vocabulary: Vocabulary) -> Wake | None:
    if isinstance(node.value, str):
        if is_derived(node.value, vocabulary):
            return read_derived_event(reader, node, vocabulary)
        event = _event(reader, node)
        return OnEvent(*event) if event else None
    if not isinstance(node.value, dict):
        reader.wrong_type(node, _FORMS)
        return None
    if "maturity" in node.value:
        fields = reader.mapping(node, "a lead time", ("maturity",))
        lead = fields.get("maturity") if fields else None
        return _lead_time(reader, lead) if lead else None
    if "silence" in node.value:
        return _silence(reader, node)
    later = [key for key in node.value if key in _LATER_KEYS]
    if later:
        message = f'"{later[0]}" is not supported yet; expected {_FORMS}'
        reader.report(codes.NOT_SUPPORTED, node.value[later[0]].place, message)
    else:
        reader.report(codes.WRONG_TYPE, node.place, f"expected {_FORMS}")
    return None


def _event(reader: Reader, node: Node) -> tuple[str, str | None] | None:
    """``transaction`` or ``behaviour.browse``, taken apart."""
    text = node.value
    if not isinstance(text, str):
        reader.wrong_type(node, "an event such as transaction or behaviour.browse")
        return None
    name, dot, detail = text.partition(".")
    if name in _LATER_EVENTS:
        reader.report(codes.NOT_SUPPORTED, node.place, f'"{shorten(text)}" is not supported yet')
        return None
    if name not in RECORDS:
        hint = suggest(name, RECORDS) or f"; expected {_FORMS}"
        reader.report(codes.BAD_CHOICE, node.place, f'unknown event "{shorten(text)}"{hint}')
        return None
    if not dot:
        return name, None
    values = detail_values(name)
    if not values:
        message = f"{name} has no kinds to tell apart; only {one_of(sorted(DETAILS))} have"
        reader.report(codes.BAD_CHOICE, node.place, message)
        return None
    if detail not in values:
        hint = suggest(detail, values) or f"; it is one of {one_of(values)}"
        reader.report(codes.BAD_CHOICE, node.place, f'there is no {name} "{shorten(detail)}"{hint}')
        return None
    return name, detail


def _lead_time(reader: Reader, node: Node) -> OnMaturity | None:
    if node.value == "on the day":
        return OnMaturity(0)
    match = _LEAD.fullmatch(node.value) if isinstance(node.value, str) else None
    if match is None:
        message = f"expected 7d before, 3 business days before, or on the day; found {describe(node)}"
        reader.report(codes.BAD_DURATION, node.place, message)
        return None
    days = int(match[1])
    if not 1 <= days <= _LONGEST_LEAD:
        message = f"a lead time is 1 to {_LONGEST_LEAD} days; for 0 write on the day"
        reader.report(codes.BAD_DURATION, node.place, message)
        return None
    return OnMaturity(days, business=match[2] != "d")


def _silence(reader: Reader, node: Node) -> OnSilence | None:
    fields = reader.mapping(node, "a silence", ("silence", "for"))
    if fields is None:
        return None
    kind = fields.get("silence")
    event = _event(reader, kind) if kind else None
    after = fields.duration("for", _SHORTEST_SILENCE_MS, _LONGEST_SILENCE_MS)
    return OnSilence(*event, after) if event and after else None
