"""W121: a cap that never holds anything back, since a wider one is full before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.model import Cap
from triggers.language.reader import show_duration
from triggers.language.shared import Shared

CODE = Code("W121", "a cap that never holds anything back: a wider one is full before", silenceable=True)
_WITHIN: Final = {"day": ("day", "week", "month"), "week": ("week",), "month": ("month",)}
"""The calendar periods that a calendar period always is within."""


def find(_drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    caps = shared.policy.caps
    for index, cap in enumerate(caps):
        spot = shared.spots.get(f"caps[{index}]")
        wider = next((other for other in caps if other is not cap and _covers(other, cap)), None)
        if spot is not None and wider is not None:
            period = wider.calendar or show_duration(wider.per_ms)
            message = (
                f"the cap of {wider.at_most} per {period} holds back all that this one would: remove one of the two"
            )
            yield spot.problem(CODE, message)


def _covers(wider: Cap, cap: Cap) -> bool:
    """Whether one is full whenever the other is."""
    if wider.category not in (None, cap.category) or wider.channel not in (None, cap.channel):
        return False
    if wider.at_most > cap.at_most:
        return False
    if cap.category in wider.exempt or (cap.category is None and not wider.exempt <= cap.exempt):
        return False
    if wider.calendar is None:
        return wider.per_ms >= cap.per_ms
    return cap.calendar is not None and wider.calendar in _WITHIN[cap.calendar]


CHECK = SharedCheck(CODE, find)
