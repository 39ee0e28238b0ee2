"""From a candidate to an action and its ladder: through the gate, onto a channel, and taken back where its cause is.

Every step passes the gate anew. A candidate that does not go out leaves a decision with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

from schemas.actions import Cancellation, NextBestAction
from schemas.base import MONEY_LIMIT, Record, from_ms
from schemas.decisions import Decision
from triggers.engine import offers
from triggers.engine.contact_log import note_contact, note_sale
from triggers.engine.ids import make_id
from triggers.engine.plan import Plan
from triggers.engine.scope import Scope
from triggers.engine.state import Contact, CustomerState, Journey, Memory, Sent
from triggers.engine.texts import plain, text_of
from triggers.language.derived_events import EXHAUSTED
from triggers.language.model import Choice, Trigger
from triggers.policy import arbitration, holdout
from triggers.policy.arbitration import Contender
from triggers.policy.candidate import Candidate
from triggers.policy.gate import suppression

_MAX_JOURNEYS: Final = 100
_MONEY_UNIT: Final = Decimal("0.0001")
_EXHAUSTED: Final = "exhausted:"
_LONGEST_OCCASION: Final = 200
_RANK: Final = {"": 0, "failed": 1, "delivered": 2, "opened": 3, "clicked": 4, "answered": 5, "bought": 6, "refused": 7}


class Cause(NamedTuple):
    """What brought a trigger to consider a customer: an occasion at a time (ms), by an event or a holding."""

    occasion: str
    event_key: int
    holding_id: str
    at: int


class ActionView:
    """An action as expressions see it (``action.*``): one step that went out, and the best outcome of its ladder."""

    __slots__ = ("category", "channel", "outcome", "step", "trigger")

    def __init__(self, journey: Journey, sent: Sent) -> None:
        self.trigger = journey.trigger
        self.category = journey.category
        self.channel = sent.channel
        self.step = sent.step
        self.outcome = journey.outcome or None


class Contacts:
    """Decides on candidates and keeps their journeys. One for each stage; it holds no customer's state."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self.heard: dict[str, str] = {}
        """What derived event each trigger hears at the occasion under way: told in its decision."""

    def choose(
        self,
        state: CustomerState,
        plan: Plan,
        candidates: list[Trigger],
        cause: Cause,
        scope: Scope,
        clock: int,
        outputs: list[Record],
    ) -> None:
        """Sends the best candidate that is allowed and records why the others were not.

        At one occasion the customer hears one thing: what has the highest score under the policy. ``candidates`` stand
        in the order that settles a tie. A candidate that waits for a better moment, or whose customer is held out,
        takes the place as well. One in shadow is asked in its turn what would become of it; it takes nobody's place
        and no cap counts it.
        """
        ready: list[tuple[Trigger, Journey]] = []
        shadows: list[tuple[Trigger, str]] = []
        for trigger in candidates:
            held = self._held_by_trigger(state, trigger, cause)
            if held is not None:
                self._decide(state, plan, trigger, cause.occasion, 0, clock, outputs, held[0], detail=held[1])
                continue
            journey = self._prepare(state, plan, trigger, cause, scope, clock, outputs)
            if isinstance(journey, Journey):
                ready.append((trigger, journey))
            elif journey is not None and trigger.status == "shadow":
                shadows.append((trigger, offers.REASON))
            elif journey is not None:
                self._decide(state, plan, trigger, cause.occasion, 0, clock, outputs, offers.REASON, detail=journey)
        winner = winner_score = ""
        for trigger, journey, score in _by_score(plan, ready, scope, clock):
            if trigger.status == "shadow":
                would = (
                    arbitration.REASON if winner else self._would(state, plan, trigger, journey, cause, scope, clock)
                )
                shadows.append((trigger, would))
            elif winner:
                lost = {"winner": winner, "score": score, "winner_score": winner_score}
                self._decide(state, plan, trigger, cause.occasion, 0, clock, outputs, arbitration.REASON, detail=lost)
            elif self._step(state, plan, trigger, journey, 0, scope, clock, outputs):
                winner, winner_score = trigger.id, score
                _remember(state, trigger, cause)
                if journey.sent or journey.deadline:
                    state.journeys.append(journey)
                    self._forget_old(state, plan, clock)
        for trigger, would in shadows:
            detail = {"would": would, "beside": winner} if winner else {"would": would}
            self._decide(state, plan, trigger, cause.occasion, 0, clock, outputs, "shadow", detail=detail)

    def report_broken(
        self,
        state: CustomerState,
        plan: Plan,
        trigger: Trigger,
        cause: Cause,
        error: Exception,
        clock: int,
        outputs: list[Record],
        step: int = 0,
    ) -> None:
        """Records that a trigger's expression failed, which a checked one never does: a bug to mend, not a crash."""
        detail = {"error": type(error).__name__}
        self._decide(state, plan, trigger, cause.occasion, step, clock, outputs, "broken", detail=detail)

    def report_broken_name(
        self,
        state: CustomerState,
        plan: Plan,
        name: str,
        occasion: str,
        error: Exception,
        clock: int,
        outputs: list[Record],
    ) -> None:
        """The same of a tiering or a tag, under its name."""
        outputs.append(
            Decision.model_validate(
                {
                    "tenant": self._tenant,
                    "decision_id": make_id(self._tenant, state.key, name, occasion, "broken"),
                    "customer_id": state.key,
                    "trigger": name,
                    "trigger_version": 0,
                    "ruleset": plan.ruleset.hash,
                    "occasion": occasion,
                    "step": 0,
                    "outcome": "suppressed",
                    "reason": "broken",
                    "detail": {"error": type(error).__name__},
                    "decided_at": from_ms(clock),
                }
            )
        )

    def climb(
        self,
        state: CustomerState,
        plan: Plan,
        trigger: Trigger,
        step: int,
        occasion: str,
        scope: Scope,
        clock: int,
        outputs: list[Record],
    ) -> None:
        """A ladder's next step, or one that waited, due now. ``scope`` holds the customer."""
        journey = _journey_of(state, trigger.id, occasion)
        if journey is None or journey.cancelled or step >= len(trigger.action.ladder):
            return
        taken = self._try_step(state, plan, trigger, journey, step, scope, clock, outputs)
        if not journey.sent and not (taken and journey.deadline):
            # The first step waited, and nothing came of it.
            state.journeys.remove(journey)
            if not taken:
                _unremember(state, trigger, journey)

    def _try_step(
        self,
        state: CustomerState,
        plan: Plan,
        trigger: Trigger,
        journey: Journey,
        step: int,
        scope: Scope,
        clock: int,
        outputs: list[Record],
    ) -> bool:
        """A step, unless it has become needless; whether it went out, waits or is held out."""
        occasion = journey.occasion
        rung = trigger.action.ladder[step]
        unless, condition = rung.unless, rung.unless_true
        if journey.outcome == "refused" or (unless is not None and _RANK[journey.outcome] >= _RANK[unless]):
            detail = {"feedback": journey.outcome}
            self._decide(state, plan, trigger, occasion, step, clock, outputs, "answered", detail=detail)
            return False
        if condition is not None:
            scope.action = ActionView(journey, journey.sent[-1])
            scope.product = state.holding_map.get(journey.holding_id)
            try:
                holds = condition.evaluate(scope)
            except Exception as error:  # noqa: BLE001  # a broken rule is skipped for this record, whatever broke it
                cause = Cause(occasion, journey.event_key, journey.holding_id, clock)
                self.report_broken(state, plan, trigger, cause, error, clock, outputs, step)
                return False
            if holds is True:
                detail = {"unless": condition.source[:200]}
                self._decide(state, plan, trigger, occasion, step, clock, outputs, "unless", detail=detail)
                return False
        gone = offers.named_refusal(journey.offer, plan, state.tier, _day(plan, clock))
        if gone is not None:
            self._decide(state, plan, trigger, occasion, step, clock, outputs, offers.REASON, detail=gone)
            return False
        return self._step(state, plan, trigger, journey, step, scope, clock, outputs)

    def exhausted(
        self, state: CustomerState, trigger_id: str, occasion: str, at: int
    ) -> tuple[ActionView, Cause] | None:
        """What became of a ladder whose last action has just expired; ``None`` where there was an answer."""
        journey = _journey_of(state, trigger_id, occasion)
        if journey is None or journey.cancelled or _RANK[journey.outcome] > _RANK["delivered"]:
            return None
        sent = journey.sent[-1]
        found = f"{_EXHAUSTED}{trigger_id}:{occasion}"
        if len(found) > _LONGEST_OCCASION:
            found = f"{_EXHAUSTED}{trigger_id}:{make_id(occasion)}"
        return ActionView(journey, sent), Cause(found, journey.event_key, journey.holding_id, at)

    def take_back(
        self,
        state: CustomerState,
        plan: Plan,
        concerns: Callable[[Journey], bool],
        reason: str,
        caused_by: str,
        clock: int,
        outputs: list[Record],
    ) -> None:
        """Cancels every journey that ``concerns`` picks: what waits, and what went out and has not expired."""
        for journey in state.journeys:
            if journey.cancelled or not concerns(journey):
                continue
            journey.cancelled = True
            for timer in [name for name in state.timers if is_step_of(name, journey)]:
                del state.timers[timer]
            for sent in journey.sent:
                if sent.expires <= clock:
                    continue
                outputs.append(
                    Cancellation.model_validate(
                        {
                            "tenant": self._tenant,
                            "action_id": sent.action_id,
                            "customer_id": state.key,
                            "trigger": journey.trigger,
                            "channel": sent.channel,
                            "reason": reason,
                            "caused_by": caused_by,
                            "created_at": from_ms(clock),
                        }
                    )
                )
            trigger = plan.triggers.get(journey.trigger)
            if trigger is not None:
                last = journey.last_step
                self._decide(state, plan, trigger, journey.occasion, last, clock, outputs, reason, outcome="cancelled")

    def _held_by_trigger(
        self, state: CustomerState, trigger: Trigger, cause: Cause
    ) -> tuple[str, dict[str, str]] | None:
        memory = state.memory.get(memory_name(trigger))
        if memory is not None and not memory.armed:
            return "not_rearmed", {"fired_at": from_ms(memory.fired_ms).isoformat()}
        if (
            memory is not None
            and trigger.once_per_ms is not None
            and memory.fired_ms
            and cause.at - memory.fired_ms < trigger.once_per_ms
        ):
            return "once_per", {"fired_at": from_ms(memory.fired_ms).isoformat()}
        return None

    def _prepare(
        self,
        state: CustomerState,
        plan: Plan,
        trigger: Trigger,
        cause: Cause,
        scope: Scope,
        clock: int,
        outputs: list[Record],
    ) -> Journey | Mapping[str, str] | None:
        """What would go out, or why no offer fits; ``None`` where an expression failed, which is recorded."""
        plan.show_event(scope, trigger)
        try:
            return _journey(trigger, cause, plan, scope, _day(plan, clock))
        except Exception as error:  # noqa: BLE001  # a broken rule is skipped for this record, whatever broke it
            self.report_broken(state, plan, trigger, cause, error, clock, outputs)
            return None

    def _would(
        self,
        state: CustomerState,
        plan: Plan,
        trigger: Trigger,
        journey: Journey,
        cause: Cause,
        scope: Scope,
        clock: int,
    ) -> str:
        """What would become of a candidate in shadow if it were live: ``sent``, ``deferred`` or what holds it back."""
        refused = suppression(state, plan.policy, _candidate(trigger, journey, 0, scope, clock))
        if refused is not None and refused.until is None and refused.reason != holdout.REASON:
            return refused.reason
        _remember(state, trigger, cause)
        if refused is None:
            return "sent"
        return refused.reason if refused.until is None else "deferred"

    def _step(
        self,
        state: CustomerState,
        plan: Plan,
        trigger: Trigger,
        journey: Journey,
        step: int,
        scope: Scope,
        clock: int,
        outputs: list[Record],
    ) -> bool:
        """Takes one step to the gate. Whether it went out, waits for its moment, or would have gone out but for the
        holdout.
        """
        action, occasion = trigger.action, journey.occasion
        channel = action.ladder[step].channel
        held = suppression(state, plan.policy, _candidate(trigger, journey, step, scope, clock))
        expires = journey.deadline or clock + action.expires_ms
        goes_out = clock if held is None else held.until
        if held is not None and goes_out is None:
            self._decide(state, plan, trigger, occasion, step, clock, outputs, held.reason, detail=held.detail)
            if held.reason != holdout.REASON or step:
                return False
            # What the others hear counts for the caps of those held out, so that the two groups stay alike.
            journey.deadline = 0
            note_contact(state, plan, Contact(clock, trigger.id, journey.category, channel))
            return True
        assert goes_out is not None
        if goes_out >= expires:
            detail = {"expires_at": from_ms(expires).isoformat()}
            if held is not None:
                detail |= {**held.detail, "held_by": held.reason, "until": from_ms(goes_out).isoformat()}
            self._decide(state, plan, trigger, occasion, step, clock, outputs, "expired", detail=detail)
            return False
        if held is not None:
            journey.deadline = expires
            state.timers[step_timer(trigger.id, step, occasion)] = goes_out
            detail = {**held.detail, "until": from_ms(goes_out).isoformat()}
            self._decide(
                state, plan, trigger, occasion, step, clock, outputs, held.reason, outcome="deferred", detail=detail
            )
            return True
        journey.deadline = 0
        action_id = make_id(self._tenant, state.key, trigger.id, occasion, str(step))
        journey.sent.append(Sent(action_id, channel, step, clock, expires))
        note_contact(state, plan, Contact(clock, trigger.id, action.category, channel))
        outputs.append(
            NextBestAction.model_validate(
                {
                    "tenant": self._tenant,
                    "action_id": action_id,
                    "customer_id": state.key,
                    "trigger": trigger.id,
                    "trigger_version": trigger.version,
                    "ruleset": plan.ruleset.hash,
                    "occasion": journey.occasion,
                    "step": step,
                    "channel": channel,
                    "offer": journey.offer,
                    "category": action.category,
                    "complexity": journey.complexity,
                    "priority": action.priority,
                    "value": journey.value,
                    "template": action.template,
                    "fields": journey.fields,
                    "created_at": from_ms(clock),
                    "expires_at": from_ms(expires),
                }
            )
        )
        self._decide(
            state, plan, trigger, journey.occasion, step, clock, outputs, "sent", outcome="sent", action_id=action_id
        )
        if step + 1 < len(action.ladder):
            state.timers[step_timer(trigger.id, step + 1, journey.occasion)] = clock + action.ladder[step + 1].after_ms
        elif EXHAUSTED in plan.on_derived and not journey.occasion.startswith(_EXHAUSTED):
            # What a ladder that ran out has led to is not followed again: triggers would wake each other for ever.
            state.timers[exhaustion_timer(trigger.id, journey.occasion)] = expires
        return True

    def _decide(
        self,
        state: CustomerState,
        plan: Plan,
        trigger: Trigger,
        occasion: str,
        step: int,
        clock: int,
        outputs: list[Record],
        reason: str,
        *,
        outcome: str = "suppressed",
        detail: Mapping[str, str] | None = None,
        action_id: str | None = None,
    ) -> None:
        # A step may be put off more than once.
        told = f"{reason}:{clock}" if outcome == "deferred" else reason
        if not step and trigger.id in self.heard:
            detail = {**(detail or {}), "woken_by": self.heard[trigger.id]}
        outputs.append(
            Decision.model_validate(
                {
                    "tenant": self._tenant,
                    "decision_id": make_id(self._tenant, state.key, trigger.id, occasion, str(step), outcome, told),
                    "customer_id": state.key,
                    "trigger": trigger.id,
                    "trigger_version": trigger.version,
                    "ruleset": plan.ruleset.hash,
                    "occasion": occasion,
                    "step": step,
                    "outcome": outcome,
                    "reason": reason,
                    "channel": trigger.action.ladder[step].channel,
                    "action_id": action_id,
                    "detail": detail or {},
                    "decided_at": from_ms(clock),
                }
            )
        )

    def _forget_old(self, state: CustomerState, plan: Plan, clock: int) -> None:
        keep_from = clock - plan.journey_ms
        journeys = state.journeys
        if len(journeys) > _MAX_JOURNEYS or journeys[0].touched_at < keep_from:
            waiting = {_occasion_of(name) for name in state.timers if name.startswith(("l:", "x:"))}
            state.journeys = [
                journey
                for index, journey in enumerate(journeys)
                if journey.occasion in waiting
                or (journey.touched_at >= keep_from and index >= len(journeys) - _MAX_JOURNEYS)
            ]


