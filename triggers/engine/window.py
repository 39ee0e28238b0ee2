"""The arbitration window: candidates that come within it compete, and at its end the best that is allowed is sent.

The first candidate opens it, and no later one makes it longer: so at most one contact begins in each window. What waits
is in the customer's state, a few candidates at most. One whose cause is taken back meanwhile, or of which a clause of
the condition is not true any more, drops out with a decision. The message is the one of its occasion, and the action
expires as if it had not waited.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from triggers.engine.decisions import decide, decide_absent
from triggers.engine.firing import Cause, held_by_memory
from triggers.engine.ranking import by_score, in_tie_order
from triggers.engine.state import Journey, Proposal
from triggers.engine.timers import WINDOW
from triggers.language.model import Trigger
from triggers.policy.clause_values import explain

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

MOST: Final = 50
"""So many candidates wait at most. Of one more the last in rank goes."""
FULL: Final = "window_full"
NO_LONGER: Final = "no_longer_true"
RETIRED: Final = "retired"


def enter(run: Evaluation, ready: list[tuple[Trigger, Journey]]) -> None:
    """Lets candidates wait beside those that wait already; where there is no window the first one opens it."""
    state = run.state
    account = run.scope.account
    for trigger, journey in ready:
        journey.deadline = run.clock + trigger.action.expires_ms
        woken_by = run.woken_by.get(trigger.id, "")
        state.proposals.append(Proposal(journey, trigger.version, account.id if account else "", woken_by))
    if ready and WINDOW not in state.timers:
        state.timers[WINDOW] = run.clock + run.plan.policy.window_ms
    while len(state.proposals) > MOST:
        trigger, journey, score = by_score(run, _known(run))[-1]
        state.proposals = [proposal for proposal in state.proposals if proposal.journey is not journey]
        decide(run, trigger, journey.occasion, 0, FULL, detail={"most": str(MOST), "score": score})


def close(run: Evaluation) -> list[tuple[Trigger, Journey]]:
    """The candidates that still stand at the window's end, in the order that settles a tie."""
    state, plan = run.state, run.plan
    state.timers.pop(WINDOW, None)
    for proposal in state.proposals:
        if proposal.journey.trigger not in plan.triggers:
            decide_absent(run, proposal.journey.trigger, proposal.version, proposal.journey.occasion, RETIRED)
    known = _known(run)
    standing = [proposal for proposal in state.proposals if _stands(run, proposal)]
    state.proposals = []
    run.woken_by = {proposal.journey.trigger: proposal.woken_by for proposal in standing if proposal.woken_by}
    left = [proposal.journey for proposal in standing]
    return [(trigger, journey) for trigger, journey in known if any(journey is one for one in left)]


def withdraw(run: Evaluation, concerns: Callable[[Journey], bool], reason: str) -> None:
    """Drops the candidates whose cause is taken back."""
    state = run.state
    for proposal in [proposal for proposal in state.proposals if concerns(proposal.journey)]:
        state.proposals.remove(proposal)
        trigger = run.plan.triggers.get(proposal.journey.trigger)
        if trigger is None:
            decide_absent(run, proposal.journey.trigger, proposal.version, proposal.journey.occasion, reason)
        else:
            decide(run, trigger, proposal.journey.occasion, 0, reason, outcome="cancelled")
    if not state.proposals:
        state.timers.pop(WINDOW, None)


def _known(run: Evaluation) -> list[tuple[Trigger, Journey]]:
    """What waits, with its triggers as far as the rule set has them, in the order that settles a tie."""
    triggers = run.plan.triggers
    found = [
        (triggers[proposal.journey.trigger], proposal.journey)
        for proposal in run.state.proposals
        if proposal.journey.trigger in triggers
    ]
    return in_tie_order(found)


def _stands(run: Evaluation, proposal: Proposal) -> bool:
    """Whether a candidate may still compete; records why not."""
    journey = proposal.journey
    trigger = run.plan.triggers.get(journey.trigger)
    if trigger is None:
        return False
    cause = Cause(journey.occasion, journey.event_key, journey.holding_id, journey.at)
    held = held_by_memory(run.state, trigger, cause)
    if held is not None:
        decide(run, trigger, journey.occasion, 0, held[0], detail=held[1])
        return False
    return still_true(run, trigger, journey, proposal.account_id)


def still_true(run: Evaluation, trigger: Trigger, journey: Journey, account_id: str, *, features: bool = True) -> bool:
    """Whether the condition of a candidate that waited holds as far as it can be asked now; records why not.

    Without ``features`` clauses that read one are not asked: over a night a window such as ``today`` has moved on.
    """
    state, scope = run.state, run.scope
    run.move_to(run.at)  # features by account are those of this account
    scope.account = state.account_map.get(account_id)
    scope.product = state.holding_map.get(journey.holding_id)
    try:
        for clause in run.plan.lasting[trigger.id][features]:
            if clause.evaluate(scope) is not True:
                decide(run, trigger, journey.occasion, 0, NO_LONGER, detail=explain(clause, scope))
                return False
    except Exception as error:  # noqa: BLE001  # a broken rule is skipped for this record, whatever broke it
        decide(run, trigger, journey.occasion, 0, "broken", detail={"error": type(error).__name__})
        return False
    return True
