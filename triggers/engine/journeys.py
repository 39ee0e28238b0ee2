"""From candidates to a journey: of all that could be said at one occasion the best that is allowed begins its ladder.

A candidate that does not go out leaves a decision with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, Final

from schemas.base import MONEY_LIMIT
from triggers.engine import offers, window
from triggers.engine.decisions import decide, report_broken
from triggers.engine.firing import Cause, held_by_memory, remember
from triggers.engine.ladder import climb, due_step, judge, pass_over, take_step
from triggers.engine.ranking import by_score, in_tie_order
from triggers.engine.state import Journey
from triggers.engine.texts import plain, text_of
from triggers.engine.timers import occasion_of
from triggers.engine.together import Shadow, Together
from triggers.language.model import Choice, Trigger
from triggers.policy import arbitration, holdout

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

_MAX_JOURNEYS: Final = 100
_MONEY_UNIT: Final = Decimal("0.0001")
_MOST: Final = Decimal(MONEY_LIMIT)
_LEAST: Final = -_MOST


def choose(run: Evaluation, candidates: list[Trigger], cause: Cause) -> None:
    """Sends the best candidate that is allowed and records why the others were not.

    At one occasion the customer hears one thing: what has the highest score under the policy. ``candidates`` stand
    in the order that settles a tie. A candidate that waits for a better moment, or whose customer is held out,
    takes the place as well. One in shadow is asked in its turn what would become of it; it takes nobody's place
    and no cap counts it.

    Where the policy has a window, candidates wait for its end, and compete with those of other occasions in it. Those
    that timers bring up compete with all that is due at the same moment.
    """
    occasion = cause.occasion
    ready: list[tuple[Trigger, Journey]] = []
    shadows: list[Shadow] = []
    for trigger in candidates:
        held = held_by_memory(run.state, trigger, cause)
        if held is not None:
            decide(run, trigger, occasion, 0, held[0], detail=held[1])
            continue
        journey = _prepare(run, trigger, cause)
        if isinstance(journey, Journey):
            ready.append((trigger, journey))
        elif journey is not None and trigger.status == "shadow":
            shadows.append((trigger, occasion, offers.REASON))
        elif journey is not None:
            decide(run, trigger, occasion, 0, offers.REASON, detail=journey)
    if run.plan.policy.window_ms:
        window.enter(run, ready)
        ready = []
    _settle(run, ready, shadows)


def end_window(run: Evaluation) -> None:
    """The same for the candidates that waited for this moment."""
    _settle(run, window.close(run), [])


def bring_up(run: Evaluation, trigger: Trigger, step: int, occasion: str) -> None:
    """The same for a step of a ladder that is due at this moment."""
    journey = due_step(run, trigger, step, occasion)
    if journey is not None:
        assert run.together is not None  # steps are due by timers alone
        run.together.steps[trigger.id, occasion] = step
        run.together.ready.append((trigger, journey))


def settle_together(run: Evaluation, together: Together) -> None:
    """Lets what the timers of one moment brought up compete."""
    run.together = None
    if together.ready or together.shadows:
        run.begin(run.clock, None)
        run.woken_by = together.woken_by
        _compete(run, in_tie_order(together.ready), together.shadows, together.steps)


def _settle(run: Evaluation, ready: list[tuple[Trigger, Journey]], shadows: list[Shadow]) -> None:
    together = run.together
    if together is None:
        if ready or shadows:
            _compete(run, ready, shadows, {})
        return
    together.ready += ready
    together.shadows += shadows
    together.woken_by |= run.woken_by


def _compete(
    run: Evaluation,
    ready: list[tuple[Trigger, Journey]],
    shadows: list[Shadow],
    steps: Mapping[tuple[str, str], int],
) -> None:
    """``steps`` has the step that is due of each journey that has begun; the others would begin now."""
    if len(ready) == 1 and not shadows and _alone(run, *ready[0], steps):
        return
    winner: Journey | None = None
    winner_score = ""
    begun = False
    ranked = by_score(run, ready)
    if len(ranked) > 1:
        run.scores = {(trigger.id, journey.occasion): score for trigger, journey, score in ranked}
    for trigger, journey, score in ranked:
        step = steps.get((trigger.id, journey.occasion)) if steps else None
        if step is None and trigger.status == "shadow":
            would = arbitration.REASON if winner else _would(run, trigger, journey)
            shadows.append((trigger, journey.occasion, would))
        elif winner is not None:
            lost = {"winner": winner.trigger, "winner_score": winner_score}
            if winner.occasion != journey.occasion:
                lost["winner_occasion"] = winner.occasion
            decide(run, trigger, journey.occasion, step or 0, arbitration.REASON, detail=lost)
            if step is not None:
                pass_over(run, trigger, journey, step)
        elif step is not None:
            if climb(run, trigger, journey, step):
                winner, winner_score = journey, score
        elif take_step(run, trigger, journey, 0):
            winner, winner_score = journey, score
            begun = _note_begun(run, trigger, journey)
    if begun:
        _forget_old(run)  # once each step that was due has its next timer
    for trigger, occasion, would in shadows:
        detail = {"would": would, "beside": winner.trigger} if winner else {"would": would}
        decide(run, trigger, occasion, 0, "shadow", detail=detail)
    if run.scores:
        run.scores = {}


def _alone(run: Evaluation, trigger: Trigger, journey: Journey, steps: Mapping[tuple[str, str], int]) -> bool:
    """Settles the only candidate, as there mostly is; not one in shadow."""
    step = steps.get((trigger.id, journey.occasion)) if steps else None
    if step is not None:
        climb(run, trigger, journey, step)
    elif trigger.status == "shadow":
        return False
    elif take_step(run, trigger, journey, 0) and _note_begun(run, trigger, journey):
        _forget_old(run)
    return True


def _note_begun(run: Evaluation, trigger: Trigger, journey: Journey) -> bool:
    """Remembers that a trigger fired; whether a journey has begun by it."""
    remember(run.state, trigger, journey)
    if journey.sent or journey.deadline:
        run.state.journeys.append(journey)
        return True
    return False


def _prepare(run: Evaluation, trigger: Trigger, cause: Cause) -> Journey | Mapping[str, str] | None:
    """What would go out, or why no offer fits; ``None`` where an expression failed, which is recorded."""
    plan = run.plan
    if plan.sees:
        plan.show_event(run.scope, trigger)
    try:
        return _journey(run, trigger, cause)
    except Exception as error:  # noqa: BLE001  # a broken rule is skipped for this record, whatever broke it
        report_broken(run, trigger, cause, error)
        return None


def _would(run: Evaluation, trigger: Trigger, journey: Journey) -> str:
    """What would become of a candidate in shadow if it were live: ``sent``, ``deferred`` or what holds it back."""
    refused = judge(run, trigger, journey, 0, journey.deadline or run.clock + trigger.action.expires_ms).held
    if refused is not None and refused.until is None and refused.reason != holdout.REASON:
        return refused.reason
    remember(run.state, trigger, journey)
    if refused is None:
        return "sent"
    return refused.reason if refused.until is None else "deferred"


def _journey(run: Evaluation, trigger: Trigger, cause: Cause) -> Journey | Mapping[str, str]:
    """A journey before its first step; where no offer fits, why not. The action's expressions see the offer."""
    plan, scope, action = run.plan, run.scope, trigger.action
    complexity: str | None = action.complexity
    if isinstance(action.offer, Choice):
        chosen, why = offers.choose(action.offer, plan, scope, offers.bank_day(run))
        if chosen is None:
            return why
        offer, complexity = chosen.id, complexity or chosen.complexity
    else:
        offer = action.offer
        scope.offer = None
        if plan.offers is not None:
            refused = offers.named_refusal(offer, run)
            if refused is not None:
                return refused
            scope.offer = plan.offers[offer]
    assert complexity is not None  # every offer that can be chosen has one where the action has not
    return Journey(
        trigger=trigger.id,
        occasion=cause.occasion,
        event_key=cause.event_key,
        holding_id=cause.holding_id,
        at=cause.at,
        category=action.category,
        offer=offer,
        complexity=complexity,
        value=_amount(action.value.evaluate(scope) if action.value else None),
        fields={name: text_of(field.evaluate(scope)) for name, field in action.fields.items()},
        account_id=scope.account.id if scope.account is not None else "",
    )


def _forget_old(run: Evaluation) -> None:
    keep_from = run.clock - run.plan.journey_ms
    journeys = run.state.journeys
    if len(journeys) > _MAX_JOURNEYS or journeys[0].touched_at < keep_from:
        waiting = {occasion_of(name) for name in run.state.timers if name.startswith(("l:", "x:"))}
        run.state.journeys = [
            journey
            for index, journey in enumerate(journeys)
            if journey.occasion in waiting
            or (journey.touched_at >= keep_from and index >= len(journeys) - _MAX_JOURNEYS)
        ]


def _amount(value: Any) -> str | None:
    """An action's value as money: rounded to 1/10,000; ``None`` where unknown or beyond an amount's range."""
    if value is None:
        return None
    number = Decimal(value)
    if not _LEAST < number < _MOST:  # before any arithmetic
        return None
    rounded = number.quantize(_MONEY_UNIT, rounding=ROUND_HALF_EVEN)
    return plain(rounded) if _LEAST < rounded < _MOST else None
