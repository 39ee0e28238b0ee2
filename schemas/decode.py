"""From the bytes of a message to a record, or to the reason why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin

import jiter
from pydantic import ValidationError

from schemas.base import SCHEMA_VERSION, Record
from schemas.dead_letter import Reason
from schemas.recogniser import build
from schemas.topics import CONSUMED, Topic

MAX_VALUE_BYTES: Final = 65_536
"""The largest value that is read as a record; ours are a few hundred bytes."""

_BOUND: Final = 200


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a message is no record. ``field`` is the path to the culprit, empty for the message as a whole.

    Neither text holds a value of the message, and both are cut to what a ``DeadLetter`` can carry.
    """

    reason: Reason
    field: str
    problem: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", self.field[:_BOUND])
        object.__setattr__(self, "problem", self.problem[:_BOUND])


_RECOGNISERS: Final = {topic.models[0]: build(topic.models[0]) for topic in CONSUMED}

# pydantic's error types and our own (base.py) on the left. What is not listed is WRONG_TYPE.
_REASONS: Final = {
    "missing": Reason.MISSING_FIELD,
    "extra_forbidden": Reason.UNKNOWN_FIELD,
    "literal_error": Reason.UNKNOWN_VALUE,
    "enum": Reason.UNKNOWN_VALUE,
    "greater_than_equal": Reason.OUT_OF_RANGE,
    "less_than_equal": Reason.OUT_OF_RANGE,
    "string_too_short": Reason.OUT_OF_RANGE,
    "string_too_long": Reason.OUT_OF_RANGE,
    "string_pattern_mismatch": Reason.OUT_OF_RANGE,
    "too_long": Reason.OUT_OF_RANGE,
    "out_of_range": Reason.OUT_OF_RANGE,
    "bad_number": Reason.BAD_NUMBER,
    "not_finite": Reason.NOT_FINITE,
    "inexact_number": Reason.BAD_NUMBER,
    "bad_time": Reason.BAD_TIME,
    "bad_date": Reason.BAD_TIME,
    "naive_time": Reason.NAIVE_TIME,
    "unknown_currency": Reason.UNKNOWN_CURRENCY,
    "contradiction": Reason.CONTRADICTION,
}


def decode(topic: Topic, tenant: str, key: bytes | None, value: bytes | None) -> Record | Rejected:
    """Reads one message of a topic (of any but the dead letters, whose values are whatever they were).

    Numbers of the JSON are read as exact decimals. The message key must be the record's own key, since a record
    under another key reaches a partition whose owner does not hold that customer.

    A record of an inbound topic has the attributes and the ``record_type`` of the topic's model, but need not be
    an instance of it: see ``schemas.recogniser``.

    Raises nothing: whatever the bytes are, the answer is a record or a ``Rejected``.
    """
    if not value:
        return Rejected(Reason.EMPTY_VALUE, "", "the message has no value")
    if len(value) > MAX_VALUE_BYTES:
        return Rejected(Reason.TOO_LARGE, "", f"the value is larger than {MAX_VALUE_BYTES} bytes")
    recognise = _RECOGNISERS.get(topic.models[0])
    record = recognise(value) if recognise is not None else None
    if record is None:
        read = _read(topic, value)
        if isinstance(read, Rejected):
            return read
        record = read
    if record.tenant != tenant:
        return Rejected(Reason.WRONG_TENANT, "tenant", "the record is of another tenant than this system serves")
    if key is None:
        return Rejected(Reason.MISSING_KEY, "", f"expected the key {_key_name(topic)}")
    if key != record_key(topic, record):
        return Rejected(Reason.KEY_MISMATCH, _key_name(topic), "the message key is not the record's own key")
    return record


def record_key(topic: Topic, record: Record) -> bytes:
    """The message key of a record of a topic."""
    if len(topic.key) == 1:
        value: Any = getattr(record, topic.key[0])
        return value.encode() if type(value) is str else str(value).encode()
    return ":".join(str(getattr(record, name)) for name in topic.key).encode()


def _key_name(topic: Topic) -> str:
    return ":".join(topic.key)


