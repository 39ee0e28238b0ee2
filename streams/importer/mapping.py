"""What a mapping file says: which files there are, how they are read, and how a row becomes a record.

``mapping_reader`` reads it from YAML; ``transform`` binds it to the headers of real files and applies it. The file
format is described in ``streams/importer/README.md``.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from schemas.topics import Topic
from triggers.language.document import Place, Scalar


@dataclass(frozen=True, slots=True)
class Source:
    """A table in files. ``file`` is a glob for the file's name; ``columns`` names them where the file has no header.

    ``missing`` holds the texts that stand for no value.
    """

    name: str
    file: str
    separator: str
    encoding: str
    quote: str
    columns: tuple[str, ...]
    missing: frozenset[str]
    place: Place


@dataclass(frozen=True, slots=True)
class Name:
    """A reference to a column (``kind`` column), to a value of ``values`` (value), or to whichever has the name."""

    name: str
    kind: Literal["column", "value", "either"]
    place: Place


@dataclass(frozen=True, slots=True)
class Const:
    """The same value for every row."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Template:
    """Text with names in braces: literal, name, literal, name … Missing where one of them is."""

    parts: tuple[str | Name, ...]


@dataclass(frozen=True, slots=True)
class FirstOf:
    """The first of the values that is not missing."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Cases:
    """The value of the first case whose conditions hold, else ``otherwise``."""

    cases: tuple[tuple[tuple[Condition, ...], Value], ...]
    otherwise: Value | None


@dataclass(frozen=True, slots=True)
class DaysBetween:
    """Whole days from the first date to the second."""

    first: Value
    second: Value


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of the values that are not missing."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """An object of the values that are not missing."""

    values: Map[str, Value]


Origin = Name | Const | Template | FirstOf | Cases | DaysBetween | ListOf | ObjectOf


@dataclass(frozen=True, slots=True)
class Table:
    """A value table: text in, value out. Without a default, a text that is not in it is a row error."""

    name: str
    values: Map[str, Scalar]
    default: Scalar = None
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How text is read as an exact decimal (or a whole number)."""

    whole: bool
    decimal: str
    thousands: str


@dataclass(frozen=True, slots=True)
class DateFormat:
    """How text is read as a date or a time: a ``strptime`` format, or ``iso``.

    ``century_from`` is the first of the hundred years that a two-digit year may mean.
    """

    format: str
    with_time: bool
    century_from: int | None


@dataclass(frozen=True, slots=True)
class Plus:
    """Calendar months, then days, added to a date; the day is cut to the month's last."""

    months: Value | None
    days: Value | None


@dataclass(frozen=True, slots=True)
class Value:
    """Where a value comes from and what is done to it, in the order of the fields."""

    origin: Origin
    place: Place
    missing: frozenset[str] = frozenset()
    slice: tuple[int, int] | None = None
    transform: str | None = None
    table: Table | None = None
    read_as: NumberFormat | DateFormat | None = None
    times: Value | None = None
    plus: Plus | None = None
    at: time | None = None
    timezone: ZoneInfo | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when the named value, as text, is one of ``accepted`` (``None``: it is missing), or is not."""

    name: Name
    accepted: frozenset[str | None]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """Another table's row for each row: the one whose columns ``on`` equal the values named on the left."""

    name: str
    source: str
    on: tuple[tuple[Name, Name], ...]
    where: tuple[Condition, ...]
    required: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Chain:
    """Orders rows that ``order`` leaves equal so that balances add up (see ``chain.order_by_balance``)."""

    balance: Value
    amount: Value
    opening: Decimal | None
    tolerance: Decimal


@dataclass(frozen=True, slots=True)
class Sequencing:
    """The running number: 1, 2, 3 … for each ``per``, in ``order``; rows equal in it keep the file's order.

    ``spread_seconds`` gives the rows that ``order`` leaves equal times that many seconds apart.
    """

    per: Value
    order: tuple[Value, ...]
    chain: Chain | None
    spread_seconds: int
    place: Place


@dataclass(frozen=True, slots=True)
class Output:
    """Rows of one source to events of one topic."""

    name: str
    topic: Topic
    source: str
    joins: tuple[Join, ...]
    where: tuple[Condition, ...]
    values: Map[str, Value]
    record: Map[str, Value]
    sequence: Sequencing | None
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping file that was read and holds no mistake that can be seen without the data."""

    file: str
    tenant: str
    timezone: ZoneInfo
    sources: Map[str, Source]
    outputs: tuple[Output, ...]
    tables: Map[str, Table] = field(default_factory=dict)
