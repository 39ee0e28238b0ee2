"""The steps of a value: each takes what the step before it gave and returns what it makes of it.

Where a row holds something else than the mapping says they raise ``BadValue``.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from streams.importer.mapping import DateFormat, NumberFormat

_MAX_DAYS: Final = 200 * 366
_PIECE: Final = re.compile(r"%.|[^%]", re.DOTALL)
_WIDTH: Final = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%H": 2, "%I": 2, "%M": 2, "%S": 2, "%j": 3, "%f": 6}


class BadValue(Exception):
    """A row's value is not what the mapping says. The message says what would be right and repeats nothing of it."""

    def __init__(self, code: str, message: str, column: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.column = code, message, column


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


def drop(missing: frozenset[str]) -> Callable[[Any], Any]:
    """Makes these texts missing."""
    return lambda value: None if value in missing else value


def cut(start: int, length: int) -> Callable[[Any], str]:
    """Cuts text; raises ``BadValue`` where it is shorter."""

    def sliced(value: Any) -> str:
        text = _text(value, "slice")
        if len(text) < start + length:
            raise BadValue("R012", f"expected at least {start + length} characters")
        return text[start : start + length]

    return sliced


def transformed(transform: Callable[[str], str]) -> Callable[[Any], str]:
    """Applies a named transform."""

    def changed(value: Any) -> str:
        try:
            return transform(_text(value, transform.__name__))
        except ValueError as error:
            raise BadValue("R012", str(error)) from None

    return changed


def number_reader(form: NumberFormat) -> Callable[[Any], Decimal | int]:
    """Reads text as an exact number."""
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


def date_reader(form: DateFormat, zone: ZoneInfo) -> Callable[[Any], date]:
    """Reads text as a date, or as a time with its offset."""
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


def at_time(clock: time, zone: ZoneInfo) -> Callable[[Any], datetime]:
    """Gives a date its time of day in the zone."""

    def at(value: Any) -> datetime:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise BadValue("R014", "at gives a time of day to a date; give the value as: date")
        return _in_zone(datetime.combine(value, clock), zone)

    return at


def add_to_date(day: date, months: int, days: int) -> date:
    """Moves a date by calendar months, its day cut to the month's last, then by days."""
    try:
        year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
        moved = day.replace(year=year, month=month + 1, day=min(day.day, monthrange(year, month + 1)[1]))
        return moved + timedelta(days=days)
    except (ValueError, OverflowError):
        raise BadValue("R013", "the date that results does not exist") from None


def whole_number(value: Any) -> int:
    """A number of months or days; none is 0."""
    if value is None:
        return 0
    number = Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
    if number is None or number != int(number) or abs(number) > _MAX_DAYS:
        raise BadValue("R012", "expected a whole number of months or days; give the value as: integer")
    return int(number)


def day_of(value: date) -> date:
    """The day of a date or time."""
    return value.date() if isinstance(value, datetime) else value


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


def _in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """The moment in the zone; of an hour that the clock shows twice, the first."""
    aware = moment.replace(tzinfo=zone)
    if aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise BadValue("R013", f"the clock of {zone.key} skips this time on this day")
    return aware


def _text(value: Any, step: str) -> str:
    if not isinstance(value, str):
        raise BadValue("R014", f"{step} takes text, but the value is something else already")
    return value
