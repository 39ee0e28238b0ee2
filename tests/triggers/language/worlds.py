"""What expressions see in tests: scopes with a value, or nothing, under every name of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from triggers.engine.scope import Scope
from triggers.errors import Problem
from triggers.language.calendar import Calendar, Hours
from triggers.language.document import Document, Node, Place, read_document
from triggers.language.expressions import Checked, Context, FeatureName, read_expression
from triggers.language.names import CATALOGUE, Name, Type
from triggers.language.reader import Reader

TODAY = date(2026, 3, 2)
NOW = 15
"""The hour."""
CALENDAR = Calendar(
    holidays=frozenset({date(2026, 2, 16), date(2026, 3, 3), date(2026, 3, 9)}),
    worked=frozenset({date(2026, 2, 14), date(2026, 3, 7)}),
    desk_hours={"private": (Hours(time(10), time(12)),)},
)
OF_CALENDAR: Mapping[str, Any] = {
    "holidays": CALENDAR.holidays,
    "worked": CALENDAR.worked,
    "desks": {"private": range(10, 12)},
    "now": NOW,
}
"""The same for the slow interpreter."""
FEATURES: Mapping[str, FeatureName] = {
    "peak_7d": FeatureName(0, Type("money")),
    "in_30d": FeatureName(1, Type("money", nullable=False)),
    "visits": FeatureName(2, Type("number", nullable=False, whole=True)),
    "last_kind": FeatureName(3, Type("text")),
}
ANYWHERE = Context(features=FEATURES)
ON_TRANSACTION = Context(features=FEATURES, record_types=frozenset({"transaction"}))

_SAMPLES: Mapping[str, Any] = {
    "money": Decimal("12345.67"),
    "number": Decimal("3.5"),
    "text": "x",
    "flag": True,
    "date": date(2026, 6, 1),
    "time": datetime(2026, 3, 2, 10, tzinfo=UTC),
    "texts": ("vip", "x"),
}


def sample(kind: Type) -> Any:
    """Some value of a type."""
    if kind.kind == "enum":
        return kind.values[0]
    return 7 if kind.whole else _SAMPLES[kind.kind]


def scope_of(values: Mapping[str, Any], record_type: str = "transaction") -> Scope:
    """A scope with these values by full name; a part of which nothing is given is missing."""
    scope = Scope()
    parts: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        name = CATALOGUE.get(path)
        if name is not None:
            parts.setdefault(name.part, {})[name.attribute] = value
    account = parts.pop("before_account", None)
    if account is not None:
        parts.setdefault("before", {})
    for part, fields in parts.items():
        setattr(scope, part, SimpleNamespace(**fields))
    if scope.before is not None:
        scope.before.account = SimpleNamespace(**account) if account is not None else None
    if scope.event is not None:
        scope.event.record_type = record_type
    features = {
        known.index: values.get(name, None if known.type.nullable else sample(known.type))
        for name, known in FEATURES.items()
    }
    scope.feature = features.__getitem__
    scope.today = lambda: TODAY
    scope.business_days_until = lambda day: CALENDAR.between(TODAY, day)
    scope.slots = lambda count, desk: tuple(
        f"{slot:%Y-%m-%d %H:%M}" for slot in CALENDAR.slots(datetime(2026, 3, 2, NOW, tzinfo=UTC), count, desk)
    )
    return scope


def full_values(choose: Callable[[Name], Any] = lambda name: sample(name.type)) -> dict[str, Any]:
    """A value for every name and feature."""
    values = {path: choose(name) for path, name in CATALOGUE.items()}
    return values | {name: sample(known.type) for name, known in FEATURES.items()}


def check(
    text: str, context: Context = ON_TRANSACTION, *, expect: str | None = None
) -> tuple[Checked | None, list[Problem]]:
    """An expression as a file holds it: quoted, so that it may be any text."""
    node = Node(text, Place(1, 1, "when"), text)
    reader = Reader(Document("f.yaml", text, node))
    return read_expression(reader, node, context, expect=expect), reader.problems


def check_yaml(text: str, context: Context = ON_TRANSACTION) -> list[Problem]:
    """The problems of the expression under ``when`` of a YAML text."""
    document, problems = read_document("f.yaml", text)
    assert document is not None, problems
    assert document.root is not None
    assert isinstance(document.root.value, dict)
    reader = Reader(document)
    read_expression(reader, document.root.value["when"].value, context, expect="flag")
    return reader.problems


def value_of(text: str, values: Mapping[str, Any], context: Context = ON_TRANSACTION) -> Any:
    """What an expression comes to."""
    checked, problems = check(text, context)
    assert checked is not None, [str(problem) for problem in problems]
    return checked.expression.evaluate(scope_of(values))
