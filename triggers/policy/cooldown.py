"""After a contact the customer is left in peace for a while: by any trigger, in its category, by its trigger."""

from __future__ import annotations

from typing import Final

from schemas.base import iso_of_ms
from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held, Rule

REASON: Final = "cooling_down"


def for_contact(policy: Policy, candidate: Candidate) -> Rule | None:
    """Nothing for the later steps of a ladder."""
    cooldown = policy.cooldown
    return (
        holds_back if not candidate.step and max(cooldown.all_ms, cooldown.category_ms, cooldown.trigger_ms) else None
    )


def holds_back(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses to begin a ladder too soon. Its later steps come when the ladder says."""
    if candidate.step or not state.contacts:
        return None
    cooldown, now = policy.cooldown, candidate.now
    longest = max(cooldown.all_ms, cooldown.category_ms, cooldown.trigger_ms)
    if not longest:
        return None
    for contact in reversed(state.contacts):
        since = now - contact.at
        if since >= longest:
            return None
        if since < cooldown.all_ms:
            return _held("all", contact.at)
        if since < cooldown.category_ms and contact.category == candidate.category:
            return _held("category", contact.at)
        if since < cooldown.trigger_ms and contact.trigger == candidate.trigger:
            return _held("trigger", contact.at)
    return None


def _held(after: str, at: int) -> Held:
    return Held({"cooldown": after, "contact_at": iso_of_ms(at)})
