"""Nobody on the marketing blacklist and no employee of the bank is contacted (R29).

Who was on a list in the version that the branch confirmed last stays excluded until a version without the customer is
confirmed as well: a list under revision may add customers at once, and lets nobody go.
"""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held

REASON: Final = "excluded"


def holds_back(state: CustomerState, _policy: Policy, _candidate: Candidate) -> Held | None:
    """Refuses blacklisted customers and employees."""
    return excluded(state)


def excluded(state: CustomerState) -> Held | None:
    """Which list keeps a customer from being contacted, whatever it is about; ``None`` where none does."""
    listed = state.excluded_by
    if listed:
        return Held({"list": listed})
    if state.confirmed_on and not (state.exclusion_list is not None and state.exclusion_confirmed):
        return Held({"list": state.confirmed_on, "confirmed_version": str(state.confirmed_list)})
    return None
