"""What is taken back when its cause is gone: the steps that wait, and the actions that went out and still hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from triggers.engine.decisions import decide, decide_absent
from triggers.engine.outputs import cancellation
from triggers.engine.state import Journey
from triggers.engine.timers import is_step_of
from triggers.engine.window import withdraw

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation


def take_back(run: Evaluation, concerns: Callable[[Journey], bool], reason: str, caused_by: str) -> None:
    """Cancels every journey that ``concerns`` picks: what waits, and what went out and has not expired."""
    state = run.state
    if state.proposals:
        withdraw(run, concerns, reason)
    for journey in state.journeys:
        if journey.cancelled or not concerns(journey):
            continue
        journey.cancelled = True
        for timer in [name for name in state.timers if is_step_of(name, journey)]:
            del state.timers[timer]
        for sent in journey.sent:
            if sent.expires <= run.clock:
                continue
            run.outputs.append(cancellation(run, journey, sent, reason, caused_by))
        trigger = run.plan.triggers.get(journey.trigger)
        # Where it went out: the step may have other channels by now, or be gone from the ladder.
        channel, step = journey.sent[-1].channel if journey.sent else "", journey.last_step
        if trigger is not None:
            decide(run, trigger, journey.occasion, step, reason, outcome="cancelled", channel=channel)
        else:
            decide_absent(
                run,
                journey.trigger,
                0,
                journey.occasion,
                reason,
                step=step,
                outcome="cancelled",
                channel=channel or None,
            )
