"""Nobody on the marketing blacklist and no employee of the bank is contacted."""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy

REASON: Final = "excluded"


def holds_back(
    state: CustomerState, _policy: Policy, _channel: str, _category: str, _now: int
) -> dict[str, str] | None:
    """Refuses blacklisted customers and employees."""
    if state.blacklisted:
        return {"list": "blacklist"}
    return {"list": "employees"} if state.employee else None