def _read(topic: Topic, value: bytes) -> Record | Rejected:
    """The slow path, which alone decides what is refused and why."""
    try:
        body = jiter.from_json(value, float_mode="decimal", catch_duplicate_keys=True)
    except ValueError as error:
        return _not_json(topic, str(error))
    if type(body) is not dict:
        return Rejected(Reason.NOT_AN_OBJECT, "", "expected a JSON object")
    # The version first: a record of a later version has other fields too, and those errors would mislead.
    version = body.get("schema_version", SCHEMA_VERSION)
    if type(version) is not int or version != SCHEMA_VERSION:
        return Rejected(Reason.UNKNOWN_VERSION, "schema_version", f"expected schema_version {SCHEMA_VERSION}")
    model = topic.models[0]
    if len(topic.models) > 1:
        tag, models = tagged(topic.models)
        if tag not in body:
            return Rejected(Reason.MISSING_FIELD, tag, "Field required")
        chosen = models.get(body[tag]) if type(body[tag]) is str else None
        if chosen is None:
            return Rejected(Reason.UNKNOWN_VALUE, tag, f"expected {' or '.join(map(repr, models))}")
        model = chosen
    # Before pydantic, which would write one error for each: a misspelt name says more than the missing field.
    fields = model.model_fields.keys()
    if not body.keys() <= fields:
        return _unknown_field(model, next(name for name in body if name not in fields))
    try:
        return model.model_validate(body)
    except ValidationError as error:
        return _rejection(model, error)


@cache
def tagged(models: tuple[type[Record], ...]) -> tuple[str, dict[str, type[Record]]]:
    """The field that tells a topic's models apart, and the model of each of its values."""
    for name, field in models[0].model_fields.items():
        if get_origin(field.annotation) is Literal:
            values = {get_args(model.model_fields[name].annotation)[0]: model for model in models}
            if len(values) == len(models):
                return name, values
    raise TypeError(f"nothing tells {', '.join(model.__name__ for model in models)} apart")


def _not_json(topic: Topic, message: str) -> Rejected:
    if message.startswith("Detected duplicate key"):
        # jiter quotes the name, which is the sender's text: shown only where it is one of ours.
        named = re.match(r'Detected duplicate key "(\w+)"', message, re.ASCII)
        ours = named is not None and any(named[1] in model.model_fields for model in topic.models)
        field = named[1] if named is not None and ours else ""
        return Rejected(Reason.DUPLICATE_FIELD, field, "the field stands twice in one object; expected once")
    place = re.search(r"line \d+ column \d+$", message, re.ASCII)
    if message.startswith(("number out of range", "Internal error")):
        # Valid JSON, but neither an int nor a decimal can hold it.
        return Rejected(Reason.BAD_NUMBER, "", f"a number with too many digits, {place[0] if place else 'somewhere'}")
    return Rejected(Reason.NOT_JSON, "", message)


def _unknown_field(model: type[Record], name: str) -> Rejected:
    # The name is the sender's text: shown, bounded, where it looks like the name of a field.
    shown = name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", name) else ""
    near = get_close_matches(name[:64].lower(), model.model_fields, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return Rejected(Reason.UNKNOWN_FIELD, shown, f"a {model.record_type} has no such field{hint}")


def _rejection(model: type[Record], error: ValidationError) -> Rejected:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(_shown(model, first["loc"]))
    return Rejected(_REASONS.get(first["type"], Reason.WRONG_TYPE), path, first["msg"])


def _shown(model: type[Record], location: tuple[int | str, ...]) -> Iterator[str]:
    """The parts of an error's path that are ours: a key of a mapping may be any text of the sender."""
    for part in location:
        if isinstance(part, int) or part in model.model_fields or part in _literals(model):
            yield str(part)


@cache
def _literals(model: type[Record]) -> frozenset[str]:
    def within(hint: Any) -> Iterator[str]:
        if get_origin(hint) is Literal:
            yield from map(str, get_args(hint))
        else:
            for part in get_args(hint):
                yield from within(part)

    return frozenset(text for field in model.model_fields.values() for text in within(field.annotation))
