"""A fast path in front of pydantic: recognises the plain, valid message and leaves all else to the slow path.

Each inbound model gets a twin, a msgspec struct with the same fields, built from the model itself. A recognised
record equals, attribute by attribute, what pydantic would return; ``None`` means *not sure*, and then pydantic
decides and names the reason. What pydantic refuses is never recognised (the property tests hold both to it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, auto
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import PlainSerializer, PlainValidator, Strict, StringConstraints, WithJsonSchema
from pydantic.fields import FieldInfo

from schemas.base import (
    CURRENCIES,
    IDENTIFIER_PATTERN,
    MONEY_TEXT,
    Record,
    read_currency,
    read_date,
    read_decimal,
    read_positive_decimal,
    read_time,
)

Recogniser = Callable[[bytes], Record | None]


class Recognised(msgspec.Struct, eq=False):
    """The base of the twins: equal to any record, twin or model, of the same type with equal attributes."""

    __hash__ = None  # type: ignore[assignment]  # as for any class that defines equality of mutable parts

    def __eq__(self, other: object) -> bool:
        if getattr(other, "record_type", None) != getattr(self, "record_type", None):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__struct_fields__)

    def __ne__(self, other: object) -> bool:
        # Written out, since a struct brings a comparison of its own.
        return not self == other


class _Check(Enum):
    """What msgspec does not check by itself, so that Python must."""

    NONE = auto()
    PRINTABLE = auto()
    MONEY = auto()
    POSITIVE_MONEY = auto()
    TIME = auto()
    CONTAINER = auto()
    PRINTABLE_CONTAINER = auto()


_CONTAINERS: Final = (_Check.CONTAINER, _Check.PRINTABLE_CONTAINER)


@dataclass(frozen=True, slots=True)
class _Twin:
    """The type msgspec reads a field as, and what is left to check."""

    type: Any
    check: _Check = _Check.NONE
    optional: bool = False


def build(model: type[Record]) -> Recogniser:
    """The recogniser of a model: a function written for its fields, as ``dataclass`` writes methods.

    One that went through lists of fields would take twice as long as all it calls.

    Raises ``TypeError`` for a model with something it cannot mirror exactly: better no start than a second opinion.
    """
    twins = _twins_of(model)
    names: dict[str, Any] = {
        "read": msgspec.json.Decoder(_struct_of(model, twins)).decode,
        "read_numbers": _numbers_reader(model, twins),
        "ValidationError": msgspec.ValidationError,
        "Decimal": Decimal,
        "is_money": MONEY_TEXT.fullmatch,
        "is_positive_money": re.compile(MONEY_TEXT.pattern.removeprefix("-?")).fullmatch,
        "set_attribute": _set_attribute,
        "keys_of": _keys_of,
    }
    source = "\n".join(_source(model, twins, names))
    exec(compile(source, f"<recogniser of {model.__name__}>", "exec"), names)  # noqa: S102  of the names of our fields
    return cast(Recogniser, names["recognise"])


def _source(model: type[Record], twins: dict[str, _Twin], names: dict[str, Any]) -> Iterator[str]:
    """The lines of a recogniser. What they name beside ``names``, defaults and rules, is added there."""
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    optional = [name for name in twins if name not in required]
    yield "def recognise(value):"
    yield "    try:"
    yield "        record = read(value)"
    yield "    except ValidationError:"
    # An amount written as a number, perhaps. Whatever else it is, the slow path says it better.
    yield "        record = read_numbers(value)"
    yield "        if record is None:"
    yield "            return None"
    yield "    except ValueError:"
    yield "        return None"
    words = [name for name in required if twins[name].check is _Check.PRINTABLE]
    if words:
        # Printable ASCII is what the pattern of identifiers allows; msgspec has checked the lengths.
        yield f"    words = f'{''.join(f'{{record.{name}}}' for name in words)}'"
        yield "    if not words.isascii() or not words.isprintable() or ' ' in words:"
        yield "        return None"
    for name in twins:
        yield from _check_value(name, twins[name])
    yield f"    present = {len(required)}"
    for name in optional:
        default = model.model_fields[name].get_default(call_default_factory=True)
        names[f"default_{name}"] = default
        plain = default is None or type(default) is bool
        yield f"    given = record.{name}"
        yield f"    if given {f'is not {default}' if plain else f'!= default_{name}'}:"
        yield "        present += 1"
        if twins[name].check is _Check.PRINTABLE:
            yield "        if given is not None and not (given.isascii() and given.isprintable() and ' ' not in given):"
            yield "            return None"
    inner = [f" + max(0, len(record.{name}) - 1)" for name in twins if twins[name].check in _CONTAINERS]
    # msgspec lets the last of several equal keys win; the slow path refuses them. Between the pairs of an object
    # and the items of an array stand commas, so with more than ``keys - 1 + inner`` of them there may be a
    # second equal key (or a comma inside a text), with fewer there is none.
    yield f"    inner = 0{''.join(inner)}"
    yield "    commas = value.count(b',')"
    yield "    if commas >= present + inner and commas >= len(keys_of(value)) + inner:"
    yield "        return None"
    for number, decorator in enumerate(model.__pydantic_decorators__.model_validators.values()):
        names[f"rule_{number}"] = decorator.func
        yield "    try:"
        yield f"        rule_{number}(record)"
        yield "    except ValueError:"
        yield "        return None"
    # The twin has the model's attributes and its record_type; nothing else of a record is used on the hot path.
    yield "    return record"


def _check_value(name: str, twin: _Twin) -> Iterator[str]:
    match twin.check:
        case _Check.TIME:
            yield f"    moment = record.{name}"
            # The range's two ends are the slow path's.
            yield "    if moment.tzinfo is None or not 1900 < moment.year < 2199:"
            yield "        return None"
        case _Check.MONEY | _Check.POSITIVE_MONEY:
            matches = "is_money" if twin.check is _Check.MONEY else "is_positive_money"
            yield f"    text = record.{name}"
            yield f"    if {'text is not None' if twin.optional else 'True'}:"
            yield f"        if not {matches}(text):"
            yield "            return None"
            yield f"        set_attribute(record, '{name}', Decimal(text))"
        case _Check.PRINTABLE_CONTAINER:
            yield f"    words = ''.join(record.{name})"
            yield "    if not words.isascii() or not words.isprintable() or ' ' in words:"
            yield "        return None"
        case _:
            pass


# For building types at run time, which a type checker takes for annotations.
_TUPLE: Final[Any] = tuple
_DICT: Final[Any] = dict

_keys_of: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The distinct keys of an object; dear, so only asked where a default may have been written out."""

