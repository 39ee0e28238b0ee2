"""A channel is used only for customers it suits: who is of the age for it, has the app, a valid number … (R27)."""

from __future__ import annotations

from typing import Any, Final

from triggers.engine.scope import Scope
from triggers.engine.state import CustomerState
from triggers.engine.texts import text_of
from triggers.language.model import Expression, Policy
from triggers.policy.candidate import Candidate, Held

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


def explain(clause: Expression, scope: Scope) -> dict[str, str]:
    """A clause with the values it read, as the detail of a decision."""
    detail = {"clause": clause.source[:200]}
    customer = scope.customer
    for path in sorted(clause.names):
        name = path.removeprefix("customer.")
        value: Any = getattr(customer, name) if hasattr(customer, name) else customer.tiers.get(name)
        detail[path] = "unknown" if value is None else text_of(value)
    return detail
