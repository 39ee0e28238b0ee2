"""A journey's ladder: each step goes to the gate when it is due, onto its channel, or leaves a decision why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from schemas.base import iso_of_ms
from schemas.events import DESK_CHANNELS
from triggers.engine import offers, outputs
from triggers.engine.contact_log import note_contact
from triggers.engine.decisions import decide, decide_absent, report_broken
from triggers.engine.feedback import RANK, ActionView
from triggers.engine.firing import Cause, unremember
from triggers.engine.handoff import handoff_of
from triggers.engine.ids import make_id, make_sent_ids
from triggers.engine.state import Contact, CustomerState, Journey, Sent
from triggers.engine.timers import exhaustion_timer, step_timer
from triggers.engine.window import RETIRED, still_true
from triggers.language.model import Trigger
from triggers.policy import holdout, preference
from triggers.policy.candidate import Candidate
from triggers.policy.channels import Passage, pass_gate

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

AFTER_EXHAUSTION: Final = "exhausted:"
_LONGEST_OCCASION: Final = 200


def due_step(run: Evaluation, trigger: Trigger, step: int, occasion: str) -> Journey | None:
    """The journey of a ladder's next step, or of one that waited, due now: ``None`` where it does not come to it, which
    is recorded. ``run.scope`` holds the customer.
    """
    journey = journey_of(run.state, trigger.id, occasion)
    if journey is None or journey.cancelled:
        return None
    if step >= len(trigger.action.ladder):
        decide_absent(run, trigger.id, trigger.version, occasion, RETIRED, step=step)
        pass_over(run, trigger, journey, step)
        return None
    needless = _needless(run, trigger, journey, step)
    if not needless and (journey.sent or still_true(run, trigger, journey, journey.account_id, features=False)):
        return journey
    if not journey.sent:
        _drop(run, trigger, journey)
    return None


def climb(run: Evaluation, trigger: Trigger, journey: Journey, step: int) -> bool:
    """Takes a step that is due to the gate, as ``take_step``, and passes it over where it is refused."""
    if not take_step(run, trigger, journey, step):
        pass_over(run, trigger, journey, step)
        return False
    if not journey.sent and not journey.deadline:
        run.state.journeys.remove(journey)  # the first step waited, and the customer is held out
    return True


def pass_over(run: Evaluation, trigger: Trigger, journey: Journey, step: int) -> None:
    """A step that was due does not go out: the next one comes in its time. Without its first step a ladder is none."""
    if not journey.sent:
        _drop(run, trigger, journey)
        return
    journey.deadline = 0
    _wait_for_next(run, trigger, journey, step)


def give_up(run: Evaluation, trigger_id: str, step: int, occasion: str) -> None:
    """A step is due whose trigger the rule set does not have any more, or has in shadow."""
    journey = journey_of(run.state, trigger_id, occasion)
    if journey is None or journey.cancelled:
        return
    trigger = run.plan.triggers.get(trigger_id)
    decide_absent(run, trigger_id, trigger.version if trigger is not None else 0, occasion, RETIRED, step=step)
    if not journey.sent:
        run.state.journeys.remove(journey)


def take_step(run: Evaluation, trigger: Trigger, journey: Journey, step: int) -> bool:
    """Takes one step to the gate. Whether it went out, waits for its moment, or would have gone out but for the
    holdout.
    """
    state, plan, clock = run.state, run.plan, run.clock
    action, occasion = trigger.action, journey.occasion
    expires = journey.deadline or clock + action.expires_ms
    passage = judge(run, trigger, journey, step, expires)
    held, channel, tried = passage.held, passage.channel, passage.tried
    goes_out = clock if held is None else held.until
    if held is not None and goes_out is None:
        decide(run, trigger, occasion, step, held.reason, detail={**tried, **held.detail}, channel=channel)
        if channel is None or held.reason != holdout.REASON or step:
            return False
        # What the others hear counts for the caps of those held out, so that the two groups stay alike.
        journey.deadline = 0
        note_contact(state, plan, Contact(clock, trigger.id, journey.category, channel))
        return True
    assert goes_out is not None
    if goes_out >= expires:
        detail = {**tried, "expires_at": iso_of_ms(expires)}
        if held is not None:
            detail |= {**held.detail, "held_by": held.reason, "until": iso_of_ms(goes_out)}
        decide(run, trigger, occasion, step, "expired", detail=detail, channel=channel)
        return False
    if held is not None:
        journey.deadline = expires
        state.timers[step_timer(trigger.id, step, occasion)] = goes_out
        detail = {**tried, **held.detail, "until": iso_of_ms(goes_out)}
        decide(run, trigger, occasion, step, held.reason, outcome="deferred", detail=detail, channel=channel)
        return True
    assert channel is not None  # it is allowed
    journey.deadline = 0
    _send(run, trigger, journey, step, expires, channel, tried)
    return True


def exhausted(run: Evaluation, trigger_id: str, occasion: str) -> tuple[Journey, Cause] | None:
    """The ladder whose last action has just expired, if nobody answered."""
    journey = journey_of(run.state, trigger_id, occasion)
    if journey is None or journey.cancelled or RANK[journey.outcome] > RANK["delivered"]:
        return None
    if all(sent.withdrawn for sent in journey.sent):
        return None  # the customer closed the channels: nothing ran out
    found = f"{AFTER_EXHAUSTION}{trigger_id}:{occasion}"
    if len(found) > _LONGEST_OCCASION:
        found = f"{AFTER_EXHAUSTION}{trigger_id}:{make_id(occasion)}"
    return journey, Cause(found, journey.event_key, journey.holding_id, run.at)


def judge(run: Evaluation, trigger: Trigger, journey: Journey, step: int, expires: int) -> Passage:
    """What the gate says of a step, on the first of its channels that will do: those that the customer answers on
    come first, those on which this ladder did not get through last. ``expires`` (ms) is the end of any waiting.
    """
    state, plan, clock = run.state, run.plan, run.clock
    first = trigger.action.ladder[0]
    if not step and not first.instead and not state.channel_scores:
        # As of most: there is nothing to choose between.
        channel = first.channel
        candidate = Candidate(trigger.id, journey.category, channel, journey.complexity, 0, clock, run.scope)
        return Passage(plan.gate.suppression(state, candidate), channel, {})
    offered = preference.offered(state, plan.policy, trigger.action.ladder, step, journey, clock)
    candidate = Candidate(trigger.id, journey.category, offered[0], journey.complexity, step, clock, run.scope)
    if len(offered) == 1:
        return pass_gate(state, plan.gate, candidate, offered, expires)
    failed = {sent.channel for sent in journey.sent if sent.outcome == "failed"}
    channels, learned = preference.ordered(state, plan.policy, offered, failed, clock)
    passage = pass_gate(state, plan.gate, candidate, channels, expires)
    return Passage(passage.held, passage.channel, {**learned, **passage.tried}) if learned else passage


def journey_of(state: CustomerState, trigger_id: str, occasion: str) -> Journey | None:
    """The journey of a trigger on an occasion."""
    for found in state.journeys:
        if found.trigger == trigger_id and found.occasion == occasion:
            return found
    return None


def _drop(run: Evaluation, trigger: Trigger, journey: Journey) -> None:
    """The first step waited, and nothing came of it."""
    run.state.journeys.remove(journey)
    unremember(run.state, trigger, journey)


def _needless(run: Evaluation, trigger: Trigger, journey: Journey, step: int) -> bool:
    """Whether the ladder ends before this step, which is recorded."""
    occasion, scope = journey.occasion, run.scope
    rung = trigger.action.ladder[step]
    unless, condition = rung.unless, rung.unless_true
    if journey.outcome == "refused" or (unless is not None and RANK[journey.outcome] >= RANK[unless]):
        decide(run, trigger, occasion, step, "answered", detail={"feedback": journey.outcome})
        return True
    if condition is not None:
        scope.action = ActionView(journey, journey.sent[-1])
        scope.product = run.state.holding_map.get(journey.holding_id)
        try:
            holds = run.holds(trigger, condition, rung.condition)
        except Exception as error:  # noqa: BLE001  # a broken rule is skipped for this record, whatever broke it
            cause = Cause(occasion, journey.event_key, journey.holding_id, run.clock)
            report_broken(run, trigger, cause, error, step)
            return True
        if holds:
            decide(run, trigger, occasion, step, "unless", detail={"unless": condition.source[:200]})
            return True
    gone = offers.named_refusal(journey.offer, run)
    if gone is not None:
        decide(run, trigger, occasion, step, offers.REASON, detail=gone)
        return True
    return False


def _send(
    run: Evaluation,
    trigger: Trigger,
    journey: Journey,
    step: int,
    expires: int,
    channel: str,
    tried: Mapping[str, str],
) -> None:
    """Puts a step that the gate let pass onto its queue, and sets the timer of what comes after it."""
    state, plan, clock, action = run.state, run.plan, run.clock, trigger.action
    action_id, decision_id = make_sent_ids(run.tenant, state.key, trigger.id, journey.occasion, str(step))
    handoff = handoff_of(state, channel, clock) if channel in DESK_CHANNELS else ()
    sent = Sent(action_id, channel, step, clock, expires)
    journey.sent.append(sent)
    note_contact(state, plan, Contact(clock, trigger.id, action.category, channel))
    run.outputs.append(outputs.action(run, trigger, journey, sent, handoff))
    if plan.policy.holdout is not None and holdout.is_excepted(plan.policy, journey.category):
        tried = {**tried, holdout.REASON: holdout.EXCEPTED}
    decide(
        run,
        trigger,
        journey.occasion,
        step,
        "sent",
        outcome="sent",
        detail=tried,
        channel=channel,
        action_id=action_id,
        decision_id=decision_id,
    )
    _wait_for_next(run, trigger, journey, step)


def _wait_for_next(run: Evaluation, trigger: Trigger, journey: Journey, step: int) -> None:
    """Sets the timer of what comes after a step that went out or was passed over: the next one, or the end."""
    ladder, timers, occasion = trigger.action.ladder, run.state.timers, journey.occasion
    if step + 1 < len(ladder):
        timers[step_timer(trigger.id, step + 1, occasion)] = run.clock + ladder[step + 1].after_ms
    elif run.plan.follows_ends:
        timers[exhaustion_timer(trigger.id, occasion)] = max(run.clock, journey.sent[-1].expires)
