"""W113: a step of a ladder that a cap always holds back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.model import Cap
from triggers.language.reader import show_duration

CODE = Code("W113", "a step of a ladder that a cap of the policy always holds back", silenceable=True)


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    """A step comes only after all before it were sent, and each of those is a contact that the caps count."""
    for draft in drafts:
        if not all(step.after_ms for _, step in draft.ladder[1:]):
            continue  # the time of a step could not be read
        category = draft.action.get("category") if draft.action is not None else None
        caps = [cap for cap in draft.policy.caps if cap.category in (None, category and category.value)]
        times = list(accumulate(step.after_ms for _, step in draft.ladder))
        for position, (place, _) in enumerate(draft.ladder):
            full = next((cap for cap in caps if _is_full(cap, times[:position], times[position])), None)
            if full is not None:
                text = (
                    f"the policy allows {full.at_most} contacts in {show_duration(full.per_ms)}, "
                    f"and the ladder itself has made {_made(full, times[:position], times[position])} by then"
                )
                yield draft.problem(CODE, place, text)
                break  # those after it never come either


def _is_full(cap: Cap, before: Sequence[int], at: int) -> bool:
    return _made(cap, before, at) >= cap.at_most


def _made(cap: Cap, before: Sequence[int], at: int) -> int:
    return sum(time > at - cap.per_ms for time in before)


CHECK = Check(CODE, find)