def memory_name(trigger: Trigger) -> str:
    """Where a trigger's memory is kept. What it did in shadow is no reason to be quiet once it is live."""
    return f"~{trigger.id}" if trigger.status == "shadow" else trigger.id


def _remember(state: CustomerState, trigger: Trigger, cause: Cause) -> None:
    memory = state.memory.setdefault(memory_name(trigger), Memory())
    memory.before_ms, memory.fired_ms = memory.fired_ms, cause.at
    memory.fired_key, memory.armed = cause.event_key, trigger.rearm is None


def _by_score(
    plan: Plan, ready: list[tuple[Trigger, Journey]], scope: Scope, clock: int
) -> list[tuple[Trigger, Journey, str]]:
    """The candidates with their scores, the best first. One alone needs no score."""
    if len(ready) < 2:
        return [(trigger, journey, "") for trigger, journey in ready]
    contenders = [
        Contender(journey.category, trigger.action.priority, Decimal(journey.value or 0)) for trigger, journey in ready
    ]
    scores = arbitration.scores(plan.policy, contenders, scope, clock)
    return [(*ready[place], arbitration.show(scores[place])) for place in arbitration.ranked(scores)]


def _unremember(state: CustomerState, trigger: Trigger, journey: Journey) -> None:
    """Takes back that a trigger fired on an occasion, unless it has fired since."""
    memory = state.memory.get(memory_name(trigger))
    if memory is not None and (memory.fired_ms, memory.fired_key) == (journey.at, journey.event_key):
        memory.take_back()


