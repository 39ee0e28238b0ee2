"""``calendar.yaml``: the bank's time zone, its business days, and the hours of its desks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from triggers.language import codes, grammar
from triggers.language.calendar import WEEKDAYS, Calendar, Hours
from triggers.language.document import Document, Node, Place, shorten
from triggers.language.reader import MINUTE_MS, Fields, Reader, suggest
from triggers.language.shared import Shared, Spot

_LONGEST_HOLIDAY: Final = 31


def read_calendar(reader: Reader, document: Document, shared: Shared) -> Shared:
    """The policy with what the file says; what it leaves out stays as it was."""
    fields = reader.mapping(document.root or Node({}, Place(1, 1, "")), grammar.CALENDAR)
    if fields is None:
        return shared
    policy = shared.policy
    known = policy.calendar
    zone = fields.get("timezone")
    weekend = _weekend(reader, fields.get("weekend"))
    hours = _hours(reader, fields.get("hours"))
    desk_hours = _desk_hours(reader, fields.get("desk_hours"))
    slot = fields.duration("slot")
    covers = _years(reader, fields.get("covers"))
    holidays = _holidays(reader, fields.items("holidays", "holidays"), covers)
    calendar = replace(
        known,
        weekend=known.weekend if weekend is None else weekend,
        holidays=frozenset(holidays) if "holidays" in fields else known.holidays,
        hours=hours or known.hours,
        desk_hours=desk_hours or known.desk_hours,
        slot_minutes=slot // MINUTE_MS if slot else known.slot_minutes,
    )
    if covers is not None or "holidays" in fields:
        calendar = replace(calendar, covers=frozenset(holidays.values()) if covers is None else covers)
    if "working_days" in fields:
        items = fields.items("working_days", "working days")
        calendar = replace(calendar, worked=_worked(reader, items, calendar, covers))
    _check_slots(reader, fields, calendar)
    policy = replace(
        policy,
        timezone=(_timezone(reader, zone) if zone else None) or policy.timezone,
        remind_at=fields.clock("remind_at") or policy.remind_at,
        calendar=calendar,
    )
    place = fields.key_place("covers" if "covers" in fields else "holidays")
    return replace(shared, policy=policy, spots={**shared.spots, "covers": Spot(document.file, place)})


def _timezone(reader: Reader, node: Node) -> ZoneInfo | None:
    name = reader.text(node, 64)
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = suggest(name, available_timezones()) or "; expected a name such as Asia/Shanghai"
        reader.report(codes.BAD_CHOICE, node.place, f'unknown time zone "{shorten(name)}"{hint}')
        return None


def _weekend(reader: Reader, node: Node | None) -> frozenset[int] | None:
    items = reader.items(node, "weekdays such as saturday", 7) if node else None
    if items is None or node is None:
        return None
    found = {reader.choice(item, WEEKDAYS) for item in items} - {None}
    if len(found) == len(WEEKDAYS):
        reader.report(codes.CONTRADICTION, node.place, "a week has at least one business day")
        return None
    return frozenset(WEEKDAYS.index(cast("str", name)) for name in found)


def _hours(reader: Reader, node: Node | None) -> tuple[Hours, ...]:
    """One opening, or several in the order of the day."""
    if node is None:
        return ()
    found: list[Hours] = []
    for item in node.value if isinstance(node.value, list) else [node]:
        fields = reader.mapping(item, grammar.HOURS)
        opens, closes = (fields.clock("from"), fields.clock("to")) if fields else (None, None)
        if fields is None or opens is None or closes is None:
            continue
        if closes <= opens:
            place = fields.entries["to"].value.place
            reader.report(codes.CONTRADICTION, place, f"a desk closes after it opens at {opens:%H:%M}")
        elif found and opens < found[-1].closes:
            message = f"the hours before end at {found[-1].closes:%H:%M}: write them in order, without overlap"
            reader.report(codes.CONTRADICTION, item.place, message)
        else:
            found.append(Hours(opens, closes))
    return tuple(found)


def _check_slots(reader: Reader, fields: Fields, calendar: Calendar) -> None:
    for hours in (calendar.hours, *calendar.desk_hours.values()):
        if hours and not any(_minutes(opened) >= calendar.slot_minutes for opened in hours):
            message = f"an appointment of {calendar.slot_minutes} minutes fits in none of the opening hours of a desk"
            reader.report(codes.CONTRADICTION, fields.key_place("slot"), message)
            return


def _minutes(hours: Hours) -> int:
    return (hours.closes.hour - hours.opens.hour) * 60 + hours.closes.minute - hours.opens.minute


def _desk_hours(reader: Reader, node: Node | None) -> dict[str, tuple[Hours, ...]]:
    fields = reader.mapping(node, grammar.DESK_HOURS) if node else None
    return {desk: _hours(reader, entry.value) for desk, entry in fields.entries.items()} if fields else {}


def _years(reader: Reader, node: Node | None) -> frozenset[int] | None:
    items = reader.items(node, "years", 200) if node else None
    if items is None:
        return None
    return frozenset(year for year in (reader.integer(item, 1901, 2199) for item in items) if year is not None)


def _holidays(reader: Reader, items: Sequence[Node], covers: frozenset[int] | None) -> dict[date, int]:
    """Every day that is a holiday, with the year of the holiday it belongs to."""
    lines: dict[date, int] = {}
    years: dict[date, int] = {}
    for item in items:
        span = _span(reader, item)
        if span is None or not _covered(reader, item, span[0], covers):
            continue
        day, last = span
        while day <= last:
            if day in lines:
                message = f"{day} is stated as a holiday already on line {lines[day]}"
                reader.report(codes.CONTRADICTION, item.place, message)
                break
            lines[day], years[day] = item.place.line, span[0].year
            day += timedelta(days=1)
    return years


def _span(reader: Reader, node: Node) -> tuple[date, date] | None:
    """The first and the last day of a holiday: a date alone, or a mapping with both."""
    if not isinstance(node.value, dict):
        day = reader.day(node)
        return (day, day) if day else None
    fields = reader.mapping(node, grammar.HOLIDAY)
    if fields is None:
        return None
    fields.text("name")
    first, last = fields.day("from"), fields.day("to")
    if first is None or last is None:
        return None
    place = fields.entries["to"].value.place
    if last < first:
        reader.report(codes.CONTRADICTION, place, f"the holiday ends before it begins on {first}")
        return None
    if (last - first).days >= _LONGEST_HOLIDAY:
        reader.report(codes.OUT_OF_RANGE, place, f"a holiday has at most {_LONGEST_HOLIDAY} days")
        return None
    return first, last


def _worked(
    reader: Reader, items: Sequence[Node], calendar: Calendar, covers: frozenset[int] | None
) -> frozenset[date]:
    lines: dict[date, int] = {}
    for item in items:
        day = reader.day(item)
        if day is None or not _covered(reader, item, day, covers):
            continue
        if day in lines:
            message = f"{day} is stated as a working day already on line {lines[day]}"
            reader.report(codes.CONTRADICTION, item.place, message)
        elif day.weekday() not in calendar.weekend and day not in calendar.holidays:
            message = f"{day} is a {WEEKDAYS[day.weekday()].capitalize()} and no holiday: it is worked anyway"
            reader.report(codes.CONTRADICTION, item.place, message)
        lines.setdefault(day, item.place.line)
    return frozenset(lines)


def _covered(reader: Reader, node: Node, day: date, covers: frozenset[int] | None) -> bool:
    if covers is None or day.year in covers:
        return True
    reader.report(codes.CONTRADICTION, node.place, f"covers does not name the year {day.year}")
    return False
