"""The one gate that every candidate passes, at each step of its ladder: the first rule that refuses counts.

Most rules of a policy concern few kinds of contact. Which ones can refuse a contact of a trigger on a channel is
worked out once; only those are asked (a pass through the gate takes half of the time).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from triggers.policy.candidate import Candidate, Rule


class Suppression(msgspec.Struct, frozen=True, gc=False):
    """Why a candidate may not go out now: the rule's reason code and the values that decided it.

    ``until`` is when it may (ms), where it only has to wait. ``of_channel`` says that another channel might do.
    """

    reason: str
    detail: dict[str, str]
    until: int | None = None
    of_channel: bool = False


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


_FOR_CONTACT: Final[Mapping[str, Callable[[Policy, Candidate], Rule | None]]] = {
    suitability.REASON: suitability.for_contact,
    routing.REASON: routing.for_contact,
    owning_desk.REASON: owning_desk.for_contact,
    quiet_hours.REASON: quiet_hours.for_contact,
    caps.REASON: caps.for_contact,
    cooldown.REASON: cooldown.for_contact,
    attempts.REASON: attempts.for_contact,
    holdout.REASON: holdout.for_contact,
}
"""By reason: the rule as it is for contacts like this one, whoever the customer and whenever it is; ``None`` where it
lets them all pass. The rules that are not here look at the customer alone.
"""


class Gate:
    """The gate under one policy, which keeps what it has worked out of the kinds of contacts."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._rules: dict[tuple[str, str, str, str, bool], dict[Rule, str]] = {}

    def suppression(self, state: CustomerState, candidate: Candidate) -> Suppression | None:
        """The first rule's refusal, or ``None`` where the contact is allowed."""
        policy = self.policy
        kind = (candidate.trigger, candidate.category, candidate.channel, candidate.complexity, not candidate.step)
        rules = self._rules.get(kind)
        if rules is None:
            rules = self._rules[kind] = {rule: reason for reason, rule in rules_for(policy, candidate)}
        for holds_back in rules:
            held = holds_back(state, policy, candidate)
            if held is not None:
                return Suppression(rules[holds_back], held.detail, held.until, held.of_channel)
        return None


def rules_for(policy: Policy, candidate: Candidate) -> Iterator[tuple[str, Rule]]:
    """In their order, with their reasons: the rules that at some time can refuse some customer such a contact."""
    for reason, rule in RULES:
        for_contact = _FOR_CONTACT.get(reason)
        found = rule if for_contact is None else for_contact(policy, candidate)
        if found is not None:
            yield reason, found
