"""No customer hears from the bank more often than the policy's caps allow, over all triggers."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

from triggers.engine.state import CustomerState
from triggers.language.calendar import first_day
from triggers.language.model import Cap, Policy
from triggers.language.reader import show_duration
from triggers.policy.candidate import Candidate, Held, Rule
from triggers.policy.local_time import DAY_MS, begin_of, day_of, local_ms, moment_of

REASON: Final = "capped"


def for_contact(policy: Policy, candidate: Candidate) -> Rule | None:
    """Nothing where no cap concerns the category and the channel, else the rule for who heard enough of the bank to
    fill one.
    """
    counts = [cap.at_most for cap in policy.caps if _concerns(cap, candidate)]
    if not counts:
        return None
    least = min(counts)

    def held(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
        return holds_back(state, policy, candidate) if len(state.contacts) >= least else None

    return held


def holds_back(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses where a cap's window of contacts is full. A withdrawn contact counts: it may have been read. So does one
    of a category that the cap lets through: the customer heard from the bank.
    """
    heard = len(state.contacts)
    for cap in policy.caps:
        if heard < cap.at_most:
            continue  # most customers heard less of the bank than would fill it
        if not _concerns(cap, candidate):
            continue
        after = _opened(cap, policy.timezone, candidate.now)
        contacts = 0
        for contact in reversed(state.contacts):
            if contact.at <= after:
                break
            contacts += cap.category in (None, contact.category) and cap.channel in (None, contact.channel)
        if contacts >= cap.at_most:
            detail = {"cap": str(cap.at_most), "per": cap.calendar or show_duration(cap.per_ms)}
            if cap.category is not None:
                detail["category"] = cap.category
            if cap.channel is not None:
                detail["channel"] = cap.channel
            return Held(detail, of_channel=cap.channel is not None)
    return None


def _concerns(cap: Cap, candidate: Candidate) -> bool:
    concerned = cap.category in (None, candidate.category) and cap.channel in (None, candidate.channel)
    return concerned and candidate.category not in cap.exempt


def _opened(cap: Cap, zone: ZoneInfo, now: int) -> int:
    """The last moment before the cap's window, in ms."""
    if cap.calendar is None:
        return now - cap.per_ms
    return _begun(cap.calendar, local_ms(now, zone) // DAY_MS, zone) - 1


@lru_cache(maxsize=1_000)
def _begun(period: Literal["day", "week", "month"], day: int, zone: ZoneInfo) -> int:
    """When the period began that a day, counted from the epoch, is in: worked out once for all contacts of the day."""
    first = first_day("today" if period == "day" else period, day_of(day * DAY_MS))
    return moment_of(begin_of(first), zone)
