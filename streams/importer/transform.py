"""Rows to values: a mapping's values bound to the columns of real files, as plain functions of a row.

``Scope`` resolves names and collects every name that does not exist before the first row is read; the functions it
gives raise ``BadValue`` for a row that holds something else than the mapping says.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
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
from streams.importer.transforms import TRANSFORMS
from triggers.errors import Problem
from triggers.language import codes
from triggers.language.codes import Code

_MAX_DAYS: Final = 200 * 366
_EXACT: Final = Context(prec=100)
"""Two numbers of 40 characters, the longest that are read, multiply without rounding."""
_PIECE: Final = re.compile(r"%.|[^%]", re.DOTALL)
_WIDTH: Final = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%H": 2, "%I": 2, "%M": 2, "%S": 2, "%j": 3, "%f": 6}


class BadValue(Exception):
    """A row's value is not what the mapping says. The message says what would be right and repeats nothing of it."""

    def __init__(self, code: str, message: str, column: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.column = code, message, column


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
            read = _then(read, _drop(value.missing))
        if value.slice is not None:
            read = _then(read, _cut(*value.slice))
        if value.transform is not None:
            read = _then(read, _renamed(TRANSFORMS[value.transform]))
        if value.table is not None:
            read = _looked_up(read, value.table)
        if isinstance(value.read_as, NumberFormat):
            read = _then(read, _number(value.read_as))
        elif isinstance(value.read_as, DateFormat):
            read = _then(read, _date(value.read_as, value.timezone or self._timezone))
        if value.times is not None:
            read = _multiplied(read, self.read(value.times))
        if value.plus is not None:
            read = self._later(read, value.plus)
        if value.at is not None:
            read = _then(read, _at(value.at, value.timezone or self._timezone))
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
            return _add(value, _whole(months(view)), _whole(days(view)))

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


def as_text(value: Any) -> str:
    """A value as text: a decimal without exponent, a date or time in ISO form, true or false."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


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


def _drop(missing: frozenset[str]) -> Callable[[Any], Any]:
    return lambda value: None if value in missing else value


def _cut(start: int, length: int) -> Callable[[Any], str]:
    def cut(value: Any) -> str:
        text = _text(value, "slice")
        if len(text) < start + length:
            raise BadValue("R012", f"expected at least {start + length} characters")
        return text[start : start + length]

    return cut


def _renamed(transform: Callable[[str], str]) -> Callable[[Any], str]:
    def renamed(value: Any) -> str:
        try:
            return transform(_text(value, transform.__name__))
        except ValueError as error:
            raise BadValue("R012", str(error)) from None

    return renamed


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


def _number(form: NumberFormat) -> Callable[[Any], Decimal | int]:
    thousands = re.escape(form.thousands)
    digits = rf"(?:[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|[0-9]+)" if thousands else "[0-9]+"
    tail = "" if form.whole else rf"(?:{re.escape(form.decimal)}[0-9]+)?"
    pattern = re.compile(rf"[-+]?{digits}{tail}", re.ASCII)
    kind = "whole number" if form.whole else "number"
    example = ("1234" if form.whole else f"1234{form.decimal}50").replace("1234", f"1{form.thousands}234")

    def number(value: Any) -> Decimal | int:
        text = _text(value, f"as: {'integer' if form.whole else 'number'}")
        if len(text) > 40 or not pattern.fullmatch(text):
            raise BadValue("R012", f"expected a {kind} such as {example}")
        plain = text.replace(form.thousands, "") if form.thousands else text
        return int(plain) if form.whole else Decimal(plain.replace(form.decimal, "."))

    return number


def _date(form: DateFormat, zone: ZoneInfo) -> Callable[[Any], date]:
    kind = "time" if form.with_time else "date"
    wanted = f"expected a {kind} that exists, written {form.format}"
    shape = _shape(form.format)

    def read(value: Any) -> date:
        text = _text(value, f"as: {kind}")
        try:
            if shape is None:
                moment = datetime.fromisoformat(text) if form.with_time else date.fromisoformat(text)
            else:
                # A text of another shape is as bad as a date that does not exist: strptime refuses an empty one.
                moment = datetime.strptime(text if shape.fullmatch(text) else "", form.format)  # noqa: DTZ007 - the zone is given below
            if form.century_from is not None:
                year = form.century_from + (moment.year - form.century_from) % 100
                moment = moment.replace(year=year)
        except ValueError:
            raise BadValue("R013", wanted) from None
        if not isinstance(moment, datetime):
            return moment
        if not form.with_time:
            return moment.date()
        return moment if moment.tzinfo is not None else _in_zone(moment, zone)

    return read


def _shape(format_: str) -> re.Pattern[str] | None:
    """What a text of the format must look like; ``None`` for iso.

    ``strptime`` alone reads five digits as "%y%m%d" and takes any white space: where directives touch, each has its
    full width here.
    """
    if format_ == "iso":
        return None
    parts = []
    pieces = _PIECE.findall(format_)
    for index, piece in enumerate(pieces):
        around = pieces[max(index - 1, 0) : index] + pieces[index + 1 : index + 2]
        if piece not in _WIDTH:
            parts.append(".+?" if piece[0] == "%" and piece != "%%" else re.escape(piece.removeprefix("%")))
        elif piece == "%Y" or any(other in _WIDTH for other in around):
            parts.append(f"[0-9]{{{_WIDTH[piece]}}}")
        else:
            parts.append(f"[0-9]{{1,{_WIDTH[piece]}}}")
    return re.compile("".join(parts), re.DOTALL)


def _at(clock: time, zone: ZoneInfo) -> Callable[[Any], datetime]:
    def at(value: Any) -> datetime:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise BadValue("R014", "at gives a time of day to a date; give the value as: date")
        return _in_zone(datetime.combine(value, clock), zone)

    return at


def _in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """The moment in the zone; of an hour that the clock shows twice, the first."""
    aware = moment.replace(tzinfo=zone)
    if aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise BadValue("R013", f"the clock of {zone.key} skips this time on this day")
    return aware


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


def _add(day: date, months: int, days: int) -> date:
    try:
        year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
        moved = day.replace(year=year, month=month + 1, day=min(day.day, monthrange(year, month + 1)[1]))
        return moved + timedelta(days=days)
    except (ValueError, OverflowError):
        raise BadValue("R013", "the date that results does not exist") from None


def _whole(value: Any) -> int:
    if value is None:
        return 0
    number = Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
    if number is None or number != int(number) or abs(number) > _MAX_DAYS:
        raise BadValue("R012", "expected a whole number of months or days; give the value as: integer")
    return int(number)


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
        return (_day(end) - _day(start)).days

    return days


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def _list(reads: list[Read]) -> Read:
    return lambda view: [value for read in reads if (value := read(view)) is not None]


def _object(members: dict[str, Read]) -> Read:
    return lambda view: {key: value for key, read in members.items() if (value := read(view)) is not None}


def _text(value: Any, step: str) -> str:
    if not isinstance(value, str):
        raise BadValue("R014", f"{step} takes text, but the value is something else already")
    return value
