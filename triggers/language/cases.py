"""The inline tests of a trigger file: events and expectations, checked against the schemas field by field.

A case's own ``policy`` and ``calendar`` have the keys of the files of that name, and are read by the same readers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.actions import Cancellation, NextBestAction
from schemas.decisions import Decision
from schemas.events import Maturity, Profile, Transaction
from triggers.language import codes, grammar
from triggers.language.calendar_file import read_calendar
from triggers.language.document import Document, Node, shorten
from triggers.language.model import Case, CaseContact, CaseEvent, Expected
from triggers.language.names import RECORDS, hints_of, literal_values
from triggers.language.policy_file import read_policy
from triggers.language.reader import Fields, Reader, one_of, suggest
from triggers.language.shared import Shared

_OF_HELD_BACK: Final = ("channel", "step")


ReadExpected = Callable[[Reader, Node, ZoneInfo], Expected | None]


def read_cases(reader: Reader, node: Node, shared: Shared, expected: ReadExpected | None = None) -> tuple[Case, ...]:
    """Every case under ``tests``. Times without an offset are in the time zone of the calendar, or the case's own.

    ``expected`` reads one expectation; without it they are of actions and what became of them.
    """
    cases: list[Case] = []
    names: dict[str, int] = {}
    for item in reader.items(node, "cases", grammar.MOST_CASES) or ():
        case = _case(reader, item, shared, expected or _expected)
        if case is None:
            continue
        if case.name in names:
            message = f'the case "{shorten(case.name)}" stands here already on line {names[case.name]}'
            reader.report(codes.CONTRADICTION, item.place, message)
        names.setdefault(case.name, case.line)
        cases.append(case)
    return tuple(cases)


def _case(reader: Reader, node: Node, shared: Shared, expected: ReadExpected) -> Case | None:
    fields = reader.mapping(node, grammar.CASE)
    if fields is None:
        return None
    shared = _override(reader, fields.get("calendar"), read_calendar, shared)
    policy = fields.get("policy")
    if policy is not None and isinstance(policy.value, dict) and "ladders" in policy.value:
        message = "a case cannot change a ladder that its trigger names: it is the one of policy.yaml"
        reader.report(codes.CONTRADICTION, policy.value["ladders"].place, message)
    own = _override(reader, policy, read_policy, shared)
    if policy is not None:
        reader.named += own.named
    zone = own.policy.timezone
    name = fields.text("name")
    customer = fields.get("customer")
    events = [_event(reader, item, zone) for item in fields.items("events", "events")]
    expect = [expected(reader, item, zone) for item in fields.items("expect", "expectations")]
    times = [event.at_ms for event in events if event]
    first = min(times, default=None)
    contacts = [_contact(reader, item, zone, first) for item in fields.items("contacts", "contacts")]
    begin, until = fields.moment("from", zone), fields.moment("until", zone)
    if begin is not None and begin > min([*times, *([] if until is None else [until])], default=begin):
        message = "from lies after an event of the case, or after its end"
        reader.report(codes.CONTRADICTION, fields.key_place("from"), message)
    if until is not None and until < max(times, default=until):
        reader.report(codes.CONTRADICTION, fields.key_place("until"), "until lies before the last event of the case")
    return Case(
        name=name or "",
        customer=_customer(reader, customer, shared) if customer else {},
        events=tuple(event for event in events if event),
        expect=tuple(found for found in expect if found),
        line=node.place.line,
        from_ms=begin,
        until_ms=until,
        contacts=tuple(contact for contact in contacts if contact),
        policy=own.policy if "policy" in fields or "calendar" in fields else None,
    )


def _override(
    reader: Reader, node: Node | None, read: Callable[[Reader, Document, Shared], Shared], shared: Shared
) -> Shared:
    """What the case's own policy or calendar changes, read as the file of that name."""
    return shared if node is None else read(reader, replace(reader.document, root=node), shared)


def _event(reader: Reader, node: Node, zone: ZoneInfo) -> CaseEvent | None:
    fields = reader.mapping(node, grammar.EVENT)
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
    answers = None
    if body is not None and kinds[0] == "feedback":
        body, answers = _answered(reader, body)
    values = _record(reader, body, kinds[0], RECORDS[kinds[0]], grammar.GIVEN_BY_RUNNER) if body else None
    if at is None or values is None:
        return None
    return CaseEvent(at, kinds[0], values, node.place.line, answers)


def _answered(reader: Reader, node: Node) -> tuple[Node, int | None]:
    """The fields of a feedback without ``action``, and which action that says it answers."""
    if not isinstance(node.value, dict) or "action" not in node.value:
        return node, None
    entry = node.value["action"]
    others = {key: other for key, other in node.value.items() if key != "action"}
    if "action_id" in others:
        reader.report(codes.CONTRADICTION, entry.place, "action and action_id both say which action is answered")
    return node._replace(value=others), reader.integer(entry.value, 1, grammar.MOST_EVENTS)


