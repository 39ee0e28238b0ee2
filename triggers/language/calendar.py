"""The bank's days: weekends, public holidays, weekend days that are worked, and the hours of its desks.

Days count by number, not one by one: whatever two dates an event names, counting between them takes no longer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final, Literal

Roll = Literal["none", "next", "previous"]
"""Where a day goes that is no business day: nowhere, to the next business day, or to the one before."""

Since = Literal["today", "week", "month", "quarter", "year"]
"""The windows that begin with a calendar period in the bank's time zone; a week begins on Monday."""

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY: Final = timedelta(days=1)
_MOST_DAYS_AHEAD: Final = 400
"""How far open slots are looked for."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When a desk is open on a business day: from ``opens`` to ``closes``."""

    opens: time
    closes: time


def first_day(since: Since, day: date) -> date:
    """The first day of the week, month, quarter or year that a day is in; of ``today`` the day itself."""
    match since:
        case "today":
            return day
        case "week":
            return date.fromordinal(max(day.toordinal() - day.weekday(), 1))
        case "month":
            return day.replace(day=1)
        case "quarter":
            return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    return date(day.year, 1, 1)


_NINE_TO_FIVE: Final = (Hours(time(9), time(17)),)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Business days and open hours. ``weekend`` are weekdays, Monday 0, never all seven.

    ``worked`` are days of a weekend or a holiday that are worked. ``covers`` are the years whose holidays are known;
    in any other year only weekends are left out. ``hours`` hold for every desk that has none of its own.
    """

    weekend: frozenset[int] = frozenset({5, 6})
    holidays: frozenset[date] = frozenset()
    worked: frozenset[date] = frozenset()
    covers: frozenset[int] = frozenset()
    hours: tuple[Hours, ...] = _NINE_TO_FIVE
    desk_hours: Mapping[str, tuple[Hours, ...]] = field(default_factory=dict)
    slot_minutes: int = 60
    _missing: tuple[int, ...] = field(default=(), init=False, repr=False, compare=False)
    """The holidays on weekdays, as ordinals in order."""
    _added: tuple[int, ...] = field(default=(), init=False, repr=False, compare=False)
    """The days of weekends that are worked, as ordinals in order."""

    def __post_init__(self) -> None:
        missing = sorted(day.toordinal() for day in self.holidays - self.worked if day.weekday() not in self.weekend)
        added = sorted(day.toordinal() for day in self.worked if day.weekday() in self.weekend)
        object.__setattr__(self, "_missing", tuple(missing))
        object.__setattr__(self, "_added", tuple(added))

    def is_business_day(self, day: date) -> bool:
        """Whether the bank works on this day."""
        if day in self.worked:
            return True
        return day.weekday() not in self.weekend and day not in self.holidays

    def between(self, start: date, end: date) -> int:
        """The business days from ``start`` on that come before ``end``; negative where ``end`` comes first."""
        return self._count(end.toordinal()) - self._count(start.toordinal())

    def before(self, day: date, count: int) -> date:
        """The day so many business days before a day; the day itself for 0."""
        return self._of_number(self._count(day.toordinal()) - count) if count else day

    def after(self, day: date, count: int) -> date:
        """The day so many business days after a day; the day itself for 0."""
        return self._of_number(self._count(day.toordinal() + 1) + count - 1) if count else day

    def roll(self, day: date, direction: Roll) -> date:
        """The day itself where it is a business day, else the nearest one in this direction."""
        if direction == "none" or self.is_business_day(day):
            return day
        return self.after(day, 1) if direction == "next" else self.before(day, 1)

    def when_over(self, moment: datetime, length: timedelta) -> datetime:
        """When so much time on business days is over after a moment: days that are not worked do not count."""
        midnight = datetime.combine(moment.date(), time(), tzinfo=moment.tzinfo)
        days, rest = divmod((moment - midnight if self.is_business_day(moment.date()) else timedelta()) + length, _DAY)
        begin = self.roll(moment.date(), "next")
        if days and not rest:
            days, rest = days - 1, _DAY  # the end of a day, not the beginning of the next one that is worked
        return datetime.combine(self.after(begin, days), time(), tzinfo=moment.tzinfo) + rest

    def slots(self, moment: datetime, count: int, desk: str | None = None) -> list[datetime]:
        """The next open slots that begin after a moment, all in the zone of the moment.

        Fewer than ``count`` where the desk does not open often enough within a year.
        """
        hours = self.desk_hours.get(desk, self.hours) if desk is not None else self.hours
        length = timedelta(minutes=self.slot_minutes)
        found: list[datetime] = []
        day = moment.date()
        for _ in range(_MOST_DAYS_AHEAD):
            if self.is_business_day(day):
                for opened in hours:
                    begin, end = (
                        datetime.combine(day, at, tzinfo=moment.tzinfo) for at in (opened.opens, opened.closes)
                    )
                    while begin + length <= end:
                        if begin > moment:
                            found.append(begin)
                            if len(found) == count:
                                return found
                        begin += length
            if day == date.max:
                break
            day += timedelta(days=1)
        return found

    def _count(self, ordinal: int) -> int:
        """How many business days have a smaller ordinal. Ordinal 1 was a Monday."""
        weeks, rest = divmod(ordinal - 1, 7)
        days = weeks * (7 - len(self.weekend)) + sum(weekday not in self.weekend for weekday in range(rest))
        return days - bisect_left(self._missing, ordinal) + bisect_left(self._added, ordinal)

    def _of_number(self, number: int) -> date:
        """The business day before which there are so many others; the first or last day there is where none is."""
        ordinals = range(1, date.max.toordinal())
        index = bisect_left(ordinals, number + 1, key=lambda ordinal: self._count(ordinal + 1))
        return date.fromordinal(min(index + 1, date.max.toordinal()))
