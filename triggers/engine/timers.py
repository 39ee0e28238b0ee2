"""A customer's timers: what is due when. They are data of the state; the store indexes the earliest of each customer.

A timer's name says what it waits for: ``m:trigger:wake:holding`` a holding's lead time, ``s:trigger:wake`` silence,
``w:trigger:wait`` an event that has not followed, ``c:trigger:wake`` the next time of a schedule,
``l:trigger:step:occasion`` a step of a ladder, ``x:trigger:occasion`` its end, ``a::`` the end of the arbitration
window. Of timers due together the name decides the order.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from schemas.base import to_ms
from triggers.engine.plan import Plan, Quiet
from triggers.engine.state import CustomerState, Heard, Holding, Journey
from triggers.language.model import OnMaturity, Policy

WINDOW: Final = "a::"
"""The timer of the arbitration window's end."""
NEVER: Final = 1 << 62
"""Later than any timer is due (ms)."""


def next_due(state: CustomerState) -> int | None:
    """When the earliest timer is due, in ms."""
    return min(state.timers.values()) if state.timers else None


def schedule_holding(state: CustomerState, plan: Plan, holding: Holding, clock: int) -> None:
    """Sets the timers of a holding's lead times anew: moved with its due day, gone when it is closed.

    A lead time that has passed while the holding is still to fall due fires at once: five days' notice is better
    than none. One that fired for this due day does not fire again.
    """
    for trigger, index, wake in plan.on_maturity:
        name = f"m:{trigger.id}:{index}:{holding.holding_id}"
        state.timers.pop(name, None)
        if not holding.open and not (holding.status == "matured" and wake.days == 0):
            continue
        if holding.reminded.get(f"{trigger.id}:{index}") == holding.matures_on.isoformat():
            continue
        reached = lead_time(plan.policy, holding.matures_on, wake)
        if clock <= reached or clock < end_of_day(plan.policy, holding.matures_on):
            state.timers[name] = max(reached, clock)


def note_activity(state: CustomerState, plan: Plan, kind: str, detail: str | None, at: int, key: int) -> None:
    """Notes that the customer was heard of, and sets the silence timers anew."""
    newest = _note(state, kind, at, key)
    quiets = plan.silences.get(kind)
    if quiets is None:
        return
    newest_of_detail = _note(state, f"{kind}.{detail}", at, key) if detail in plan.listened[kind] else newest
    timers, told = state.timers, state.told
    for quiet in quiets:
        if quiet.detail is None:
            _set_silence(timers, told, quiet, newest)
        elif quiet.detail == detail:
            _set_silence(timers, told, quiet, newest_of_detail)


def _note(state: CustomerState, name: str, at: int, key: int) -> int:
    """Returns the time of the newest such event."""
    heard = state.activity.get(name)
    if heard is None:
        heard = state.activity[name] = Heard()
    return heard.note(at, key)


def schedule_silence(state: CustomerState, plan: Plan, kind: str, detail: str | None) -> None:
    """Sets the silence timers of an event's kind anew, from the newest such event."""
    for quiet in plan.silences.get(kind, ()):
        if quiet.detail is not None and quiet.detail != detail:
            continue
        heard = state.activity.get(quiet.heard)
        newest = heard.newest if heard is not None else None
        _set_silence(state.timers, state.told, quiet, newest)


def _set_silence(timers: dict[str, int], told: dict[str, int], quiet: Quiet, newest: int | None) -> None:
    """One that has run for this event, or for a later one, does not run again: a late event, a reversal or a new rule
    set may lead back to it.
    """
    if newest is not None and (not told or newest > told.get(quiet.timer, -1)):
        timers[quiet.timer] = newest + quiet.after_ms
    else:
        timers.pop(quiet.timer, None)


def schedule_every(state: CustomerState, plan: Plan, clock: int) -> None:
    """Sets the timers of schedules anew. One that is new to the customer first comes round after ``clock``.

    What a customer has had is kept by the day of the period, not by the time: a changed calendar neither repeats a
    period nor leaves one out.
    """
    for every in plan.every:
        offset = every.offset(state.key)
        if every.timer not in state.told:
            state.told[every.timer] = every.settled_by(clock - offset)
        state.timers[every.timer] = every.following(state.told[every.timer]).due + offset


def settle_every(state: CustomerState, plan: Plan, name: str, clock: int) -> date:
    """Notes that a schedule came round, and sets its timer for the next time; returns the day of this one.

    Where the clock is further, as after an outage, what was missed meanwhile is not made up for.
    """
    every = plan.every_by_timer[name]
    offset = every.offset(state.key)
    this = every.following(state.told[name])
    latest = this
    while (following := every.following(latest.day)).due + offset <= clock:
        latest = following
    state.told[name] = latest.day
    state.timers[name] = following.due + offset
    return this.on


def lead_time(policy: Policy, matures_on: date, wake: OnMaturity) -> int:
    """When a lead time before a due day is reached, in ms: at the bank's hour for reminders."""
    if wake.business:
        day = policy.calendar.before(matures_on, wake.days)
    else:
        ordinal = max(matures_on.toordinal() - wake.days, date.min.toordinal())
        day = policy.calendar.roll(date.fromordinal(ordinal), wake.roll)
    return to_ms(datetime.combine(day, policy.remind_at, tzinfo=policy.timezone))


def step_timer(trigger_id: str, step: int, occasion: str) -> str:
    """The name of the timer of a ladder's step."""
    return f"l:{trigger_id}:{step}:{occasion}"


def exhaustion_timer(trigger_id: str, occasion: str) -> str:
    """The name of the timer of a ladder's end: when its last action expires."""
    return f"x:{trigger_id}:{occasion}"


def is_step_of(timer: str, journey: Journey) -> bool:
    """Whether a timer waits for a step of this journey, or for its end."""
    mine = timer.startswith((f"l:{journey.trigger}:", f"x:{journey.trigger}:"))
    return mine and occasion_of(timer) == journey.occasion


def occasion_of(timer: str) -> str:
    """The occasion of a ladder's timer: ``l:trigger:step:occasion`` or ``x:trigger:occasion``."""
    return timer.split(":", 3)[3] if timer.startswith("l:") else timer.split(":", 2)[2]


def end_of_day(policy: Policy, day: date) -> int:
    """The first moment after a day in the bank's time zone, in ms. The last day that a date can be never ends."""
    ordinal = min(day.toordinal() + 1, date.max.toordinal())
    return to_ms(datetime.combine(date.fromordinal(ordinal), datetime.min.time(), tzinfo=policy.timezone))
