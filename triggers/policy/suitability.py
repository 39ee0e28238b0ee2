"""A channel is used only for customers it suits: who is of the age for it, has the app, a valid number … (R27)."""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held
from triggers.policy.clause_values import explain

REASON: Final = "unsuitable"


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
