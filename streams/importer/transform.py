"""Rows to values: a mapping's values bound to the columns of real files, as plain functions of a row.

``Scope`` resolves names and collects every name that does not exist before the first row is read; the functions it
gives raise ``BadValue`` for a row that holds something else than the mapping says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Context, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from streams.importer.fields import suggest
from streams.importer.mapping import (
    Cases,
    Condition,
    Const,
    DateFormat,
    DaysBetween,
    FirstOf,
    ListOf,
    Name,
    NumberFormat,
    ObjectOf,
    Origin,
    Plus,
    Table,
    Template,
    Value,
)
from streams.importer.steps import (
    BadValue,
    add_to_date,
    as_text,
    at_time,
    cut,
    date_reader,
    day_of,
    drop,
    number_reader,
    transformed,
    whole_number,
)
from streams.importer.transforms import TRANSFORMS
from triggers.errors import Problem
from triggers.language import codes
from triggers.language.codes import Code

_EXACT: Final = Context(prec=100)
"""Two numbers of 40 characters, the longest that are read, multiply without rounding."""


class View:
    """One row as the values see it: its own fields, the rows joined to it, and what was computed already."""

    __slots__ = ("computed", "fields", "joined")

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = fields
        self.joined: dict[str, Sequence[str] | None] = {}
        self.computed: dict[str, Any] = {}


Read = Callable[[View], Any]
"""Reads one value of a row; ``None`` where it is missing."""


class Scope:
    """The names that a value may use: the row's columns, ``join.column``, and the values defined above it."""

    def __init__(
        self,
        file: str,
        columns: Sequence[str],
        missing: frozenset[str],
        timezone: ZoneInfo,
    ) -> None:
        self._file = file
        self._timezone = timezone
        self._columns: dict[str, Read] = {}
        self._values: dict[str, Read] = {}
        self.problems: list[Problem] = []
        for index, column in enumerate(columns):
            self._columns[column] = _own(index, missing)

    def add_join(self, name: str, columns: Sequence[str], missing: frozenset[str]) -> None:
        """Makes the columns of a joined table known as ``name.column``."""
        for index, column in enumerate(columns):
            self._columns[f"{name}.{column}"] = _joined(name, index, missing)

    def add_value(self, name: str, value: Value) -> None:
        """Makes a value known under a name; it is computed once for each row."""
        if name in self._columns:
            self._report(
                codes.CONTRADICTION, f'a column is named "{name}" too; name the value differently', value.place
            )
            return
        self._values[name] = _remembered(name, _told_apart(value, self.read(value)))

    def read(self, value: Value) -> Read:
        """The function that reads ``value`` from a row."""
        read = self._origin(value.origin)
        if value.missing:
            read = _then(read, drop(value.missing))
        if value.slice is not None:
            read = _then(read, cut(*value.slice))
        if value.transform is not None:
            read = _then(read, transformed(TRANSFORMS[value.transform]))
        if value.table is not None:
            read = _looked_up(read, value.table)
        if isinstance(value.read_as, NumberFormat):
            read = _then(read, number_reader(value.read_as))
        elif isinstance(value.read_as, DateFormat):
            read = _then(read, date_reader(value.read_as, value.timezone or self._timezone))
        if value.times is not None:
            read = _multiplied(read, self.read(value.times))
        if value.plus is not None:
            read = self._later(read, value.plus)
        if value.at is not None:
            read = _then(read, at_time(value.at, value.timezone or self._timezone))
        return _told_apart(value, read)

    def holds(self, conditions: Sequence[Condition]) -> Callable[[View], bool]:
        """The function that tells whether all conditions hold for a row."""
        parts = [(self.name(c.name), c.accepted, c.negated) for c in conditions]

        def holds(view: View) -> bool:
            for read, accepted, negated in parts:
                value = read(view)
                if ((None if value is None else as_text(value)) in accepted) is negated:
                    return False
            return True

        return holds

    def name(self, name: Name) -> Read:
        """The function that reads a named column or value."""
        if name.kind != "column" and name.name in self._values:
            return self._values[name.name]
        if name.kind != "value" and name.name in self._columns:
            return self._columns[name.name]
        known = {"column": [*self._columns], "value": [*self._values], "either": [*self._columns, *self._values]}
        what = {"column": "no column", "value": "no value above", "either": "no column or value above"}[name.kind]
        hint = "" if name.kind != "either" else "; for a constant write {const: …}"
        message = f'{what} is named "{name.name}": {suggest(name.name, known[name.kind])}{hint}'
        self._report(codes.UNKNOWN_NAME, message, name.place)
        return _nothing

    def _origin(self, origin: Origin) -> Read:
        match origin:
            case Name():
                return self.name(origin)
            case Const(constant):
                return lambda _: constant
            case Template(parts):
                return _template([part if isinstance(part, str) else self.name(part) for part in parts])
            case FirstOf(values):
                return _first([self.read(value) for value in values])
            case Cases(cases, otherwise):
                bound = [(self.holds(conditions), self.read(value)) for conditions, value in cases]
                return _cases(bound, _nothing if otherwise is None else self.read(otherwise))
            case DaysBetween(first, second):
                return _days_between(self.read(first), self.read(second))
            case ListOf(values):
                return _list([self.read(value) for value in values])
            case ObjectOf(members):
                return _object({key: self.read(value) for key, value in members.items()})

    def _later(self, read: Read, plus: Plus) -> Read:
        months = _nothing if plus.months is None else self.read(plus.months)
        days = _nothing if plus.days is None else self.read(plus.days)

        def later(view: View) -> Any:
            value = read(view)
            if value is None or (plus.months and months(view) is None) or (plus.days and days(view) is None):
                return None
            if not isinstance(value, date):
                raise BadValue("R014", "only a date can have months or days added; give the value as: date")
            return add_to_date(value, whole_number(months(view)), whole_number(days(view)))

        return later

    def _report(self, code: Code, message: str, place: Any) -> None:
        self.problems.append(Problem(self._file, place.line, place.column, code.id, message, place.path))