def _candidate(trigger: Trigger, journey: Journey, step: int, scope: Scope, clock: int) -> Candidate:
    channel = trigger.action.ladder[step].channel
    return Candidate(trigger.id, journey.category, channel, journey.complexity, step, clock, scope)


def _journey(trigger: Trigger, cause: Cause, plan: Plan, scope: Scope, day: date) -> Journey | Mapping[str, str]:
    """A journey before its first step; where no offer fits, why not. The action's expressions see the offer."""
    action = trigger.action
    complexity: str | None = action.complexity
    if isinstance(action.offer, Choice):
        chosen, why = offers.choose(action.offer, plan, scope, day)
        if chosen is None:
            return why
        offer, complexity = chosen.id, complexity or chosen.complexity
    else:
        offer = action.offer
        refused = offers.named_refusal(offer, plan, scope.customer.tier, day)
        if refused is not None:
            return refused
        scope.offer = plan.offers[offer] if plan.offers is not None else None
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
    )


def _day(plan: Plan, clock: int) -> date:
    """The day on which the system acts, in the bank's time zone."""
    return from_ms(clock).astimezone(plan.policy.timezone).date()


def record_feedback(state: CustomerState, action_id: str, outcome: str) -> ActionView | None:
    """Notes what became of an action; the best outcome so far counts. Returns the action, ``None`` where unknown."""
    for journey in reversed(state.journeys):
        for sent in journey.sent:
            if sent.action_id == action_id:
                if _RANK[outcome] > _RANK[journey.outcome]:
                    journey.outcome = outcome
                if outcome == "bought":
                    note_sale(state, journey.category)
                return ActionView(journey, sent)
    return None


