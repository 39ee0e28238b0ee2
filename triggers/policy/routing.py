"""Simple offers by the app, complex ones by people: which channels may carry what, and for whom (R30, R31)."""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held, Rule
from triggers.policy.clause_values import explain

REASON: Final = "not_routed"


def for_contact(policy: Policy, candidate: Candidate) -> Rule | None:
    """Nothing where whichever route a customer comes to has the channel."""
    for route in policy.routing:
        if candidate.complexity not in route.complexities:
            continue
        if candidate.channel not in route.channels:
            return holds_back
        if route.when is None:
            return None
    return None


def holds_back(_state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses a channel that the first route for this complexity and this customer does not have."""
    for route in policy.routing:
        if candidate.complexity not in route.complexities:
            continue
        if route.when is not None and route.when.evaluate(candidate.scope) is not True:
            continue
        if candidate.channel in route.channels:
            return None
        detail = {
            "complexity": candidate.complexity,
            "channel": candidate.channel,
            "allowed": ", ".join(route.channels) or "none",
        }
        if route.when is not None:
            known = explain(route.when, candidate.scope)
            detail |= {"when": known.pop("clause"), **known}
        return Held(detail, of_channel=True)
    return None
