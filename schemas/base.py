"""The base of every record and the scalar types they share: identifiers, event times, money, currencies.

Each scalar refuses what JSON or Python would quietly bend: a number where text belongs, a float where exact
decimals belong, a time without an offset. The error types raised here are the reason codes of dead letters
(see ``dead_letter.Reason``); no message repeats the offending value, which may be personal.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

import msgspec
import pycountry
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

SCHEMA_VERSION: Final = 1

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WITHOUT_ZONE: Final = EPOCH.replace(tzinfo=None)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EXACT_MS: Final = 2**33 * 1000
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""No time of a record reaches it."""

MONEY_SCALE: Final = 4
"""Decimal places kept of an amount. With 14 digits before the point an amount fits a signed 64-bit integer."""
MONEY_LIMIT: Final = 10**14
MONEY_TEXT: Final = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]{1,4})?")
IDENTIFIER_PATTERN: Final = r"^[!-~]+$"

# The epoch in each offset met so far. Subtracting two times that share one tzinfo object needs no call for their
# offsets, which halves the cost. Only fixed offsets of whole minutes: in a zone with summer time the difference of
# two wall times is not the time between them, and there are at most 2,879 of these.
_EPOCHS: dict[tzinfo | None, datetime] = {}


def to_ms(moment: datetime) -> int:
    """Milliseconds from the epoch (UTC) to an aware time, rounded down. Exact; a naive time is a ``TypeError``."""
    since = moment - (_EPOCHS.get(moment.tzinfo) or _epoch_in(moment.tzinfo))
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def from_ms(milliseconds: int) -> datetime:
    """The UTC time of so many milliseconds from the epoch."""
    if -_EXACT_MS < milliseconds < _EXACT_MS:
        # Half the time of the sum below. Of fewer than 2**33 seconds a float keeps the microseconds.
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    return EPOCH + timedelta(milliseconds=milliseconds)


def iso_of_ms(milliseconds: int) -> str:
    """``from_ms(milliseconds).isoformat()``, in half of the time: the offset is known."""
    return (_WITHOUT_ZONE + milliseconds * _MILLISECOND).isoformat() + "+00:00"


def read_time(value: Any) -> datetime:
    """A time with its offset, from RFC 3339 text or from Python.

    Text is read by msgspec here and in the recogniser, so both agree on every spelling: a space for the ``T``,
    small letters and ``+0800`` are read too; digits beyond the microsecond are rounded; a leap second is refused.
    """
    if type(value) is str:
        try:
            moment = msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            raise PydanticCustomError(
                "bad_time", "expected an RFC 3339 time such as 2026-03-02T10:00:00+08:00"
            ) from None
    elif isinstance(value, datetime):
        moment = value
    else:
        raise PydanticCustomError("wrong_type", "expected a time as text, RFC 3339")
    offset = moment.utcoffset()
    if offset is None:
        raise PydanticCustomError("naive_time", "the time has no offset from UTC; expected e.g. +08:00 or Z")
    if offset.microseconds or offset.seconds % 60:
        # Historic local mean time. RFC 3339 cannot write it.
        raise PydanticCustomError("bad_time", "expected an offset of whole minutes")
    # The year alone decides but for the range's ends: comparing aware times is dear.
    if not 1900 < moment.year < 2199 and not _EARLIEST <= moment < LATEST:
        raise PydanticCustomError("out_of_range", "expected a time between the years 1900 and 2200")
    return moment


def read_decimal(value: Any) -> Decimal:
    """An exact decimal of at most 14 digits and 4 decimals, from text, an ``int`` or a ``Decimal``; never a float."""
    kind = type(value)
    if kind is str:
        if not MONEY_TEXT.fullmatch(value):
            raise PydanticCustomError(
                "bad_number", "expected a decimal number such as 1234.50: at most 14 digits and 4 decimals"
            )
        return Decimal(value)
    if kind is float:
        raise PydanticCustomError("inexact_number", "a binary float is not exact; expected a decimal")
    if kind is not int and kind is not Decimal:
        raise PydanticCustomError("wrong_type", "expected a decimal number")
    if kind is Decimal and not value.is_finite():
        raise PydanticCustomError("not_finite", "expected a finite number")
    # Before any arithmetic: a number of ten thousand digits must cost nothing.
    if not -MONEY_LIMIT < value < MONEY_LIMIT:
        raise PydanticCustomError("out_of_range", "expected a number of at most 14 digits before the point")
    number = Decimal(value)
    exponent = int(number.as_tuple().exponent)
    if exponent < -MONEY_SCALE:
        raise PydanticCustomError("bad_number", "expected at most 4 decimals")
    return number if exponent <= 0 else number.quantize(Decimal(1))


def read_positive_decimal(value: Any) -> Decimal:
    """As ``read_decimal``, zero or more."""
    number = read_decimal(value)
    if number.is_signed():  # a negative zero too: nobody means one
        raise PydanticCustomError("out_of_range", "expected zero or more")
    return number