def step_timer(trigger_id: str, step: int, occasion: str) -> str:
    """The name of the timer of a ladder's step."""
    return f"l:{trigger_id}:{step}:{occasion}"


def exhaustion_timer(trigger_id: str, occasion: str) -> str:
    """The name of the timer of a ladder's end: when its last action expires."""
    return f"x:{trigger_id}:{occasion}"


def is_step_of(timer: str, journey: Journey) -> bool:
    """Whether a timer waits for a step of this journey, or for its end."""
    mine = timer.startswith((f"l:{journey.trigger}:", f"x:{journey.trigger}:"))
    return mine and _occasion_of(timer) == journey.occasion


def _occasion_of(timer: str) -> str:
    """The occasion of a ladder's timer: ``l:trigger:step:occasion`` or ``x:trigger:occasion``."""
    return timer.split(":", 3)[3] if timer.startswith("l:") else timer.split(":", 2)[2]


def _journey_of(state: CustomerState, trigger_id: str, occasion: str) -> Journey | None:
    return next((found for found in state.journeys if found.trigger == trigger_id and found.occasion == occasion), None)


def _amount(value: Any) -> str | None:
    """An action's value as money: rounded to 1/10,000; ``None`` where unknown or beyond an amount's range."""
    if value is None:
        return None
    number = Decimal(value)
    if not -MONEY_LIMIT < number < MONEY_LIMIT:
        return None
    return plain(number.quantize(_MONEY_UNIT, rounding=ROUND_HALF_EVEN))
