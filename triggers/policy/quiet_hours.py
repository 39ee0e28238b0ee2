"""Nobody is disturbed at night, nor a desk asked for on a holiday: a contact at a quiet hour of its channel waits.

It waits for the next moment that is in none of the channel's quiet hours and days.
"""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.calendar import Calendar
from triggers.language.model import Policy, Quiet
from triggers.policy.candidate import Candidate, Held
from triggers.policy.local_time import DAY_MS, MINUTE_MS, day_of, local_ms, moment_of

REASON: Final = "quiet_hours"
_LONGEST_MS: Final = 400 * DAY_MS
"""How far a moment is looked for: no action is worth anything so much later."""


def holds_back(_state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Puts off what comes at a quiet hour of the bank's day."""
    if not policy.quiet:
        return None
    now = local_ms(candidate.now, policy.timezone)
    moment, first = now, None
    # One may end within another, and a holiday follow a night.
    while moment - now < _LONGEST_MS:
        quiet = _quiet_at(moment, policy, candidate.channel)
        if quiet is None:
            break
        first = first or quiet[0]
        moment = quiet[1]
    if first is None:
        return None
    until = moment_of(moment, policy.timezone)
    if until <= candidate.now:
        # The clocks went back: that time was there already, and comes once more.
        until = moment_of(moment, policy.timezone, fold=1)
    minute = now // MINUTE_MS % 1_440
    detail = {"channel": candidate.channel, "hour": f"{minute // 60:02}:{minute % 60:02}"}
    if first.days != "all":
        detail["day"] = f"{day_of(now).isoformat()}, {first.days}"
    return Held(detail, until)


def _quiet_at(moment: int, policy: Policy, channel: str) -> tuple[Quiet, int] | None:
    """The first of a channel's quiet hours that a local time is in, and when they end; ``None`` where it is in none."""
    midnight = moment // DAY_MS * DAY_MS
    minute = (moment - midnight) // MINUTE_MS
    for quiet in policy.quiet:
        if channel not in quiet.channels:
            continue
        begin, end = quiet.begin, quiet.end
        overnight = begin > end
        if minute >= begin and (overnight or minute < end) and _begin_on(quiet, midnight, policy.calendar):
            return quiet, midnight + overnight * DAY_MS + end * MINUTE_MS
        if overnight and minute < end and _begin_on(quiet, midnight - DAY_MS, policy.calendar):
            return quiet, midnight + end * MINUTE_MS
    return None


def _begin_on(quiet: Quiet, midnight: int, calendar: Calendar) -> bool:
    return quiet.days == "all" or quiet.begins_on(day_of(midnight), calendar)
