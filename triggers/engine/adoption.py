"""How a customer's state moves from one rule set to the next."""

from __future__ import annotations

from triggers.engine.derived import adopt_derived
from triggers.engine.firing import memory_name
from triggers.engine.plan import Plan
from triggers.engine.state import CustomerState
from triggers.engine.timers import WINDOW, schedule_every, schedule_holding, schedule_silence
from triggers.engine.waits import schedule_wait


def adopt_state(state: CustomerState, plan: Plan, clock: int) -> None:
    """Brings a state to another rule set, when it is next touched.

    What no trigger reads any more goes; what stayed the same is carried: a wait goes on where its events and its time
    are the same. Timers are set anew, since they follow from the state; only those of ladders stay, also of a trigger
    that is not live any more: that its ladder ends goes on record (``end_retired``).
    """
    state.ruleset = plan.ruleset.hash
    known = {series.id for series in plan.ruleset.series}
    state.series = {name: series for name, series in state.series.items() if name.partition("|")[0] in known}
    state.extremes = None
    remembered = plan.triggers.keys() | {memory_name(trigger) for trigger in plan.triggers.values()}
    state.memory = {name: memory for name, memory in state.memory.items() if name in remembered}
    state.told = {
        name: since
        for name, since in state.told.items()
        if (name in plan.every_by_timer if name.startswith("c:") else name.split(":", 2)[1] in plan.triggers)
    }
    state.waits = {name: waiting for name, waiting in state.waits.items() if name in plan.waits}
    state.timers = {
        name: due
        for name, due in state.timers.items()
        if name.startswith("l:") or (name.startswith("x:") and plan.follows_ends) or name == WINDOW
    }
    categories = {trigger.action.category for trigger in plan.triggers.values()}
    state.attempts = {name: made for name, made in state.attempts.items() if name in categories}
    if state.currency != plan.policy.currency:
        state.derived = ""  # in another currency everything may look different, and nobody moved
    state.settle(plan.policy.currency)
    adopt_derived(state, plan)
    for holding in state.holding_map.values():
        schedule_holding(state, plan, holding, clock)
    for name in state.activity:
        kind, _, detail = name.partition(".")
        schedule_silence(state, plan, kind, detail or None)
    for name in state.waits:
        schedule_wait(state, plan.waits[name], clock)
    schedule_every(state, plan, clock)
