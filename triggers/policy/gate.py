"""The one gate that every candidate passes, at each step of its ladder: the first rule that refuses counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy import (
    attempts,
    caps,
    consent,
    cooldown,
    exclusion,
    holdout,
    list_confirmation,
    owning_desk,
    quiet_hours,
    routing,
    suitability,
)
from triggers.policy.candidate import Candidate, Held


class Suppression(msgspec.Struct, frozen=True, gc=False):
    """Why a candidate may not go out now: the rule's reason code and the values that decided it.

    ``until`` is when it may (ms), where it only has to wait. ``of_channel`` says that another channel might do.
    """

    reason: str
    detail: dict[str, str]
    until: int | None = None
    of_channel: bool = False


Rule = Callable[[CustomerState, Policy, Candidate], Held | None]
"""``None`` lets the candidate pass."""

RULES: Final[tuple[tuple[str, Rule], ...]] = (
    (exclusion.REASON, exclusion.holds_back),  # nobody on a list is contacted, whatever else holds
    (list_confirmation.REASON, list_confirmation.holds_back),  # nor anybody who may be missing on it
    (consent.REASON, consent.holds_back),  # nor anybody who did not agree
    (suitability.REASON, suitability.holds_back),  # nor on a channel that is not theirs
    (routing.REASON, routing.holds_back),  # nor on one that cannot carry the offer
    (owning_desk.REASON, owning_desk.holds_back),  # nor at a desk that does not look after them
    (quiet_hours.REASON, quiet_hours.holds_back),  # nor now, but later: the rules below look at it then
    (caps.REASON, caps.holds_back),  # nor too often
    (cooldown.REASON, cooldown.holds_back),  # nor too soon
    (attempts.REASON, attempts.holds_back),  # nor in vain
    (holdout.REASON, holdout.holds_back),  # last: whoever is held out would have been contacted
)
"""The rules in their order, with their reasons: what never changes first, then what passes with time."""


def suppression(state: CustomerState, policy: Policy, candidate: Candidate) -> Suppression | None:
    """The first rule's refusal, or ``None`` where the contact is allowed."""
    for reason, holds_back in RULES:
        held = holds_back(state, policy, candidate)
        if held is not None:
            return Suppression(reason, held.detail, held.until, held.of_channel)
    return None
