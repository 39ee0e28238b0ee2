"""Nobody is disturbed at night, nor a desk asked for on a holiday: a contact at a quiet hour of its channel waits.

It waits for the next moment that is in none of the channel's quiet hours and days.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from schemas.base import from_ms, to_ms
from triggers.engine.state import CustomerState
from triggers.language.calendar import Calendar
from triggers.language.model import Policy, Quiet
from triggers.policy.candidate import Candidate, Held
from triggers.policy.local_time import minute_of_day

REASON: Final = "quiet_hours"
_LONGEST: Final = timedelta(days=400)
"""How far a moment is looked for: no action is worth anything so much later."""


def holds_back(_state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Puts off what comes at a quiet hour of the bank's day."""
    if not _may_be_quiet(policy, candidate):
        return None
    hours = [quiet for quiet in policy.quiet if candidate.channel in quiet.channels]
    now = from_ms(candidate.now).astimezone(policy.timezone).replace(tzinfo=None)
    moment, first = now, None
    # One may end within another, and a holiday follow a night.
    while moment - now < _LONGEST:
        found = next(((quiet, end) for quiet in hours if (end := _end_of(quiet, moment, policy.calendar))), None)
        if found is None:
            break
        first = first or found[0]
        moment = found[1]
    if first is None:
        return None
    end = moment.replace(tzinfo=policy.timezone)
    until = to_ms(end)
    if until <= candidate.now:
        # The clocks went back: that time was there already, and comes once more.
        until = to_ms(end.replace(fold=1))
    detail = {"channel": candidate.channel, "hour": f"{now:%H:%M}"}
    if first.days != "all":
        detail["day"] = f"{now:%Y-%m-%d}, {first.days}"
    return Held(detail, until)


def _may_be_quiet(policy: Policy, candidate: Candidate) -> bool:
    """Whether any of the channel's quiet hours, were they every day's, has the moment in it: mostly none has."""
    if not policy.quiet:
        return False
    minute = minute_of_day(candidate.now, policy.timezone)
    for quiet in policy.quiet:
        begin, end = quiet.begin, quiet.end
        if candidate.channel in quiet.channels and (
            begin <= minute < end if begin <= end else minute >= begin or minute < end
        ):
            return True
    return False


def _end_of(quiet: Quiet, moment: datetime, calendar: Calendar) -> datetime | None:
    """When quiet hours end that a moment is in; ``None`` where it is not."""
    midnight = datetime.combine(moment.date(), datetime.min.time())
    minute = moment.hour * 60 + moment.minute
    overnight = quiet.begin > quiet.end
    if minute >= quiet.begin and (overnight or minute < quiet.end) and quiet.begins_on(moment.date(), calendar):
        return midnight + timedelta(days=overnight, minutes=quiet.end)
    if overnight and minute < quiet.end and quiet.begins_on(moment.date() - timedelta(days=1), calendar):
        return midnight + timedelta(minutes=quiet.end)
    return None
