"""What a rule file may hold, as data: the reader, the formatter and the editors' schema all go by these forms."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Text:
    """Some text of at most ``limit`` characters."""

    limit: int = 200


@dataclass(frozen=True, slots=True)
class Name:
    """Small letters, digits and _, beginning with a letter."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number with at most four decimals."""

    low: Decimal = Decimal(-(10**13))
    high: Decimal = Decimal(10**13)


@dataclass(frozen=True, slots=True)
class Flag:
    """``true`` or ``false``."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these words."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """Text that follows a pattern, such as a length of time. ``example`` shows one."""

    pattern: str
    example: str


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time such as ``7d``, in milliseconds."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression: a condition where ``gives`` is a flag."""

    gives: Literal["value", "flag", "number"] = "value"


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    of: Shape
    least: int = 0
    most: int = 1000


@dataclass(frozen=True, slots=True)
class ByName:
    """A mapping whose keys the author chooses."""

    of: Shape


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several shapes."""

    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of a record of the schemas, without those that are filled in, and further keys after them."""

    what: str
    model: type[BaseModel]
    without: frozenset[str] = frozenset()
    more: tuple[Key, ...] = ()

    required: ClassVar[tuple[str, ...]] = ()

    @property
    def names(self) -> tuple[str, ...]:
        fields = (name for name in self.model.model_fields if name not in self.without)
        return (*fields, *(key.name for key in self.more))

    @property
    def optional(self) -> tuple[str, ...]:
        return self.names

    def key(self, name: str) -> Key | None:
        """The further key of that name; ``None`` for a field of the record."""
        return next((key for key in self.more if key.name == name), None)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a form. ``about`` is one line for who hovers over it."""

    name: str
    shape: Shape
    about: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """A mapping with these keys, in the order in which they are written. ``others`` is what any further key holds."""

    what: str
    keys: tuple[Key, ...]
    others: Shape | None = None

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys if key.required)

    @property
    def optional(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys if not key.required)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys)

    def key(self, name: str) -> Key | None:
        """The key of that name; ``None`` where the form has none."""
        return next((key for key in self.keys if key.name == name), None)


Shape = (
    Text | Name | Whole | Number | Flag | OneOf | Written | Length | Expression | Items | ByName | AnyOf | Record | Form
)


def suits(shape: Shape | None, *, mapping: bool, keys: frozenset[str] = frozenset()) -> Shape | None:
    """The one of a shape's alternatives that a list, or a mapping with these keys, most looks like."""
    if isinstance(shape, AnyOf):
        found = [one for inner in shape.shapes if (one := suits(inner, mapping=mapping, keys=keys)) is not None]
        return max(found, key=lambda one: len(keys & set(order_of(one))), default=None)
    fits = isinstance(shape, Form | Record | ByName) if mapping else isinstance(shape, Items)
    return shape if fits else None


def order_of(shape: Shape | None) -> tuple[str, ...]:
    """The order of a mapping's keys; empty where it is the author's."""
    return shape.names if isinstance(shape, Form | Record) else ()


def inner_of(shape: Shape | None, key: str) -> Shape | None:
    """The shape of what stands under a key of a mapping."""
    if isinstance(shape, Form):
        known = shape.key(key)
        return known.shape if known else shape.others
    if isinstance(shape, Record):
        more = shape.key(key)
        return more.shape if more else None
    return shape.of if isinstance(shape, ByName) else None