def _contact(reader: Reader, node: Node, zone: ZoneInfo, first: int | None) -> CaseContact | None:
    """A contact before the ``first`` event."""
    fields = reader.mapping(node, grammar.CONTACT)
    if fields is None:
        return None
    at = fields.moment("at", zone)
    channel = fields.choice("channel")
    category = fields.identifier("category")
    trigger = fields.identifier("trigger")
    offer = fields.identifier("offer")
    outcome = fields.choice("outcome")
    expires = fields.duration("expires") or 0
    if at is None or channel is None or category is None:
        return None
    if first is not None and at >= first:
        message = "contacts are what the customer had heard before the first event of the case"
        reader.report(codes.CONTRADICTION, node.place, message)
    return CaseContact(at, channel, category, trigger, offer, outcome or "", node.place.line, expires)


def _customer(reader: Reader, node: Node, shared: Shared) -> Mapping[str, Any]:
    """Profile fields, the balance of the main account or several accounts, holdings and tags."""
    fields = reader.mapping(node, grammar.CUSTOMER)
    if fields is None:
        return {}
    values = _validated(reader, fields, Profile, [name for name in fields.entries if name in Profile.model_fields])
    if "balance" in fields:
        balance = _as_money(reader, fields, "balance")
        if balance is not None:
            values["balance"] = balance
    if "accounts" in fields:
        if "balance" in fields:
            message = "balance is that of one account; with accounts each has its own"
            reader.report(codes.CONTRADICTION, fields.key_place("balance"), message)
        values["accounts"] = _accounts(reader, fields)
    if "holdings" in fields:
        items = fields.items("holdings", "holdings")
        holdings = [_record(reader, item, "holdings", Maturity, grammar.GIVEN_BY_RUNNER) for item in items]
        values["holdings"] = tuple(holding for holding in holdings if holding is not None)
    if "tags" in fields:
        values["tags"] = _tags(reader, fields, shared.vocabulary.tags)
    return values


def _tags(reader: Reader, fields: Fields, known: tuple[str, ...] | None) -> tuple[str, ...]:
    """The tags that the customer has from the beginning: throughout the case, or as long as each holds on."""
    if known == ():
        reader.report(codes.CONTRADICTION, fields.key_place("tags"), "the rule set has no tags: it has no tags.yaml")
        return ()
    items = fields.items("tags", "tags")
    return tuple(filter(None, (reader.choice(item, known) if known else item.text for item in items)))


def _accounts(reader: Reader, fields: Fields) -> tuple[Mapping[str, Any], ...]:
    """The accounts that the customer has before the first event."""
    accounts: dict[str, Mapping[str, Any]] = {}
    for node in fields.items("accounts", "accounts"):
        account = reader.mapping(node, grammar.ACCOUNT)
        if account is None:
            continue
        values = _validated(reader, account, Transaction, [key for key in account.entries if key == "currency"])
        name = account.text("id")
        if "balance" in account:
            values["balance"] = _as_money(reader, account, "balance")
        if name in accounts:
            reader.report(codes.CONTRADICTION, node.place, f'the account "{shorten(name)}" stands here already')
        if name is not None:
            accounts[name] = {"id": name, **values}
    return tuple(accounts.values())


def _expected(reader: Reader, node: Node, zone: ZoneInfo) -> Expected | None:
    fields = reader.mapping(node, grammar.EXPECTED)
    if fields is None:
        return None
    at = fields.moment("at", zone)
    if "held_back" in fields:
        return _held_back(reader, fields, at)
    cancelled = fields.flag("cancelled") or False
    model: type[BaseModel] = Cancellation if cancelled else NextBestAction
    for name in fields.entries:
        if name in (*grammar.STATED, "reason") and name not in model.model_fields:
            what = "a cancellation" if cancelled else "an action"
            reader.report(codes.CONTRADICTION, fields.key_place(name), f"{what} has no {name}")
    stated = [name for name in fields.entries if name in model.model_fields and name != "handoff"]
    values = _validated(reader, fields, model, stated)
    if "handoff" in fields:
        values["handoff"] = tuple(_handed_over(reader, item) for item in fields.items("handoff", "contacts"))
    message = fields.get("message")
    if message is not None:
        if isinstance(message.value, dict):
            values["message"] = {key: entry.value.text for key, entry in message.value.items()}
        else:
            reader.wrong_type(message, "the message's fields by name")
    return Expected(at, values, node.place.line, cancelled) if at is not None else None


def _handed_over(reader: Reader, node: Node) -> str:
    """An entry of a handoff: a channel and what became of the contact."""
    text = reader.text(node) or ""
    channel, _, outcome = text.partition(" ")
    if channel not in grammar.CHANNELS or outcome not in (*grammar.OUTCOMES, "none", "withdrawn"):
        message = f'expected a channel and an outcome, such as push opened, or push none, found "{shorten(text)}"'
        reader.report(codes.BAD_CHOICE, node.place, message)
    return text


def _held_back(reader: Reader, fields: Fields, at: int | None) -> Expected | None:
    """A candidate that the trigger's own memory or the gate stopped, with the reason."""
    for name in fields.entries:
        if name not in ("at", "held_back", *_OF_HELD_BACK):
            message = f"what is held back has no {name}; it may have {one_of(_OF_HELD_BACK)}"
            reader.report(codes.CONTRADICTION, fields.key_place(name), message)
    reason = fields.identifier("held_back")
    values = _validated(reader, fields, Decision, [name for name in _OF_HELD_BACK if name in fields])
    if at is None or reason is None:
        return None
    return Expected(at, values, fields.node.place.line, held_back=reason)


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
    return TypeAdapter(hints_of(model)[name])


def _plainly(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "expected")
