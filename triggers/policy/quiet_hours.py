"""Nobody is disturbed at night: a contact at a quiet hour of its channel waits for the next hour that is not."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final

from schemas.base import from_ms, to_ms
from triggers.engine.state import CustomerState
from triggers.language.model import Policy, Quiet
from triggers.policy.candidate import Candidate, Held

REASON: Final = "quiet_hours"


def holds_back(_state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Puts off what comes at a quiet hour of the bank's day."""
    hours = [quiet for quiet in policy.quiet if candidate.channel in quiet.channels]
    if not hours:
        return None
    moment = now = from_ms(candidate.now).astimezone(policy.timezone).replace(tzinfo=None)
    # One may end within another. Together they leave an hour, so that none of them is met twice.
    for _ in range(len(hours) + 1):
        ends = next((end for quiet in hours if (end := _end_of(quiet, moment)) is not None), None)
        if ends is None:
            break
        moment = ends
    if moment == now:
        return None
    until = to_ms(moment.replace(tzinfo=policy.timezone))
    # Where the clocks change, the hour may be gone by the time it is named.
    return Held({"channel": candidate.channel, "hour": f"{now:%H:%M}"}, max(until, candidate.now + 1))


def _end_of(quiet: Quiet, moment: datetime) -> datetime | None:
    """When quiet hours end that a moment is in; ``None`` where it is not."""
    minute = moment.hour * 60 + moment.minute
    if quiet.begin < quiet.end:
        if not quiet.begin <= minute < quiet.end:
            return None
        day = moment.date()
    elif minute >= quiet.begin:
        day = moment.date() + timedelta(days=1)
    elif minute < quiet.end:
        day = moment.date()
    else:
        return None
    return datetime.combine(day, time(quiet.end // 60, quiet.end % 60))
