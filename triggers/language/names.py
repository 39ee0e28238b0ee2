"""The names an expression may use, with their types: derived from the schemas, so that the two cannot drift apart."""

from __future__ import annotations

import datetime
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel

from schemas.base import Count, Money, PositiveMoney, Sequence
from schemas.desk import DeskStep
from schemas.events import Behaviour, Channel, CustomerEvent, Feedback, Manager, Maturity, Profile, Tier, Transaction
from triggers.language.model import Complexity, OfferKind

Kind = Literal["money", "number", "text", "enum", "flag", "date", "time", "texts", "any"]
"""``texts`` is a list of text; ``any`` stands for what a reported mistake left without a type."""


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a name or of an expression. ``whole`` marks whole numbers; ``values`` are those of an enum."""

    kind: Kind
    nullable: bool = True
    values: tuple[str, ...] = ()
    whole: bool = False

    def __str__(self) -> str:
        return {"texts": "a list of text", "enum": "one of " + ", ".join(self.values), "any": "unknown"}.get(
            self.kind, f"a {self.kind}" if self.kind in ("number", "flag", "date", "time") else self.kind
        )

    def known(self) -> Type:
        return replace(self, nullable=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name: the part of the scope it is read from, the attribute there, its type.

    ``by_record`` holds the events that have it, with its type there; empty for what is not ``event.*``. With a ``key``
    the attribute is a mapping and the value stands under it; unknown where it does not.
    """

    path: str
    part: str
    attribute: str
    type: Type
    by_record: tuple[tuple[str, Type], ...] = ()
    key: str = ""

    def among(self, record_types: frozenset[str]) -> Type | None:
        """The type where only these events come; ``None`` where none of them has the name."""
        found = [kind for record_type, kind in self.by_record if record_type in record_types]
        if not found:
            return None
        values = tuple(dict.fromkeys(value for kind in found for value in kind.values))
        nullable = len(found) < len(record_types) or any(kind.nullable for kind in found)
        return replace(found[0], nullable=nullable, values=values)

    @property
    def record_types(self) -> frozenset[str]:
        return frozenset(record_type for record_type, _ in self.by_record)


RECORDS: Final[Mapping[str, type[CustomerEvent | DeskStep]]] = {
    model.record_type: model for model in (Transaction, Maturity, Profile, Behaviour, Feedback, DeskStep)
}
"""The events of a customer by the name ``on`` uses for them."""

ALL_RECORDS: Final = frozenset(RECORDS)

DETAILS: Final[Mapping[str, str]] = {
    "transaction": "kind",
    "maturity": "status",
    "behaviour": "action",
    "feedback": "outcome",
    "desk": "step",
}
"""The events that ``on`` may narrow (``behaviour.browse``), and the field that says which."""

ALIASES: Final[Mapping[str, str]] = {"product.opened": "maturity.purchased", "product.closed": "maturity.redeemed"}
"""Readable names of events."""


# As a Python type a Rate is equal to Money; only its name tells them apart.
_RATIOS: Final = frozenset({"expected_yield", "completeness"})


def literal_values(annotation: Any) -> tuple[str, ...]:
    """The values of a ``Literal``, also below ``Annotated`` and beside ``None``; empty where there is none."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return tuple(str(value) for value in typing.get_args(annotation))
    if origin is Annotated:
        return literal_values(typing.get_args(annotation)[0])
    if origin in (types.UnionType, typing.Union):
        return next(filter(None, map(literal_values, typing.get_args(annotation))), ())
    return ()


@cache
def hints_of(model: type[BaseModel]) -> dict[str, Any]:
    """The types of a model's fields, worked out once: each is compiled from its text."""
    return typing.get_type_hints(model, include_extras=True)


def detail_values(record_type: str) -> tuple[str, ...]:
    """What may follow the dot in ``on`` for this kind of event."""
    name = DETAILS.get(record_type)
    return literal_values(hints_of(RECORDS[record_type])[name]) if name else ()


