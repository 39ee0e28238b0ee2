"""How far candidates came: considered, allowed, sent, opened, bought; and why the others were not sent (R36).

A candidate is a trigger at an occasion of a customer. It counts once in each row that it reached, and where it began:
on the day (of the bank) and under the tier of its first decision, on the channel of its first action, or the one that
it was meant for. Triggers in shadow say nothing to anybody and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from schemas.base import to_ms
from schemas.decisions import Decision
from triggers.engine.withdrawal import BOUGHT
from triggers.policy import holdout

OPENED: Final = frozenset({"opened", "clicked", "answered", "refused", "bought"})
"""The outcomes of which each says that the customer saw the action."""
UNKNOWN: Final = "unknown"
DIMENSIONS: Final = ("trigger", "channel", "tier", "day", "waited")
"""What the steps are counted by. ``waited`` is how long a candidate had to wait before it was sent: in time or late."""
NOT_SENT: Final = "not sent"
_WAITED: Final = ((0, "at once"), (3_600_000, "up to 1h"), (43_200_000, "up to 12h"))
_LONGER: Final = "longer"

_ORDER: Final = {"deferred": 0, "suppressed": 1, "sent": 2, "cancelled": 3}


@dataclass(slots=True)
class Reached:
    """How many candidates came how far.

    ``allowed`` are those that the gate let through, also where only the holdout kept the customer from hearing; all of
    them but the held out are ``sent``. ``waiting`` were put off and are not decided yet. ``actions`` are all steps that
    went out, a ladder's further ones too.
    """

    candidates: int = 0
    waiting: int = 0
    allowed: int = 0
    sent: int = 0
    actions: int = 0
    opened: int = 0
    bought: int = 0
    withdrawn: int = 0


@dataclass(slots=True)
class Funnel:
    """The sums, over customers in any order. A candidate counts that began from ``since_ms`` to ``until_ms``."""

    zone: ZoneInfo
    since_ms: int | None = None
    until_ms: int | None = None
    total: Reached = field(default_factory=Reached)
    by: dict[str, dict[str, Reached]] = field(default_factory=lambda: {name: {} for name in DIMENSIONS})
    not_sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By trigger and reason: the last word on each candidate of which nothing went out."""

    def add_customer(self, decisions: Iterable[Decision], outcomes: Mapping[str, Collection[str]]) -> None:
        """Adds a customer's decisions, each once; ``outcomes`` are those of the feedback, by action."""
        candidates: dict[tuple[str, str], list[Decision]] = {}
        for decision in decisions:
            if decision.reason != "shadow":
                candidates.setdefault((decision.trigger, decision.occasion), []).append(decision)
        for found in candidates.values():
            found.sort(key=lambda one: (one.decided_at, _ORDER[one.outcome], one.step))
            # What no trigger of the rules was about is no candidate: what desks did with the customer, a broken tier.
            if any(one.trigger_version for one in found) and in_range(
                to_ms(found[0].decided_at), self.since_ms, self.until_ms
            ):
                self._add(found, outcomes)

    def _add(self, decisions: list[Decision], outcomes: Mapping[str, Collection[str]]) -> None:
        first, sent = decisions[0], [one for one in decisions if one.outcome == "sent"]
        came_back = {outcome for one in sent for outcome in outcomes.get(one.action_id or "", ())}
        held_out = any(one.reason == holdout.REASON and one.step == 0 for one in decisions)
        names = {
            "trigger": first.trigger,
            "channel": (sent[0] if sent else first).channel or UNKNOWN,
            "tier": first.tier or UNKNOWN,
            "waited": _waited(first, sent),
            "day": f"{first.decided_at.astimezone(self.zone):%Y-%m-%d}",
        }
        rows = [self.total, *(self.by[dimension].setdefault(name, Reached()) for dimension, name in names.items())]
        # What was offered was bought while it held, whether the channel says so or the books do.
        ended = any(one.outcome == "cancelled" and one.reason == BOUGHT for one in decisions)
        bought = BOUGHT in came_back or (bool(sent) and ended)
        waits = not sent and decisions[-1].outcome == "deferred"
        for row in rows:
            row.candidates += 1
            row.waiting += waits
            row.allowed += bool(sent) or held_out
            row.sent += bool(sent)
            row.actions += len(sent)
            row.opened += not OPENED.isdisjoint(came_back)
            row.bought += bought
            row.withdrawn += bool(sent) and any(one.outcome == "cancelled" for one in decisions)
        if not sent and not waits:
            self.not_sent[first.trigger, decisions[-1].reason] += 1


def _waited(first: Decision, sent: list[Decision]) -> str:
    if not sent:
        return NOT_SENT
    waited = to_ms(sent[0].decided_at) - to_ms(first.decided_at)
    return next((name for most, name in _WAITED if waited <= most), _LONGER)


def in_range(at_ms: int, since_ms: int | None, until_ms: int | None) -> bool:
    """Whether a time lies in a range, both ends included."""
    return (since_ms is None or at_ms >= since_ms) and (until_ms is None or at_ms <= until_ms)
