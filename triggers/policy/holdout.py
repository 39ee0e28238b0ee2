"""A share of the customers is left alone, so that the lift of the others can be measured (N10).

Who they are follows from the salt and the customer's id alone: the same on every worker and in every replay. Those of
a single trigger are drawn apart from those of the bank and of any other trigger.
"""

from __future__ import annotations

from typing import Final

from triggers.engine.ids import make_id
from triggers.engine.state import CustomerState
from triggers.language.model import Holdout, Policy
from triggers.policy.candidate import Candidate, Held

REASON: Final = "holdout"
EXCEPTED: Final = "except"
"""What a decision says under ``holdout`` where nobody is held out: such a contact is no part of the measurement."""
_STEPS: Final = 16**8


def holds_back(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses a customer who is held out from the bank's contacts, or from this trigger's."""
    holdout = policy.holdout
    if holdout is None or is_excepted(policy, candidate.category):
        return None
    if is_held_out(holdout, state.key, ""):
        return Held({"from": "all", "percent": str(holdout.percent)})
    if candidate.trigger in holdout.triggers and is_held_out(holdout, state.key, candidate.trigger):
        return Held({"from": candidate.trigger, "percent": str(holdout.triggers[candidate.trigger])})
    return None


def is_excepted(policy: Policy, category: str) -> bool:
    """Whether a category reaches those held out as well, where the policy holds anybody out."""
    return policy.holdout is not None and category in policy.holdout.but


def is_held_out(holdout: Holdout, customer: str, trigger: str) -> bool:
    """Whether a customer is held out from a trigger; from every contact where ``trigger`` is empty."""
    percent = holdout.triggers.get(trigger, 0) if trigger else holdout.percent
    if not percent:
        return False
    return int(make_id(holdout.salt, customer, trigger)[:8], 16) * 100 < percent * _STEPS