def _field_type(annotation: Any) -> Type | None:
    """The type of a schema field; ``None`` for what an expression cannot hold."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        inner = [part for part in typing.get_args(annotation) if part is not type(None)]
        found = _field_type(inner[0]) if len(inner) == 1 else None
        return replace(found, nullable=True) if found else None
    if annotation in (Money, PositiveMoney):
        return Type("money", nullable=False)
    values = literal_values(annotation)
    if values:
        return Type("enum", nullable=False, values=values)
    base = typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation
    if typing.get_origin(base) is tuple:
        return Type("texts", nullable=False)
    simple: Mapping[Any, Type] = {
        str: Type("text", nullable=False),
        bool: Type("flag", nullable=False),
        int: Type("number", nullable=False, whole=True),
        Decimal: Type("number", nullable=False),
        datetime.date: Type("date", nullable=False),
        datetime.datetime: Type("time", nullable=False),
    }
    return simple.get(base) if isinstance(base, type) else None


def _event_names() -> dict[str, Name]:
    """``event.*`` of all records. A field that several records have is one name, of one kind."""
    found: dict[str, list[tuple[str, Type]]] = {}
    for record_type, model in RECORDS.items():
        for attribute, annotation in hints_of(model).items():
            read = _field_type(annotation) if attribute in model.model_fields else None
            if attribute in _RATIOS:
                read = Type("number", nullable=True)
            if read is not None and attribute != "schema_version":
                found.setdefault(attribute, []).append((record_type, read))
    names = {}
    for attribute, types_there in found.items():
        name = Name(f"event.{attribute}", "event", attribute, types_there[0][1], tuple(types_there))
        if len({kind.kind for _, kind in types_there}) != 1:
            raise TypeError(f"{name.path} has not one kind in all records")
        names[name.path] = replace(name, type=name.among(ALL_RECORDS) or name.type)
    return names


_CUSTOMER: Final[Mapping[str, Type]] = {
    "balance": Type("money"),
    "aum": Type("money"),
    "tier": Type("enum", values=literal_values(Tier)),
    "age": Type("number", whole=True),
    "sex": Type("enum", values=literal_values(Profile.model_fields["sex"].annotation)),
    "district": Type("text"),
    "branch_id": Type("text"),
    "manager_id": Type("text"),
    "managed": Type("flag"),
    "segments": Type("texts"),
    "employee": Type("flag"),
    "blacklisted": Type("flag"),
    "app_user": Type("flag"),
    "mobile_valid": Type("flag"),
    "mobile_pay_user": Type("flag"),
    "online_wealth_user": Type("flag"),
    "branch_visits_per_month": Type("number", whole=True),
    "completeness": Type("number"),
    "wealth_elsewhere": Type("money"),
    "exclusion_list": Type("number", whole=True),
    "exclusion_confirmed": Type("flag"),
    "accounts": Type("number", nullable=False, whole=True),
    "holdings": Type("number", nullable=False, whole=True),
    "product_kinds": Type("number", nullable=False, whole=True),
}
_NOW: Final[Mapping[str, Type]] = {"channels_left": Type("number", whole=True)}
"""What is known of the customer as of now only."""
_ACCOUNT: Final[Mapping[str, Type]] = {"id": Type("text"), "balance": Type("money"), "currency": Type("text")}
_PRODUCT: Final[Mapping[str, Type]] = {
    "id": Type("text"),
    "holding_id": Type("text"),
    "kind": Type("enum", values=literal_values(Maturity.model_fields["product_kind"].annotation)),
    "status": Type("enum", values=literal_values(Maturity.model_fields["status"].annotation)),
    "amount": Type("money"),
    "currency": Type("text"),
    "term_days": Type("number", whole=True),
    "expected_yield": Type("number"),
    "purchased_on": Type("date"),
    "matures_on": Type("date"),
}
_ACTION: Final[Mapping[str, Type]] = {
    "channel": Type("enum", values=literal_values(Channel)),
    "outcome": Type("enum", values=literal_values(Feedback.model_fields["outcome"].annotation)),
    "step": Type("number", whole=True),
    "trigger": Type("text"),
    "category": Type("text"),
}


_OFFER: Final[Mapping[str, Type]] = {
    "id": Type("text", nullable=False),
    "kind": Type("enum", nullable=False, values=literal_values(OfferKind)),
    "product_id": Type("text"),
    "term": Type("number", whole=True),
    "expected_yield": Type("number"),
    "complexity": Type("enum", values=literal_values(Complexity)),
    "min_amount": Type("money"),
}


def _part(prefix: str, part: str, fields: Mapping[str, Type]) -> dict[str, Name]:
    return {f"{prefix}.{field}": Name(f"{prefix}.{field}", part, field, kind) for field, kind in fields.items()}


CATALOGUE: Final[Mapping[str, Name]] = (
    _event_names()
    | _part("customer", "customer", {**_CUSTOMER, **_NOW})
    | _part("account", "account", _ACCOUNT)
    | _part("product", "product", _PRODUCT)
    | _part("before", "before", _CUSTOMER)
    | _part("before.account", "before_account", _ACCOUNT)
    | _part("offer", "offer", _OFFER)
    | _part("action", "action", _ACTION)
)
"""Every name by its full path."""

CURRENCY_NAMES: Final = frozenset(path for path in CATALOGUE if path.endswith(".currency"))
"""The names whose values are active codes of ISO 4217."""


def _never_negative() -> frozenset[str]:
    """What the schemas refuse below zero, under every name that it has here."""
    hints = {kind: hints_of(model) for kind, model in RECORDS.items()}
    sources: dict[str, dict[str, Any]] = {
        "customer": {
            **hints["profile"],
            "accounts": Count,
            "holdings": Count,
            "product_kinds": Count,
            "channels_left": Count,
        },
        "product": hints["maturity"],
    }
    found = set()
    for name in CATALOGUE.values():
        part = "customer" if name.part == "before" else name.part
        holders = [hints[kind] for kind in name.record_types] if part == "event" else [sources.get(part, {})]
        if all(_refuses_negative(holder.get(name.attribute)) for holder in holders):
            found.add(name.path)
    return frozenset(found)


def _refuses_negative(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return any(_refuses_negative(part) for part in typing.get_args(annotation))
    return annotation in (PositiveMoney, Count, Sequence)


NEVER_NEGATIVE: Final = _never_negative()
"""The names whose values are zero or more."""

ROOTS: Final = frozenset(path.split(".", 1)[0] for path in CATALOGUE)
HELPERS: Final = (
    "min",
    "max",
    "abs",
    "round",
    "days_until",
    "business_days_until",
    "percent",
    "crossed_above",
    "crossed_below",
    "slots",
)
DESKS: Final = literal_values(Manager.model_fields["desk"].annotation)
KEYWORDS: Final = frozenset({"and", "or", "not", "in", "true", "false", "True", "False"})
