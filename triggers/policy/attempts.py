"""After so many contacts in one category without a sale, the bank stops asking for a while (R9).

Categories that sell nothing, such as notices and calls that were promised, may be excepted. In the others an answer is
no sale: who listened five times and did not buy is left alone as well.
"""

from __future__ import annotations

from typing import Final

from schemas.base import iso_of_ms
from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held, Rule

REASON: Final = "no_sale"


def for_contact(policy: Policy, candidate: Candidate) -> Rule | None:
    """Nothing for what sells nothing."""
    return holds_back if policy.attempts is not None and candidate.category not in policy.attempts.exempt else None


def holds_back(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses a category that pauses. The pause begins with the last contact; a sale ends it."""
    attempts = policy.attempts
    if attempts is None or candidate.category in attempts.exempt:
        return None
    made, last = state.attempts.get(candidate.category, (0, 0))
    resumes = last + attempts.pause_ms
    if made < attempts.at_most or candidate.now >= resumes:
        return None
    return Held({"category": candidate.category, "attempts": str(made), "pauses_until": iso_of_ms(resumes)})
