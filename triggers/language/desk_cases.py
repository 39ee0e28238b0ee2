"""The inline tests of ``desks.yaml``: customers and managers of one branch on a virtual clock, what desks decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from triggers.language import codes, grammar
from triggers.language.document import Node, shorten
from triggers.language.model import Case, CaseEvent, Expected
from triggers.language.reader import Reader

SUITE: Final = "desks"
"""What the tests of the file stand under, where others have a trigger, a tiering or a tag."""


def read_desk_cases(reader: Reader, node: Node, zone: ZoneInfo, tiers: Sequence[str]) -> tuple[Case, ...]:
    """Every case under ``tests``. An event's ``record_type`` is ``customer``, ``manager`` or ``answer``."""
    cases: dict[str, Case] = {}
    for item in reader.items(node, "cases", grammar.MOST_CASES) or ():
        fields = reader.mapping(item, grammar.DESK_CASE)
        if fields is None:
            continue
        name, until = fields.text("name"), fields.moment("until", zone)
        events = [_event(reader, one, zone, tiers) for one in fields.items("events", "events")]
        expect = [_expected(reader, one, zone) for one in fields.items("expect", "expectations")]
        times = [event.at_ms for event in events if event is not None]
        if times != sorted(times):
            reader.report(codes.CONTRADICTION, fields.key_place("events"), "the events stand in the order of time")
        if name is None:
            continue
        if name in cases:
            message = f'the case "{shorten(name)}" stands here already on line {cases[name].line}'
            reader.report(codes.CONTRADICTION, item.place, message)
        found = tuple(event for event in events if event is not None)
        wanted = tuple(one for one in expect if one is not None)
        cases.setdefault(name, Case(name, {}, found, wanted, item.place.line, until_ms=until))
    return tuple(cases.values())


def _event(reader: Reader, node: Node, zone: ZoneInfo, tiers: Sequence[str]) -> CaseEvent | None:
    fields = reader.mapping(node, grammar.DESK_EVENT)
    if fields is None:
        return None
    at = fields.moment("at", zone)
    kind = "answer" if "answer" in fields else "customer" if "customer" in fields else "manager"
    if kind not in fields or ("customer" not in fields and kind == "answer"):
        wanted = "customer, manager or, with a customer, answer"
        reader.report(codes.CONTRADICTION, node.place, f"an event of the desks names a {wanted}")
        return None
    given: dict[str, Any] = {name: fields.text(name) for name in ("customer", "manager") if name in fields}
    tier = fields.get("tier")
    if tier is not None:
        given["tier"] = reader.choice(tier, tiers) if tiers else reader.identifier(tier)
    given |= {name: fields.choice(name) for name in ("desk", "answer") if name in fields}
    given |= {name: fields.flag(name) for name in ("active", "spoken", "left") if name in fields}
    given |= {name: fields.integer(name) for name in ("capacity", "customers") if name in fields}
    if "customers" in given and kind != "manager":
        message = "so many customers are a manager's: an event of one customer, or an answer, has none"
        reader.report(codes.CONTRADICTION, fields.key_place("customers"), message)
    return CaseEvent(at, kind, given, node.place.line) if at is not None and None not in given.values() else None


def _expected(reader: Reader, node: Node, zone: ZoneInfo) -> Expected | None:
    fields = reader.mapping(node, grammar.DESK_EXPECTED)
    if fields is None:
        return None
    at, outcome = fields.moment("at", zone), fields.identifier("outcome")
    given: dict[str, Any] = {name: fields.text(name) for name in ("customer", "manager") if name in fields}
    if at is None or outcome is None or None in given.values():
        return None
    return Expected(at, {"outcome": outcome, **given}, node.place.line)
