"""The one gate that every candidate passes, at each step of its ladder: the first rule that refuses counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy import caps, consent, exclusion


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why a candidate may not go out: the rule's reason code and the values that decided it."""

    reason: str
    detail: dict[str, str] = field(default_factory=dict)


Rule = Callable[[CustomerState, Policy, str, str, int], dict[str, str] | None]
"""Takes the customer, the policy, the candidate's channel and category, and the time in ms. ``None`` lets it pass."""

RULES: Final[tuple[tuple[str, Rule], ...]] = (
    (exclusion.REASON, exclusion.holds_back),
    (consent.REASON, consent.holds_back),
    (caps.REASON, caps.holds_back),
)
"""The order of the rules and their reasons."""


def suppression(state: CustomerState, policy: Policy, channel: str, category: str, now: int) -> Suppression | None:
    """The first rule's refusal, or ``None`` where the contact is allowed."""
    for reason, holds_back in RULES:
        detail = holds_back(state, policy, channel, category, now)
        if detail is not None:
            return Suppression(reason, detail)
    return None