# The twins are frozen for everyone else: only the text of an amount is replaced, once, by its number.
_set_attribute: Final = msgspec.structs.force_setattr


def _numbers_reader(model: type[Record], twins: dict[str, _Twin]) -> Callable[[bytes], Any]:
    """Reads a message whose amounts may be JSON numbers: the text of each number, as if it had been quoted."""
    money = [name for name, twin in twins.items() if twin.check in (_Check.MONEY, _Check.POSITIVE_MONEY)]
    if not money:
        return lambda _: None
    raw = {name: _Twin(msgspec.Raw) for name in money}
    read = msgspec.json.Decoder(_struct_of(model, twins | raw)).decode

    def read_numbers(value: bytes) -> Any:
        try:
            record = read(value)
            for name in money:
                given = getattr(record, name)
                if given is not None:
                    text = str(given, "ascii")
                    if text[0] == '"':
                        # Escapes are kept as they stand; no amount has any, so one ends in the slow path.
                        _set_attribute(record, name, text[1:-1])
                    elif text == "null" and twins[name].optional:
                        _set_attribute(record, name, None)
                    elif text == "-0":  # the integer zero to the slow path, a negative zero as text
                        return None
                    else:
                        _set_attribute(record, name, text)
        except (ValueError, RecursionError):  # the latter for an amount of a thousand brackets
            return None
        return record

    return read_numbers


def _struct_of(model: type[Record], twins: dict[str, _Twin]) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, field in model.model_fields.items():
        if field.is_required():
            fields.append((name, twins[name].type))
        else:
            fields.append((name, twins[name].type, field.get_default(call_default_factory=True)))
    return msgspec.defstruct(
        model.__name__,
        fields,
        bases=(Recognised,),
        eq=False,
        namespace={"record_type": model.record_type, "__doc__": model.__doc__},
        module=__name__,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,  # scalars, and containers of scalars: no cycle is possible
    )


