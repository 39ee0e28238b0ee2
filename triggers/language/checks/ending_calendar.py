"""W125: the calendar's holidays end soon, or have ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from triggers.errors import Problem
from triggers.language.checks.base import DatedCheck
from triggers.language.codes import Code
from triggers.language.shared import Shared

CODE = Code("W125", "the years that calendar.yaml covers end within 60 days")
_DAYS: Final = 60


def find(shared: Shared, today: date) -> Iterator[Problem]:
    covers, spot = shared.policy.calendar.covers, shared.spots.get("covers")
    if not covers or spot is None:
        return  # where business days are counted, W119 says so
    year = today.year
    if year not in covers:
        message = (
            f"the holidays of {year} are not known: only weekends are left out; state them, and the year in covers"
        )
        yield spot.problem(CODE, message)
        return
    while year in covers:
        year += 1
    left = (date(year - 1, 12, 31) - today).days
    if left < _DAYS:
        yield spot.problem(
            CODE, f"the calendar ends in {left} days: state the holidays of {year}, and the year in covers"
        )


CHECK = DatedCheck(CODE, find)
