"""What became of an action, and what follows for its ladder.

The best outcome of a step counts, in whatever order and however often they are reported; the best of all steps is that
of the ladder. A sale or a refusal ends the ladder at once. A step that could not be delivered is not waited for. An
answer from before a later step went out, which came only after, withdraws that step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.dead_letter import Reason
from schemas.decode import Rejected
from schemas.events import DESK_CHANNELS
from triggers.engine.contact_log import note_sale
from triggers.engine.state import CustomerState, Journey, Sent
from triggers.engine.timers import exhaustion_timer, step_timer
from triggers.engine.withdrawal import take_back, withdraw
from triggers.language.model import Policy
from triggers.policy.preference import POINTS, learn, offered

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

RANK: Final = {"": 0, "failed": 1, "delivered": 2, "opened": 3, "clicked": 4, "answered": 5, "bought": 6, "refused": 7}
"""Of the outcomes of a step, and of a ladder, the highest counts."""
ENDS: Final = ("bought", "refused")
"""What ends a ladder, whatever its later steps say."""

TALK: Final = "talk:"
"""So begins the id of a talk that no action asked for: people spoke with the customer of their own accord."""


class ActionView:
    """An action as expressions see it (``action.*``): one step that went out, and the best outcome of its ladder."""

    __slots__ = ("category", "channel", "outcome", "step", "trigger")

    def __init__(self, journey: Journey, sent: Sent) -> None:
        self.trigger = journey.trigger
        self.category = journey.category
        self.channel = sent.channel
        self.step = sent.step
        self.outcome = journey.outcome or None


def find_action(state: CustomerState, action_id: str, channel: str) -> tuple[Journey, Sent] | Rejected | None:
    """The action that a feedback is about; refused where there is none, or where it went out on another channel.

    ``None`` where people say that they spoke with the customer of their own accord (``talk:…``): a talk is worth noting
    whoever began it.
    """
    for journey in reversed(state.journeys):
        for sent in journey.sent:
            if sent.action_id != action_id:
                continue
            if sent.channel != channel:
                return Rejected(Reason.OTHER_CHANNEL, "channel", f"the action went out by {sent.channel}")
            return journey, sent
    problem = "the customer has had no such action, or so long ago that it is forgotten"
    if channel in DESK_CHANNELS:
        if action_id.startswith(TALK) and action_id != TALK:
            return None
        problem += f"; a talk that no action asked for has an id that begins with {TALK}"
    return Rejected(Reason.UNKNOWN_ACTION, "action_id", problem)


def note_outcome(state: CustomerState, policy: Policy, journey: Journey, sent: Sent, outcome: str, at: int) -> bool:
    """Notes an outcome of a step; whether it is the best that was said of the step so far."""
    if outcome == "bought":
        note_sale(state, journey.category)
    if RANK[outcome] > RANK[journey.outcome]:
        journey.outcome = outcome
    if RANK[outcome] <= RANK[sent.outcome]:
        return False
    # Repeated or out of order, a step adds what its best outcome is worth, once.
    learn(state, policy, sent.channel, POINTS[outcome] - POINTS[sent.outcome], at)
    sent.outcome = outcome
    return True


def follow_outcome(run: Evaluation, journey: Journey, sent: Sent, outcome: str, event_id: str) -> None:
    """What a step's new best outcome means for the rest of its ladder. ``run.at`` is when it happened."""
    if journey.cancelled:
        return
    if outcome in ENDS:
        take_back(run, lambda found: found is journey, outcome, event_id, spared=sent)
    elif outcome == "failed":
        _go_on(run, journey, sent)
    else:
        _answer_late(run, journey, sent, outcome, event_id)


def _go_on(run: Evaluation, journey: Journey, sent: Sent) -> None:
    """The customer was not reached: the next step is due now where it may go by another channel, and so is the end."""
    trigger, timers = run.plan.triggers.get(journey.trigger), run.state.timers
    if trigger is None or sent is not journey.sent[-1]:
        return
    following = sent.step + 1
    end = exhaustion_timer(journey.trigger, journey.occasion)
    if end in timers:
        timers[end] = run.clock
    elif following < len(trigger.action.ladder) and not journey.deadline:
        due = step_timer(journey.trigger, following, journey.occasion)
        channels = offered(run.state, run.plan.policy, trigger.action.ladder, following, journey, run.clock)
        if due in timers and set(channels) != {sent.channel}:
            timers[due] = run.clock


def _answer_late(run: Evaluation, journey: Journey, sent: Sent, outcome: str, event_id: str) -> None:
    """Withdraws the later steps that would not have gone out had the answer come in time."""
    trigger = run.plan.triggers.get(journey.trigger)
    if trigger is None:
        return
    for later in journey.sent:
        if later.step <= sent.step or later.at <= run.at or later.step >= len(trigger.action.ladder):
            continue
        unless = trigger.action.ladder[later.step].unless
        if unless is not None and RANK[outcome] >= RANK[unless]:
            withdraw(run, journey, later, "answered_late", event_id)
