"""The inline tests of a trigger file: events and expectations, checked against the schemas field by field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, get_type_hints
from zoneinfo import ZoneInfo

from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.actions import Cancellation, NextBestAction
from schemas.events import Maturity, Profile, Transaction
from triggers.language import codes
from triggers.language.document import Node, shorten
from triggers.language.model import Case, CaseEvent, Expected
from triggers.language.names import RECORDS, literal_values
from triggers.language.reader import Fields, Reader, one_of, suggest

_GIVEN_BY_RUNNER: Final = frozenset({"schema_version", "tenant", "customer_id"})
_NOT_OF_CUSTOMER: Final = _GIVEN_BY_RUNNER | {"event_id", "occurred_at", "sequence"}
_STATED: Final = ("offer", "channel", "category", "complexity", "priority", "value", "template", "step")
_MOST_CASES: Final = 500
_MOST_EVENTS: Final = 2000


def read_cases(reader: Reader, node: Node, zone: ZoneInfo) -> tuple[Case, ...]:
    """Every case under ``tests``. Times without an offset are in ``zone``."""
    cases: list[Case] = []
    names: dict[str, int] = {}
    for item in reader.items(node, "cases", _MOST_CASES) or ():
        case = _case(reader, item, zone)
        if case is None:
            continue
        if case.name in names:
            message = f'the case "{shorten(case.name)}" stands here already on line {names[case.name]}'
            reader.report(codes.CONTRADICTION, item.place, message)
        names.setdefault(case.name, case.line)
        cases.append(case)
    return tuple(cases)


def _case(reader: Reader, node: Node, zone: ZoneInfo) -> Case | None:
    fields = reader.mapping(node, "a case", ("name", "events", "expect"), ("customer", "until"))
    if fields is None:
        return None
    name = fields.text("name")
    customer = fields.get("customer")
    events = [_event(reader, item, zone) for item in fields.items("events", "events", _MOST_EVENTS)]
    expect = [_expected(reader, item, zone) for item in fields.items("expect", "expectations", _MOST_EVENTS)]
    until = fields.moment("until", zone)
    return Case(
        name=name or "",
        customer=_customer(reader, customer) if customer else {},
        events=tuple(event for event in events if event),
        expect=tuple(expected for expected in expect if expected),
        line=node.place.line,
        until_ms=until,
    )


def _event(reader: Reader, node: Node, zone: ZoneInfo) -> CaseEvent | None:
    fields = reader.mapping(node, "an event", ("at",), tuple(RECORDS))
    if fields is None:
        return None
    at = fields.moment("at", zone)
    kinds = [key for key in fields.entries if key in RECORDS]
    if len(kinds) != 1:
        if isinstance(node.value, dict) and len(fields.entries) == len(node.value):  # else a key was reported
            message = f"an event of a case is exactly one of {one_of(RECORDS)}, found {len(kinds)}"
            reader.report(codes.CONTRADICTION, node.place, message)
        return None
    body = fields.get(kinds[0])
    values = _record(reader, body, kinds[0], RECORDS[kinds[0]], _GIVEN_BY_RUNNER) if body else None
    if at is None or values is None:
        return None
    return CaseEvent(at, kinds[0], values, node.place.line)


def _customer(reader: Reader, node: Node) -> Mapping[str, Any]:
    """Profile fields, the balance of the main account, and holdings."""
    allowed = (*_field_names(Profile, _NOT_OF_CUSTOMER), "balance", "holdings")
    fields = reader.mapping(node, "a customer", (), allowed)
    if fields is None:
        return {}
    values = _validated(reader, fields, Profile, [name for name in fields.entries if name in Profile.model_fields])
    if "balance" in fields:
        balance = _as_money(reader, fields, "balance")
        if balance is not None:
            values["balance"] = balance
    if "holdings" in fields:
        items = fields.items("holdings", "holdings", 100)
        holdings = [_record(reader, item, "holdings", Maturity, _GIVEN_BY_RUNNER) for item in items]
        values["holdings"] = tuple(holding for holding in holdings if holding is not None)
    return values


def _expected(reader: Reader, node: Node, zone: ZoneInfo) -> Expected | None:
    fields = reader.mapping(node, "an expectation", ("at",), (*_STATED, "message", "cancelled", "reason"))
    if fields is None:
        return None
    at = fields.moment("at", zone)
    cancelled = fields.flag("cancelled") or False
    model: type[BaseModel] = Cancellation if cancelled else NextBestAction
    for name in fields.entries:
        if name in (*_STATED, "reason") and name not in model.model_fields:
            what = "a cancellation" if cancelled else "an action"
            reader.report(codes.CONTRADICTION, fields.key_place(name), f"{what} has no {name}")
    values = _validated(reader, fields, model, [name for name in fields.entries if name in model.model_fields])
    message = fields.get("message")
    if message is not None:
        if isinstance(message.value, dict):
            values["message"] = {key: entry.value.text for key, entry in message.value.items()}
        else:
            reader.wrong_type(message, "the message's fields by name")
    return Expected(at, values, node.place.line, cancelled) if at is not None else None


def _record(
    reader: Reader, node: Node, what: str, model: type[BaseModel], hidden: frozenset[str]
) -> dict[str, Any] | None:
    """The fields of a record that the author gave, each of the schema's type."""
    if node.value is None:
        return {}
    if not isinstance(node.value, dict):
        reader.wrong_type(node, f"the fields of {what}")
        return None
    known = _field_names(model, hidden)
    for key, entry in node.value.items():
        if key in hidden:
            message = f"{key} is filled in when the case runs: leave it out"
            reader.report(codes.UNKNOWN_KEY, entry.place, message)
        elif key not in known:
            hint = suggest(key, known) or f"; there are {one_of(known)}"
            reader.report(codes.UNKNOWN_KEY, entry.place, f'{what} has no field "{shorten(key)}"{hint}')
    fields = Fields(reader, node, {key: entry for key, entry in node.value.items() if key in known})
    return _validated(reader, fields, model, list(fields.entries))


def _validated(reader: Reader, fields: Fields, model: type[BaseModel], names: list[str]) -> dict[str, Any]:
    """The values of these fields as the schema reads them. A field left out is no mistake here."""
    values: dict[str, Any] = {}
    for name in names:
        node = fields.entries[name].value
        choices = literal_values(model.model_fields[name].annotation)
        if choices and node.value is not None:
            values[name] = reader.choice(node, choices)
            continue
        try:
            values[name] = _read_field(model, name, node.plain())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            reader.report(codes.WRONG_TYPE, node.place, f"{name}: {_plainly(first['msg'])}")
    return values


def _as_money(reader: Reader, fields: Fields, name: str) -> Any:
    node = fields.entries[name].value
    try:
        return _read_field(Transaction, "balance_after", node.plain())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        reader.report(codes.WRONG_TYPE, node.place, f"{name}: {_plainly(first['msg'])}")
        return None


@cache
def _field_names(model: type[BaseModel], hidden: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in model.model_fields if name not in hidden)


def _read_field(model: type[BaseModel], name: str, value: Any) -> Any:
    """One field through its own validators. Raises ``ValidationError``."""
    return _adapter(model, name).validate_python(value)


@cache
def _adapter(model: type[BaseModel], name: str) -> Any:
    return TypeAdapter(get_type_hints(model, include_extras=True)[name])


def _plainly(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "expected")
