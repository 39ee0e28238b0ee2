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
        caps = [
            cap
            for cap in draft.policy.caps
            # A ladder may fall into two days, weeks or months, so that such a cap holds it back at times only.
            if cap.category in (None, category and category.value)
            and not (category and category.value in cap.exempt)
            and (cap.calendar is None or not cap.at_most)
        ]
        times = list(accumulate(step.after_ms for _, step in draft.ladder))
        made = [(at, step.channels) for at, (_, step) in zip(times, draft.ladder, strict=True)]
        for position, (place, _) in enumerate(draft.ladder):
            before, here = made[:position], made[position]
            full = next((cap for cap in caps if _is_full(cap, before, here)), None)
            if full is not None:
                text = (
                    f"the policy allows {full.at_most} contacts in {show_duration(full.per_ms)}, "
                    f"and the ladder itself has made {_count(full, before, here[0])} by then"
                )
                yield draft.problem(CODE, place, text)
                break  # those after it never come either


_Made = tuple[int, tuple[str, ...]]
"""When a step comes, and by which of several channels."""


def _is_full(cap: Cap, before: Sequence[_Made], here: _Made) -> bool:
    at, channels = here
    return (cap.channel is None or channels == (cap.channel,)) and _count(cap, before, at) >= cap.at_most


def _count(cap: Cap, before: Sequence[_Made], at: int) -> int:
    """The steps that surely count: one that has several channels may go by another than the cap's."""
    return sum(
        time > at - cap.per_ms and (cap.channel is None or channels == (cap.channel,)) for time, channels in before
    )


CHECK = Check(CODE, find)
