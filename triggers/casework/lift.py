"""What contacts bring: how often contacted customers buy, beside those who were held out by lot (N10).

Those held out would have been contacted: the holdout is the gate's last rule. So the two groups differ by nothing but
the draw, and each customer counts from the first time that a contact was allowed, for ``within_ms`` from then. Bought
is what can be seen of both: a product bought, or a booking of a purchase that was not reversed, whatever led to it.
What customers answer to an action is not used, for those held out have none.

The interval of the difference is Newcombe's hybrid score interval, which joins the Wilson intervals of the two shares:
it holds for small groups and for shares near 0 as well. Source: R. G. Newcombe, Interval estimation for the difference
between independent proportions: comparison of eleven methods, Statistics in Medicine 17 (1998), 873-890, method 10; E.
B. Wilson, Probable inference, JASA 22 (1927), 209-212.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist
from typing import Final

from schemas.base import to_ms
from schemas.decisions import Decision
from triggers.casework.funnel import in_range
from triggers.policy import holdout

CONFIDENCE: Final = 0.95
FEW: Final = 30
"""A group of fewer customers is called small."""


@dataclass(slots=True)
class Groups:
    """Customers contacted and held out, and how many of each bought. ``under_way`` are those whose time is not over."""

    contacted: int = 0
    contacted_bought: int = 0
    held_out: int = 0
    held_out_bought: int = 0
    under_way: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more of the contacted bought, as shares from -1 to 1, with the ends of its interval."""

    contacted: float
    held_out: float
    difference: float
    low: float
    high: float


@dataclass(slots=True)
class Lift:
    """The groups, over customers in any order: of the bank as a whole, and by trigger.

    A customer enters a group at the first allowed contact from ``since_ms`` on. In the bank's, only those held out from
    every contact are held out; in a trigger's, also those held out from that trigger alone. What reaches the held out
    as well, as the policy excepts its category, brings nobody into the bank's groups: else they count as contacted.
    """

    within_ms: int
    until_ms: int
    since_ms: int | None = None
    bank: Groups = field(default_factory=Groups)
    triggers: dict[str, Groups] = field(default_factory=dict)

    def add_customer(self, decisions: Iterable[Decision], bought: Sequence[int]) -> None:
        """Adds a customer's decisions; ``bought`` are the times (ms) of purchases, in order."""
        entries: dict[str, Decision] = {}
        first: Decision | None = None
        for one in sorted(decisions, key=lambda one: (one.decided_at, one.decision_id)):
            if one.step or not one.trigger_version or not (one.outcome == "sent" or one.reason == holdout.REASON):
                continue
            if in_range(to_ms(one.decided_at), self.since_ms, self.until_ms):
                entries.setdefault(one.trigger, one)
                if first is None and one.detail.get(holdout.REASON) != holdout.EXCEPTED:
                    first = one
        if first is not None:
            self._enter(self.bank, first, bought, held_out=first.detail.get("from") == "all")
        for trigger, one in entries.items():
            groups = self.triggers.setdefault(trigger, Groups())
            self._enter(groups, one, bought, held_out=one.reason == holdout.REASON)

    def _enter(self, groups: Groups, entry: Decision, bought: Sequence[int], *, held_out: bool) -> None:
        at = to_ms(entry.decided_at)
        if at + self.within_ms > self.until_ms:
            groups.under_way += 1
            return
        place = bisect_right(bought, at)
        did = place < len(bought) and bought[place] <= at + self.within_ms
        if held_out:
            groups.held_out += 1
            groups.held_out_bought += did
        else:
            groups.contacted += 1
            groups.contacted_bought += did


def compare(groups: Groups, confidence: float = CONFIDENCE) -> Difference | None:
    """The difference of the two shares with its interval; ``None`` where one of the groups is empty."""
    if not groups.contacted or not groups.held_out:
        return None
    contacted, low1, high1 = wilson(groups.contacted_bought, groups.contacted, confidence)
    held_out, low2, high2 = wilson(groups.held_out_bought, groups.held_out, confidence)
    difference = contacted - held_out
    low = difference - sqrt((contacted - low1) ** 2 + (high2 - held_out) ** 2)
    high = difference + sqrt((high1 - contacted) ** 2 + (held_out - low2) ** 2)
    return Difference(contacted, held_out, difference, max(-1.0, low), min(1.0, high))


def wilson(part: int, whole: int, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """A share with the ends of its Wilson interval."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = part / whole
    centre = share + z * z / (2 * whole)
    spread = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    return share, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def verdict(groups: Groups, found: Difference | None) -> str:
    """What can be said, in a sentence."""
    if found is None:
        missing = "contacted" if not groups.contacted else "held out"
        return f"Nobody whose time is over was {missing}, so there is nothing to compare."
    small = min(groups.contacted, groups.held_out)
    told = f"The groups are too small to rely on it ({small} in the smaller one). " if small < FEW else ""
    if found.low <= 0 <= found.high:
        return f"{told}No difference can be told from chance."
    more = "more" if found.difference > 0 else "less"
    return f"{told}Contacted customers bought {more} often, and chance alone hardly explains it."
