"""A channel is used only for customers it suits: who is of the age for it, has the app, a valid number … (R27)."""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held, Rule
from triggers.policy.clause_values import explain

REASON: Final = "unsuitable"


def for_contact(policy: Policy, candidate: Candidate) -> Rule | None:
    """Nothing where any customer will do for the channel, else the rule with the channel's clauses at hand."""
    concerned = [one for one in policy.suitability if candidate.channel in one.channels]
    if not concerned:
        return None
    strict = [clause.evaluate for one in concerned if one.strict for clause in one.clauses]
    lenient = [clause.evaluate for one in concerned if not one.strict for clause in one.clauses]

    def held(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
        scope = candidate.scope
        for evaluate in lenient:
            if evaluate(scope) is False:
                return holds_back(state, policy, candidate)
        for evaluate in strict:
            if evaluate(scope) is not True:
                return holds_back(state, policy, candidate)
        return None

    return held


def holds_back(_state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses where a clause is not true of the customer; what is unknown counts as the policy says."""
    for suitability in policy.suitability:
        if candidate.channel not in suitability.channels:
            continue
        for clause in suitability.clauses:
            holds = clause.evaluate(candidate.scope)
            if holds is False or (holds is None and suitability.strict):
                return Held({"channel": candidate.channel, **explain(clause, candidate.scope)}, of_channel=True)
    return None