def columns_of(value: Value, values: Mapping[str, Value]) -> str:
    """The column that a value mainly comes from, for messages; empty where it is none."""
    match value.origin:
        case Name(name, kind):
            if kind != "column" and name in values:
                return columns_of(values[name], values)
            return name
        case FirstOf(parts) | ListOf(parts):
            return next((column for part in parts if (column := columns_of(part, values))), "")
        case Template(parts):
            return next((part.name for part in parts if isinstance(part, Name)), "")
        case Cases(cases, _):
            return next((columns_of(part, values) for _, part in cases), "")
        case DaysBetween(_, second):
            return columns_of(second, values)
        case _:
            return ""


def _nothing(_: View) -> None:
    return None


def _own(index: int, missing: frozenset[str]) -> Read:
    def own(view: View) -> str | None:
        text = view.fields[index]
        return None if text in missing else text

    return own


def _joined(name: str, index: int, missing: frozenset[str]) -> Read:
    def joined(view: View) -> str | None:
        row = view.joined[name]
        return None if row is None or row[index] in missing else row[index]

    return joined


def _remembered(name: str, read: Read) -> Read:
    def remembered(view: View) -> Any:
        computed = view.computed
        if name not in computed:
            computed[name] = read(view)
        return computed[name]

    return remembered


def _told_apart(value: Value, read: Read) -> Read:
    """Names the column in what goes wrong, where the value is one column's."""
    if not isinstance(value.origin, Name):
        return read
    column = value.origin.name

    def told(view: View) -> Any:
        try:
            return read(view)
        except BadValue as bad:
            bad.column = bad.column or column
            raise

    return told


def _then(read: Read, step: Callable[[Any], Any]) -> Read:
    def then(view: View) -> Any:
        value = read(view)
        return None if value is None else step(value)

    return then


def _looked_up(read: Read, table: Table) -> Read:
    values = table.values

    def looked_up(view: View) -> Any:
        value = read(view)
        if value is None:
            # An empty field may be in the table; otherwise it stays missing, unless there is a default.
            return values.get("", table.default)
        text = as_text(value)
        if text in values:
            return values[text]
        if table.has_default:
            return table.default
        known = ", ".join(repr(key) for key in list(values)[:12])
        raise BadValue("R011", f"the text is not in the table {table.name}; it knows {known}")

    return looked_up


def _multiplied(read: Read, factor: Read) -> Read:
    def multiplied(view: View) -> Any:
        value, by = read(view), factor(view)
        if value is None or by is None:
            return None
        for part in (value, by):
            if isinstance(part, bool) or not isinstance(part, Decimal | int):
                raise BadValue("R014", "only a number can be multiplied; give the value as: number")
        return _EXACT.multiply(Decimal(value), Decimal(by))

    return multiplied


def _template(parts: list[str | Read]) -> Read:
    def template(view: View) -> str | None:
        text = []
        for part in parts:
            value = part if isinstance(part, str) else part(view)
            if value is None:
                return None
            text.append(as_text(value))
        return "".join(text)

    return template


def _first(reads: list[Read]) -> Read:
    return lambda view: next((value for read in reads if (value := read(view)) is not None), None)


def _cases(cases: list[tuple[Callable[[View], bool], Read]], otherwise: Read) -> Read:
    return lambda view: next((read for holds, read in cases if holds(view)), otherwise)(view)


def _days_between(first: Read, second: Read) -> Read:
    def days(view: View) -> int | None:
        start, end = first(view), second(view)
        if start is None or end is None:
            return None
        if not isinstance(start, date) or not isinstance(end, date):
            raise BadValue("R014", "days_between takes two dates; give the values as: date")
        return (day_of(end) - day_of(start)).days

    return days


def _list(reads: list[Read]) -> Read:
    return lambda view: [value for read in reads if (value := read(view)) is not None]


def _object(members: dict[str, Read]) -> Read:
    return lambda view: {key: value for key, read in members.items() if (value := read(view)) is not None}
