"""The features of a trigger file, and the table in which the triggers of a rule set share them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast, get_args

from triggers.language import codes, grammar
from triggers.language.calendar import Since
from triggers.language.document import Entry, Node, shorten
from triggers.language.expressions import Checked, Context, FeatureName, read_expression
from triggers.language.model import Feature, Function, Series
from triggers.language.names import ALL_RECORDS, RECORDS, Type
from triggers.language.reader import DAY_MS, HOUR_MS, Fields, Reader, one_of, suggest
from triggers.language.tree import FeatureReference, Reference
from triggers.language.vocabulary import STANDARD, Vocabulary

MOST_FEATURES: Final = 100

_PERIODS: Final[Mapping[object, int]] = {
    "today": DAY_MS + HOUR_MS,
    "week": 7 * DAY_MS + HOUR_MS,
    "month": 31 * DAY_MS + HOUR_MS,
    "quarter": 92 * DAY_MS + HOUR_MS,
    "year": 366 * DAY_MS + HOUR_MS,
}
"""How long each is at most: an hour more where the clocks are put back."""

By = Literal["customer", "account"]

_NUMERIC: Final = ("money", "number")
_OF_NUMBERS: Final = frozenset({"sum", "max", "min", "mean", "daily_mean"})
_OF_FLOWS: Final = frozenset({"sum", "count", "mean"})
_WITH_ACCOUNT: Final = frozenset({"transaction", "maturity"})
_USUAL: Final = frozenset({"transaction"})
_UNKNOWN: Final = FeatureName(-1, Type("any"))


@dataclass(slots=True)
class FeatureTable:
    """Every series and feature of a rule set. The same one asked for twice is one, with the longest memory of both."""

    _series: list[Series] = field(default_factory=list)
    _by_id: dict[str, int] = field(default_factory=dict)
    _features: dict[Feature, int] = field(default_factory=dict)

    @property
    def series(self) -> tuple[Series, ...]:
        return tuple(self._series)

    @property
    def features(self) -> tuple[Feature, ...]:
        return tuple(self._features)

    def add(self, function: Function, series: Series, since: Since | None = None) -> int:
        """The index of the feature over ``series.retain_ms`` of this series, or over the calendar period so far."""
        index = self._by_id.setdefault(series.id, len(self._series))
        if index == len(self._series):
            self._series.append(series)
        elif self._series[index].retain_ms < series.retain_ms:
            self._series[index] = replace(self._series[index], retain_ms=series.retain_ms)
        return self._features.setdefault(Feature(function, index, series.retain_ms, since), len(self._features))


def read_features(
    reader: Reader,
    node: Node,
    woken_by: frozenset[str] | None,
    table: FeatureTable,
    vocabulary: Vocabulary = STANDARD,
) -> dict[str, FeatureName]:
    """The features of one file by name. One with a mistake stays known by name, so that its uses are not mistakes too.

    ``woken_by`` are the events that wake the trigger: a flow samples those where it does not say ``of``;
    ``None`` where they could not be read.
    """
    if not isinstance(node.value, dict):
        reader.wrong_type(node, "features by name: peak_7d: {max: customer.balance, over: 7d}")
        return {}
    if len(node.value) > MOST_FEATURES:
        message = f"a trigger has at most {MOST_FEATURES} features, found {len(node.value)}"
        reader.report(codes.OUT_OF_RANGE, node.place, message)
        return dict.fromkeys(node.value, _UNKNOWN)
    return {name: _read_feature(reader, name, entry, woken_by, table, vocabulary) for name, entry in node.value.items()}


def _read_feature(
    reader: Reader,
    name: str,
    entry: Entry,
    woken_by: frozenset[str] | None,
    table: FeatureTable,
    vocabulary: Vocabulary,
) -> FeatureName:
    before = len(reader.problems)
    reader.key("a feature", name, entry.place)
    node = entry.value
    keys = list(node.value) if isinstance(node.value, dict) else []
    functions = [key for key in keys if key in grammar.FUNCTIONS]
    fields = reader.mapping(node, grammar.FEATURE)
    if fields is None:
        return _UNKNOWN
    if len(functions) != 1 and not fields.meant & set(grammar.FUNCTIONS):
        message = (
            f"a feature has exactly one function, found {len(functions)}; there are {', '.join(grammar.FUNCTIONS)}"
        )
        reader.report(codes.CONTRADICTION, node.place, message)
    since = _since(fields)
    over = _PERIODS[since] if since else _length(reader, fields)
    by = cast("By", fields.choice("by") or "customer")
    sampled = _sampled(reader, fields)
    value = fields.get(functions[0]) if functions else None
    if value is None:
        return _UNKNOWN
    function = cast("Function", functions[0])
    if function == "count" and (value.value == "event" or value.value in RECORDS):
        of = "" if value.value == "event" else f", of: {value.text}"
        message = f"events are counted with count: true{of}; where: says which of them"
        reader.report(codes.TYPE_MISMATCH, value.place, message)
        return _UNKNOWN
    context = Context(
        record_types=sampled or (ALL_RECORDS if woken_by is None else woken_by & ALL_RECORDS) or _USUAL,
        absent={
            "before": "a feature reads what holds at its event",
            "product": "a feature does not concern one holding",
            "action": "it stands in a ladder only",
            "offer": "a feature does not concern an offer",
        },
        vocabulary=vocabulary,
    )
    expression = read_expression(reader, value, context)
    where_node = fields.get("where")
    where = read_expression(reader, where_node, context, expect="flag") if where_node else None
    if expression is None or (where_node and where is None) or over is None or len(functions) != 1:
        return _UNKNOWN
    level = _is_level(expression, where)
    _check_function(reader, function, expression, fields, level=level)
    if woken_by is not None or sampled:
        _check_account(reader, fields, by, (expression, where), context.record_types, level=level)
    if sampled and level:
        message = "of says which events a flow samples; this feature reads no event.*"
        reader.report(codes.CONTRADICTION, fields.key_place("of"), message)
    if len(reader.problems) > before:
        return _UNKNOWN
    record_types = ALL_RECORDS if level else context.record_types
    series = _series(expression, where, record_types, by, over, level=level)
    return FeatureName(table.add(function, series, since), _result(function, expression.term.type, by))


def _since(fields: Fields) -> Since | None:
    """The calendar period that a window is, where it is one."""
    node = fields.get("over")
    return cast("Since", node.value) if node is not None and node.value in _PERIODS else None


def _length(reader: Reader, fields: Fields) -> int | None:
    node = fields.get("over")
    if node is not None and isinstance(node.value, str) and not node.value[:1].isdigit():
        hint = suggest(node.value, [str(name) for name in _PERIODS])
        message = f'"{shorten(node.value)}" is neither a length of time such as 7d nor one of {one_of(get_args(Since))}'
        reader.report(codes.BAD_DURATION, node.place, message + hint)
        return None
    return fields.duration("over")


def _sampled(reader: Reader, fields: Fields) -> frozenset[str]:
    node = fields.get("of")
    if node is None:
        return frozenset()
    items = node.value if isinstance(node.value, list) else [node]
    return frozenset(filter(None, (reader.choice(item, tuple(RECORDS)) for item in items)))


def _is_level(expression: Checked, where: Checked | None) -> bool:
    """A level reads only what holds between events. A constant (``count: true``) counts events: a flow."""
    names = expression.expression.names | (where.expression.names if where else frozenset())
    return bool(expression.expression.names) and not any(name.startswith("event.") for name in names)


def _check_function(reader: Reader, function: str, expression: Checked, fields: Fields, *, level: bool) -> None:
    place, kind = expression.node.place, expression.term.type.kind
    if function in _OF_NUMBERS and kind not in _NUMERIC:
        message = f"{function} needs money or a number, found {expression.term.type}"
        reader.report(codes.TYPE_MISMATCH, place, message)
    elif kind == "texts":
        reader.report(codes.TYPE_MISMATCH, place, f"{function} takes one value, found {expression.term.type}")
    elif function == "count" and kind == "flag" and expression.expression.names:
        message = "count counts the events with a known value, true or false: write count: true, where: …"
        reader.report(codes.TYPE_MISMATCH, place, message)
    elif function == "daily_mean" and not level:
        message = "daily_mean is of what holds between events, such as customer.balance; use mean for events"
        reader.report(codes.CONTRADICTION, place, message)
    elif function in _OF_FLOWS and level:
        message = (
            f"{function} is of events, and this expression reads no event.*; "
            "for what holds between events there are max, min, first, last, distinct and daily_mean"
        )
        reader.report(codes.CONTRADICTION, place, message)
    elif function == "daily_mean" and "where" in fields:
        reader.report(codes.CONTRADICTION, fields.key_place("where"), "daily_mean weighs all time: it takes no where")


def _check_account(
    reader: Reader,
    fields: Fields,
    by: By,
    expressions: tuple[Checked, Checked | None],
    record_types: frozenset[str],
    *,
    level: bool,
) -> None:
    reads_account = any(
        isinstance(term, Reference) and term.name.part == "account"
        for checked in expressions
        if checked
        for term in checked.term.walk()
    )
    if reads_account and by == "customer" and level:
        message = "account.* is of one account: add by: account"
        reader.report(codes.CONTRADICTION, expressions[0].node.place, message)
    if by == "account" and not level and not record_types <= _WITH_ACCOUNT:
        strangers = ", ".join(sorted(record_types - _WITH_ACCOUNT))
        message = f"by: account needs events with an account; {strangers} has none"
        reader.report(codes.CONTRADICTION, fields.key_place("by"), message)
    if by == "account" and level and not reads_account:
        message = "by: account needs account.* in the expression"
        reader.report(codes.CONTRADICTION, fields.key_place("by"), message)


def _series(
    expression: Checked, where: Checked | None, record_types: frozenset[str], by: By, over: int, *, level: bool
) -> Series:
    parts = [expression.canonical, where.canonical if where else None, sorted(record_types), by, level]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    return Series(
        id=digest,
        expression=expression.expression,
        where=where.expression if where else None,
        record_types=record_types,
        by=by,
        level=level,
        retain_ms=over,
        money=expression.term.type.kind == "money",
    )


def _result(function: Function, sampled: Type, by: By) -> Type:
    # Of an account there is nothing to say where the event has none.
    nullable = by == "account"
    match function:
        case "count" | "distinct":
            return Type("number", nullable=nullable, whole=True)
        case "sum":
            return replace(sampled, nullable=nullable)
        case "mean" | "daily_mean":
            return Type(sampled.kind)
    return replace(sampled, nullable=True)


def used_features(checked: Checked) -> frozenset[str]:
    """The names of the features that an expression reads."""
    return frozenset(term.name for term in checked.term.walk() if isinstance(term, FeatureReference))
