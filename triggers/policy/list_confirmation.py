"""An exclusion list counts as complete once the customer's branch has confirmed its version (R29).

Until then nobody knows who is missing on it, so that by default nobody of that branch is contacted.
"""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held

REASON: Final = "list_unconfirmed"


def holds_back(state: CustomerState, policy: Policy, _candidate: Candidate) -> Held | None:
    """Refuses customers whose list is not confirmed, is older than the one in force, or whose version is not known."""
    rule, version = policy.exclusion, state.exclusion_list
    if version is None:
        return Held({"list_version": "unknown"}) if rule.hold_unversioned else None
    if rule.hold_unconfirmed and not state.exclusion_confirmed:
        known = str(state.confirmed_list) if state.confirmed_list >= 0 else "none"
        return Held({**_known(state), "confirmed_version": known})
    if rule.version is not None and version < rule.version:
        return Held({**_known(state), "in_force": str(rule.version)})
    return None


def _known(state: CustomerState) -> dict[str, str]:
    return {"list_version": str(state.exclusion_list), "branch": state.branch_id or "unknown"}