def _twins_of(model: type[Record]) -> dict[str, _Twin]:
    decorators = model.__pydantic_decorators__
    unmirrored = [
        decorators.validators,
        decorators.field_validators,
        decorators.root_validators,
        decorators.field_serializers,
        decorators.model_serializers,
        decorators.computed_fields,
    ]
    if any(unmirrored) or any(d.info.mode != "after" for d in decorators.model_validators.values()):
        raise TypeError(f"{model.__name__}: only validators of the whole model, mode 'after', can be mirrored")
    if aliased := [name for name, field in model.model_fields.items() if field.alias or field.validation_alias]:
        raise TypeError(f"{model.__name__}: aliases cannot be mirrored: {', '.join(aliased)}")
    hints = get_type_hints(model, include_extras=True)
    twins = {}
    for name in model.model_fields:
        try:
            twins[name] = _twin(hints[name])
        except TypeError as error:
            raise TypeError(f"{model.__name__}.{name}: {error}") from None
    return twins


_READERS: Final[dict[Any, _Twin]] = {
    read_time: _Twin(datetime, _Check.TIME),
    read_decimal: _Twin(str, _Check.MONEY),
    read_positive_decimal: _Twin(str, _Check.POSITIVE_MONEY),
    read_currency: _Twin(Literal[tuple(sorted(CURRENCIES))]),
    read_date: _Twin(date),
}


def _twin(hint: Any) -> _Twin:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin is Literal or hint in (str, int, bool):
        return _Twin(hint)
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        inner = _twin(next(part for part in arguments if part is not NoneType))
        if inner.check not in (_Check.TIME, _Check.CONTAINER, _Check.PRINTABLE_CONTAINER):
            return _Twin(inner.type | None, inner.check, optional=True)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _twin(arguments[0])
        if item.check in (_Check.NONE, _Check.PRINTABLE) and not item.optional:
            return _Twin(
                _TUPLE[item.type, ...],
                _Check.CONTAINER if item.check is _Check.NONE else _Check.PRINTABLE_CONTAINER,
            )
    if origin is dict:
        key, item = _twin(arguments[0]), _twin(arguments[1])
        if key.check is item.check is _Check.NONE:
            return _Twin(_DICT[key.type, item.type], _Check.CONTAINER)
    raise TypeError(f"{hint} cannot be mirrored")


def _annotated(base: Any, metadata: tuple[Any, ...]) -> _Twin:
    limits: dict[str, Any] = {}
    check = None
    for part in _flat(metadata):
        match part:
            case PlainValidator(func=func) if func in _READERS:
                # It alone decides; nothing beside it may narrow the field further.
                if any(not isinstance(p, PlainValidator | PlainSerializer | WithJsonSchema) for p in _flat(metadata)):
                    raise TypeError(f"constraints beside {func} cannot be mirrored")
                return _READERS[func]
            case Strict(strict=True):
                pass
            case Ge(ge=bound) | Le(le=bound):
                limits["ge" if isinstance(part, Ge) else "le"] = bound
            case MinLen(min_length=length):
                limits["min_length"] = length
            case MaxLen(max_length=length):
                limits["max_length"] = length
            case StringConstraints(strip_whitespace=None, to_upper=None, to_lower=None):
                limits |= {k: v for k in ("min_length", "max_length") if (v := getattr(part, k)) is not None}
                if part.pattern == IDENTIFIER_PATTERN:
                    check = _Check.PRINTABLE
                elif part.pattern is not None:
                    raise TypeError(f"the pattern {part.pattern!r} cannot be mirrored")
            case _:
                raise TypeError(f"{part!r} cannot be mirrored")
    twin = _twin(base)
    # Without Strict pydantic would bend a value into the type (a text into a number), which msgspec does not: that
    # only sends more messages down the slow path, where it is decided.
    return _Twin(Annotated[twin.type, msgspec.Meta(**limits)] if limits else twin.type, check or twin.check)


def _flat(metadata: tuple[Any, ...]) -> Iterator[Any]:
    for part in metadata:
        if isinstance(part, FieldInfo):
            yield from part.metadata
        else:
            yield part
