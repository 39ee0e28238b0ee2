"""Sets of values that a name may have: what a condition leaves of them when it is true, and when it is false."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

Cut = tuple[Any, int]
"""A boundary between two neighbouring values: (v, 0) lies just below ``v``, (v, 1) just above it."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of numbers, dates or times: the line is cut, and every second piece belongs to the set.

    ``begins`` says whether the piece before the first cut does.
    """

    begins: bool
    cuts: tuple[Cut, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.begins and not self.cuts

    def meet(self, other: Ranges) -> Ranges:
        return self._with(other, lambda mine, theirs: mine and theirs)

    def join(self, other: Ranges) -> Ranges:
        return self._with(other, lambda mine, theirs: mine or theirs)

    def rest(self) -> Ranges:
        """All that is not in the set."""
        return Ranges(not self.begins, self.cuts)

    def whole(self) -> Ranges:
        """The whole numbers of the set: every cut moves up to the next of them."""
        moved: list[Cut] = []
        for value, side in self.cuts:
            up = Decimal(value).to_integral_value(ROUND_CEILING)
            cut = (up + 1 if side and up == value else up, 0)
            if moved and moved[-1] == cut:
                moved.pop()  # nothing whole between the two
            else:
                moved.append(cut)
        return Ranges(self.begins, tuple(moved))

    def _with(self, other: Ranges, holds: Callable[[bool, bool], bool]) -> Ranges:
        mine, theirs = self.begins, other.begins
        begins = last = holds(mine, theirs)
        cuts: list[Cut] = []
        for cut in sorted({*self.cuts, *other.cuts}):
            mine ^= cut in self.cuts
            theirs ^= cut in other.cuts
            if holds(mine, theirs) is not last:
                cuts.append(cut)
                last = not last
        return Ranges(begins, tuple(cuts))


@dataclass(frozen=True, slots=True)
class Choices:
    """A set of things without order: those listed, or with ``others`` all but those listed."""

    listed: frozenset[Any]
    others: bool = False

    @property
    def empty(self) -> bool:
        return not self.others and not self.listed

    def meet(self, other: Choices) -> Choices:
        if self.others and other.others:
            return Choices(self.listed | other.listed, others=True)
        if self.others:
            return Choices(other.listed - self.listed)
        return Choices(self.listed - other.listed if other.others else self.listed & other.listed)

    def join(self, other: Choices) -> Choices:
        return self.rest().meet(other.rest()).rest()

    def rest(self) -> Choices:
        """All that is not in the set."""
        return Choices(self.listed, others=not self.others)


Domain = Ranges | Choices

NOT_NEGATIVE: Final = Ranges(begins=False, cuts=((Decimal(0), 0),))


def compared(operator: str, value: Any) -> Ranges:
    """What is ``<``, ``<=``, ``==``, ``!=``, ``>`` or ``>=`` a value."""
    match operator:
        case "<":
            return Ranges(begins=True, cuts=((value, 0),))
        case "<=":
            return Ranges(begins=True, cuts=((value, 1),))
        case ">":
            return Ranges(begins=False, cuts=((value, 1),))
        case ">=":
            return Ranges(begins=False, cuts=((value, 0),))
        case "==":
            return Ranges(begins=False, cuts=((value, 0), (value, 1)))
    return Ranges(begins=True, cuts=((value, 0), (value, 1)))
