"""A customer's timers: what is due when. They are data of the state; the store indexes the earliest of each customer.

A timer's name says what it waits for: ``m:trigger:wake:holding`` a holding's lead time, ``s:trigger:wake`` silence,
``l:trigger:step:occasion`` a step of a ladder. Of timers due together the name decides the order.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from schemas.base import to_ms
from triggers.engine.plan import Plan
from triggers.engine.state import CustomerState, Heard, Holding
from triggers.language.model import OnMaturity, Policy

_WEEKEND = 5


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
        if clock < end_of_day(plan.policy, holding.matures_on):
            state.timers[name] = max(lead_time(plan.policy, holding.matures_on, wake), clock)


def note_activity(state: CustomerState, plan: Plan, kind: str, detail: str | None, at: int, key: int) -> None:
    """Notes that the customer was heard of, and sets the silence timers anew."""
    _note(state, kind, at, key)
    details = plan.listened.get(kind)
    if details is None:
        return
    if detail in details:
        _note(state, f"{kind}.{detail}", at, key)
    schedule_silence(state, plan, kind, detail)


def _note(state: CustomerState, name: str, at: int, key: int) -> None:
    heard = state.activity.get(name)
    if heard is None:
        heard = state.activity[name] = Heard()
    heard.note(at, key)


def schedule_silence(state: CustomerState, plan: Plan, kind: str, detail: str | None) -> None:
    """Sets the silence timers of an event's kind anew, from the newest such event.

    One that has run for this event, or for a later one, does not run again: a late event, a reversal or a new rule set
    may lead back to it.
    """
    for quiet in plan.silences.get(kind, ()):
        if quiet.detail is not None and quiet.detail != detail:
            continue
        heard = state.activity.get(quiet.heard)
        newest = heard.newest if heard is not None else None
        if newest is not None and (not state.told or newest > state.told.get(quiet.timer, -1)):
            state.timers[quiet.timer] = newest + quiet.after_ms
        else:
            state.timers.pop(quiet.timer, None)


def lead_time(policy: Policy, matures_on: date, wake: OnMaturity) -> int:
    """When a lead time before a due day is reached, in ms: at the bank's hour for reminders."""
    day = matures_on
    if wake.business:
        left = wake.days
        while left:
            day -= timedelta(days=1)
            left -= day.weekday() < _WEEKEND
    else:
        day -= timedelta(days=wake.days)
    return to_ms(datetime.combine(day, policy.remind_at, tzinfo=policy.timezone))


def end_of_day(policy: Policy, day: date) -> int:
    """The first moment after a day in the bank's time zone, in ms."""
    return to_ms(datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=policy.timezone))
