"""Whether a customer can still be reached: on which channels the last ladder ran out with nobody answering (R23).

A ladder that runs out unanswered marks every channel it used. Any sign of life takes the marks away: an answer to any
action, or something the customer does on a channel of the bank. What is left are the channels of the policy's
``reach`` that may be used for this customer, by consent and suitability, and have no mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triggers.engine.state import Journey
from triggers.policy import consent, suitability
from triggers.policy.candidate import Candidate

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation


def mark_unanswered(run: Evaluation, journey: Journey) -> None:
    """A ladder ran out, and nobody answered."""
    for sent in journey.sent:
        if not sent.withdrawn:
            run.state.unanswered[sent.channel] = run.at
    settle_reach(run)


def note_answer(run: Evaluation) -> None:
    """The customer answered to an action, by whichever channel and however late."""
    if run.state.unanswered:
        run.state.unanswered = {}
        settle_reach(run)


def note_presence(run: Evaluation) -> None:
    """The customer was there: what ran out before that is forgotten."""
    unanswered = run.state.unanswered
    if unanswered:
        run.state.unanswered = {channel: since for channel, since in unanswered.items() if since > run.at}
        settle_reach(run)


def settle_reach(run: Evaluation) -> None:
    """Works out anew how many channels are left."""
    state, policy = run.state, run.plan.policy
    if not state.unanswered:
        state.channels_left = None
        return
    state.channels_left = sum(
        channel not in state.unanswered and _may_be_used(run, channel) for channel in policy.reach
    )


def _may_be_used(run: Evaluation, channel: str) -> bool:
    state, policy = run.state, run.plan.policy
    asked = Candidate("", "", channel, "simple", 0, run.clock, run.scope)
    return not consent.is_closed(state, policy, channel) and suitability.holds_back(state, policy, asked) is None
