"""A share of the customers is left alone, so that the lift of the others can be measured (N10).

Who they are follows from the salt and the customer's id alone: the same on every worker and in every replay. Those of
a single trigger are drawn apart from those of the bank and of any other trigger.
"""

from __future__ import annotations

from typing import Final

from triggers.engine.ids import begin_id, lot_of
from triggers.engine.state import CustomerState
from triggers.language.model import Holdout, Policy
from triggers.policy.candidate import Candidate, Held, Rule

REASON: Final = "holdout"
EXCEPTED: Final = "except"
"""What a decision says under ``holdout`` where nobody is held out: such a contact is no part of the measurement."""
_STEPS: Final = 16**8


def for_contact(policy: Policy, candidate: Candidate) -> Rule | None:
    """Nothing where nobody is held out from the category, or from the trigger, else the rule for whoever is drawn."""
    holdout = policy.holdout
    if holdout is None or candidate.category in holdout.but:
        return None
    begun, trigger = begin_id(holdout.salt), candidate.trigger
    of_all, of_trigger = (percent * _STEPS for percent in (holdout.percent, holdout.triggers.get(trigger, 0)))
    if not of_all and not of_trigger:
        return None

    def held(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
        customer = state.key
        if (of_all and lot_of(begun, customer, "") * 100 < of_all) or (
            of_trigger and lot_of(begun, customer, trigger) * 100 < of_trigger
        ):
            return holds_back(state, policy, candidate)
        return None

    return held


def holds_back(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses a customer who is held out from the bank's contacts, or from this trigger's."""
    holdout = policy.holdout
    if holdout is None or candidate.category in holdout.but:
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
    return lot_of(begin_id(holdout.salt), customer, trigger) * 100 < percent * _STEPS
