"""The managers' channel is for customers whom a desk owns, and an action there says which desk and whose (R5)."""

from __future__ import annotations

from typing import Final

from triggers.desk.customer_side import owner_of
from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held, Rule

REASON: Final = "not_owned"
_CHANNEL: Final = "manager"


def for_contact(policy: Policy, candidate: Candidate) -> Rule | None:
    """Nothing but for the managers' channel."""
    return holds_back if policy.desks is not None and candidate.channel == _CHANNEL else None


def holds_back(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses the managers' channel for customers of a tier that no desk owns. One of no known tier may pass."""
    desks = policy.desks
    if desks is None or candidate.channel != _CHANNEL or state.tier is None or owner_of(state, desks) is not None:
        return None
    owned = ", ".join(f"{tier}: {desk}" for tier, desk in desks.by_tier.items())
    return Held({"tier": state.tier, "desks": owned[:200]}, of_channel=True)


def addressee(state: CustomerState, policy: Policy, channel: str) -> tuple[str | None, str | None]:
    """Whom an action on the managers' channel is for: the owning desk, and the manager unless of another desk."""
    desks = policy.desks
    if desks is None or channel != _CHANNEL:
        return None, None
    desk, side = owner_of(state, desks), state.desk_side
    manager = state.manager_id
    if side is not None and side.given_desk is not None and desk is not None and side.given_desk != desk:
        manager = None  # until the handover the owning desk sees to it
    return desk, manager
