"""When a schedule comes round: every day, week, month, quarter or year, on the bank's calendar.

Each period has one day, which a holiday may move. Two periods that are moved to one day come round once: nothing
fires twice, and no period is left out.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from schemas.base import from_ms, to_ms
from triggers.engine.seen import event_key
from triggers.language.model import OnEvery, Policy

_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


class Turn(NamedTuple):
    """One coming round: the last day, as an ordinal, of the periods that it is for, the day it is on, and when (ms)."""

    day: int
    on: date
    due: int


@dataclass(slots=True)
class Every:
    """A schedule of a trigger. What was worked out once is kept: it is the same for every customer.

    The name of its timer tells the days it names: with other days it is another schedule, which begins anew.
    """

    timer: str
    trigger_id: str
    wake: OnEvery
    policy: Policy
    _turns: dict[int, Turn] = field(default_factory=dict)
    _settled: dict[date, int] = field(default_factory=dict)

    def offset(self, customer: str) -> int:
        """How long after the schedule's time this customer's turn is, in ms: the same for ever."""
        return event_key(f"{customer}|{self.trigger_id}") % self.wake.spread_ms if self.wake.spread_ms else 0

    def following(self, day: int) -> Turn:
        """The first turn of a period whose day comes after this ordinal."""
        turn = self._turns.get(day)
        if turn is None:
            turn = self._turns[day] = self._following(day)
        return turn

    def settled_by(self, moment: int) -> int:
        """The day, as an ordinal, of the latest period whose turn has come by a moment (ms)."""
        day = self._long_settled(from_ms(moment).astimezone(self.policy.timezone).date())
        while (turn := self.following(day)).due <= moment:
            day = turn.day
        return day

    def _long_settled(self, today: date) -> int:
        """A day whose turn, wherever a holiday moved it, was over before yesterday."""
        day = self._settled.get(today)
        if day is None:
            found = yesterday = today - timedelta(days=1)
            while self.policy.calendar.roll(found, self.wake.roll) >= yesterday:
                found -= timedelta(days=1)
            day = self._settled[today] = found.toordinal()
        return day

    def _following(self, day: int) -> Turn:
        roll, calendar = self.wake.roll, self.policy.calendar
        nominal = next_day(self.wake, date.fromordinal(day))
        on = calendar.roll(nominal, roll)
        while calendar.roll(following := next_day(self.wake, nominal), roll) == on:
            nominal = following
        due = to_ms(datetime.combine(on, self.wake.at, tzinfo=self.policy.timezone))
        return Turn(nominal.toordinal(), on, due)


def next_day(wake: OnEvery, after: date) -> date:
    """The first day after this one that the schedule names, before any holiday moves it."""
    if wake.period == "day":
        return after + timedelta(days=1)
    if wake.period == "week":
        return after + timedelta(days=(wake.day - after.weekday() - 1) % 7 + 1)
    step = _MONTHS[wake.period]
    month = after.year * 12 + after.month - 1
    month -= (month - (wake.month - 1)) % step
    found = _in_month(month, wake.day)
    return found if found > after else _in_month(month + step, wake.day)


def _in_month(month: int, day: int) -> date:
    """A day of a month, counted from year 0; the month's last day where it is shorter."""
    year, index = divmod(month, 12)
    return date(year, index + 1, min(day, monthrange(year, index + 1)[1]))
