"""Nobody on the marketing blacklist and no employee of the bank is contacted."""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held

REASON: Final = "excluded"


def holds_back(state: CustomerState, _policy: Policy, _candidate: Candidate) -> Held | None:
    """Refuses blacklisted customers and employees."""
    if state.blacklisted:
        return Held({"list": "blacklist"})
    return Held({"list": "employees"}) if state.employee else None