def read_currency(value: Any) -> str:
    """An active code of ISO 4217."""
    if type(value) is not str:
        raise PydanticCustomError("wrong_type", "expected a currency code as text")
    if value not in CURRENCIES:
        raise PydanticCustomError("unknown_currency", "expected an active ISO 4217 code such as CNY")
    return value


def read_date(value: Any) -> date:
    """A day, from ``YYYY-MM-DD`` or from Python (a ``datetime`` is not a day)."""
    if type(value) is date:
        return value
    if type(value) is not str:
        raise PydanticCustomError("wrong_type", "expected a date as text such as 2026-03-02")
    try:
        return msgspec.convert(value, date)
    except msgspec.ValidationError:
        raise PydanticCustomError("bad_date", "expected a date that exists, such as 2026-03-02") from None


def _epoch_in(zone: tzinfo | None) -> datetime:
    if type(zone) is not timezone or zone.utcoffset(None).total_seconds() % 60:
        return EPOCH
    epoch = _EPOCHS[zone] = EPOCH.astimezone(zone)
    return epoch


def _write_time(moment: datetime) -> str:
    # As the encoder of the hot path writes it (see ``schemas.encode``).
    text = moment.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


CURRENCIES: Final = frozenset(str(currency.alpha_3) for currency in pycountry.currencies)
"""The active codes of ISO 4217."""

Identifier = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=64, pattern=IDENTIFIER_PATTERN)]
"""1 to 64 printable ASCII characters without spaces. It may name a customer: pseudonymise it in logs."""

Occasion = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=200, pattern=IDENTIFIER_PATTERN)]
"""What caused an action: the event, or the holding and its day. At most 200 printable ASCII characters."""

ShortText = Annotated[str, Strict(), StringConstraints(max_length=200)]

TopicName = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=249, pattern=r"^[a-zA-Z0-9._-]+$")]
"""Whatever Kafka takes as the name of a topic."""

EventTime = Annotated[
    datetime,
    PlainValidator(read_time),
    PlainSerializer(_write_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339, with its offset"}),
]
"""A business time with its offset from UTC; a naive one is refused."""

_DECIMAL_SCHEMA: Final = {
    "anyOf": [
        {"type": "string", "pattern": "^-?[0-9]{1,14}(\\.[0-9]{1,4})?$"},
        {"type": "number", "exclusiveMinimum": -MONEY_LIMIT, "exclusiveMaximum": MONEY_LIMIT},
    ],
    "description": "exact decimal, at most 14 digits and 4 decimals; written as text, a number is read exactly",
}
_POSITIVE_SCHEMA: Final = _DECIMAL_SCHEMA | {
    "anyOf": [
        {"type": "string", "pattern": "^[0-9]{1,14}(\\.[0-9]{1,4})?$"},
        {"type": "number", "minimum": 0, "exclusiveMaximum": MONEY_LIMIT},
    ]
}
_AS_TEXT: Final = PlainSerializer(lambda number: format(number, "f"), return_type=str, when_used="json")

Money = Annotated[Decimal, PlainValidator(read_decimal), _AS_TEXT, WithJsonSchema(_DECIMAL_SCHEMA)]
"""An exact amount in the currency named beside it."""

PositiveMoney = Annotated[Decimal, PlainValidator(read_positive_decimal), _AS_TEXT, WithJsonSchema(_POSITIVE_SCHEMA)]
"""An exact amount of zero or more; its direction stands in a field of its own."""

Rate = Annotated[Decimal, PlainValidator(read_decimal), _AS_TEXT, WithJsonSchema(_DECIMAL_SCHEMA)]
"""A yearly rate as a fraction: 0.0265 is 2.65%."""

Currency = Annotated[
    str,
    PlainValidator(read_currency),
    WithJsonSchema({"type": "string", "enum": sorted(CURRENCIES), "description": "an active code of ISO 4217"}),
]

CalendarDate = Annotated[
    date,
    PlainValidator(read_date),
    PlainSerializer(date.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date"}),
]
"""A day in the bank's own time zone."""

Sequence = Annotated[int, Strict(), Field(ge=0, le=2**63 - 1)]
"""The publisher's own running number of one account, holding, customer or manager; a higher one is newer."""

Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]

Milliseconds = Annotated[int, Strict(), Field(ge=-(2**63), le=2**63 - 1)]
"""A time as milliseconds from the epoch (UTC)."""


class Record(BaseModel):
    """The base of every record: immutable, and nothing but its declared fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_inf_nan="strings")

    record_type: ClassVar[str]
    """The name a trigger's ``on`` uses for it: ``transaction``, ``maturity`` …"""

    schema_version: Annotated[int, Strict(), Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    tenant: Identifier


class Event(Record):
    """A record that a publisher sends to the system."""

    event_id: Identifier
    occurred_at: EventTime
