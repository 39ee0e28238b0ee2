"""What is taken back when its cause is gone: the steps that wait, and the actions that went out and still hold.

A withdrawal goes to the queue that had the action. What has expired needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from triggers.engine.contact_log import note_sale
from triggers.engine.decisions import decide, decide_absent, report_broken
from triggers.engine.firing import Cause
from triggers.engine.outputs import cancellation
from triggers.engine.state import CustomerState, Journey, Sent
from triggers.engine.timers import is_step_of
from triggers.engine.window import RETIRED
from triggers.engine.window import withdraw as drop_proposals
from triggers.language.model import Trigger
from triggers.language.names import DETAILS
from triggers.policy import consent, exclusion

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

BOUGHT: Final = "bought"
"""The reason where the customer did what a ladder is for."""


def take_back(
    run: Evaluation, concerns: Callable[[Journey], bool], reason: str, caused_by: str, *, spared: Sent | None = None
) -> None:
    """Cancels every journey that ``concerns`` picks: what waits, and what went out and has not expired.

    ``spared`` is the action that the customer answered: there is nothing left of it to withdraw.
    """
    if run.state.proposals:
        drop_proposals(run, concerns, reason)
    for journey in run.state.journeys:
        if journey.cancelled or not concerns(journey):
            continue
        held = _end(run, journey)
        for sent in journey.sent:
            if sent is not spared and sent.expires > run.clock and not sent.withdrawn:
                held = True
                _cancel(run, journey, sent, reason, caused_by)
        # Where it went out: the step may have other channels by now, or be gone from the ladder.
        if held or spared is None:
            channel = journey.sent[-1].channel if journey.sent else None
            _tell(run, journey, journey.last_step, reason, channel)


def withdraw(run: Evaluation, journey: Journey, sent: Sent, reason: str, caused_by: str) -> None:
    """Withdraws one action of a journey that goes on, if it has not expired."""
    if sent.withdrawn or sent.expires <= run.clock:
        return
    _cancel(run, journey, sent, reason, caused_by)
    _tell(run, journey, sent.step, reason, sent.channel, sent.action_id)


def obey_profile(run: Evaluation, caused_by: str) -> None:
    """Lets an exclusion or an opt-out take effect at once, also for what went out already and for what waits.

    Where only a channel was closed, the ladder goes on with what the gate lets through: what waits asks it when it is
    due.
    """
    state, policy = run.state, run.plan.policy
    if exclusion.excluded(state) is not None:
        take_back(run, lambda journey: is_under_way(run, journey), "excluded", caused_by)
        return
    for journey in state.journeys:
        if journey.cancelled:
            continue
        for sent in journey.sent:
            if consent.is_closed(state, policy, sent.channel):
                withdraw(run, journey, sent, "opted_out", caused_by)
        waiting = [name for name in state.timers if is_step_of(name, journey)]
        if journey.sent and all(sent.withdrawn for sent in journey.sent) and not _steps(waiting):
            _end(run, journey)


def end_retired(run: Evaluation) -> None:
    """Under another rule set: ends the journeys whose trigger is not live any more, in what waits and what holds.

    A trigger that was taken out, or put in shadow, says nothing more to anybody. ``run.clock`` is now.
    """
    triggers = run.plan.triggers
    run.begin(run.clock, None)  # what woke the triggers of the customer before is no business of this one

    def concerns(journey: Journey) -> bool:
        trigger = triggers.get(journey.trigger)
        return (trigger is None or trigger.status != "live") and is_under_way(run, journey)

    take_back(run, concerns, RETIRED, run.plan.ruleset.hash)


def end_by_purchase(run: Evaluation, kind: str, caused_by: str) -> None:
    """Ends what offered a product of the kind that the customer has just bought; that counts as its sale.

    Asked before the purchase wakes anything: what it leads to itself goes on.
    """
    offered = run.plan.offers or {}

    def concerns(journey: Journey) -> bool:
        offer = offered.get(journey.offer)
        return offer is not None and offer.kind == kind and journey.at <= run.at

    _note_sales(run, concerns)
    take_back(run, lambda journey: is_under_way(run, journey) and concerns(journey), BOUGHT, caused_by)


def end_by_goal(run: Evaluation, kind: str, cause: Cause) -> None:
    """Ends what is under way and has come to what its action names as its ``goal``; that counts as its sale.

    Asked after an event took effect, tiers and tags too, and before it wakes anything: what it leads to itself goes on.
    """
    goals = run.plan.goals.get(kind)
    if goals is None:
        return
    scope, state = run.scope, run.state
    record = scope.event = scope.record
    detail = getattr(record, DETAILS[kind]) if kind in DETAILS else None
    reached = {
        trigger.id
        for trigger, event in goals
        if event.covers(kind, detail) and pursues(state, {trigger.id}) and _is_reached(run, trigger, cause)
    }
    if reached:

        def concerns(journey: Journey) -> bool:
            return journey.trigger in reached and journey.at <= run.at and is_under_way(run, journey)

        _note_sales(run, concerns)
        take_back(run, concerns, BOUGHT, record.event_id)


def pursues(state: CustomerState, triggers: Collection[str]) -> bool:
    """Whether a ladder of one of these triggers has begun, or may begin when its window ends."""
    return any(journey.trigger in triggers and not journey.cancelled for journey in state.journeys) or any(
        proposal.journey.trigger in triggers for proposal in state.proposals
    )


def _is_reached(run: Evaluation, trigger: Trigger, cause: Cause) -> bool:
    goal = trigger.action.goal
    try:
        return goal is not None and (goal.when is None or goal.when.evaluate(run.scope) is True)
    except Exception as error:  # noqa: BLE001  # a broken rule is skipped for this record, whatever broke it
        report_broken(run, trigger, cause, error)
        return False


def _note_sales(run: Evaluation, concerns: Callable[[Journey], bool]) -> None:
    for category in sorted({journey.category for journey in run.state.journeys if concerns(journey)}):
        note_sale(run.state, category)


def end_by_event(run: Evaluation, kind: str, detail: str | None, caused_by: str) -> None:
    """Ends the journeys whose action names this event under ``until``, where they began before it.

    Asked before the event wakes anything.
    """
    ended = {trigger_id for trigger_id, event in run.plan.until.get(kind, ()) if event.covers(kind, detail)}
    if ended:
        take_back(
            run,
            lambda journey: journey.trigger in ended and journey.at <= run.at and is_under_way(run, journey),
            "ended",
            caused_by,
        )


def is_under_way(run: Evaluation, journey: Journey) -> bool:
    """Whether anything of a journey still waits, also for its window's end, or holds on a queue."""
    if journey.deadline:
        return True
    return any(sent.expires > run.clock and not sent.withdrawn for sent in journey.sent) or any(
        is_step_of(name, journey) for name in run.state.timers
    )


def _end(run: Evaluation, journey: Journey) -> bool:
    """Ends a journey; whether a step was still to come."""
    journey.cancelled = True
    waiting = [name for name in run.state.timers if is_step_of(name, journey)]
    for name in waiting:
        del run.state.timers[name]
    return bool(_steps(waiting))


def _steps(timers: list[str]) -> list[str]:
    return [name for name in timers if name.startswith("l:")]


def _cancel(run: Evaluation, journey: Journey, sent: Sent, reason: str, caused_by: str) -> None:
    sent.withdrawn = True
    run.outputs.append(cancellation(run, journey, sent, reason, caused_by))


def _tell(
    run: Evaluation, journey: Journey, step: int, reason: str, channel: str | None, action_id: str | None = None
) -> None:
    """The decision on a withdrawal, also where the trigger is gone."""
    trigger, occasion = run.plan.triggers.get(journey.trigger), journey.occasion
    if trigger is None:
        decide_absent(run, journey.trigger, 0, occasion, reason, step=step, outcome="cancelled", channel=channel)
        return
    told = "" if channel is None else channel
    decide(run, trigger, occasion, step, reason, outcome="cancelled", channel=told, action_id=action_id)
