"""W115: a tag that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.shared import Shared

CODE = Code("W115", "a tag that nothing reads", silenceable=True)


def find(drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    if any(draft.trigger is None for draft in drafts) or not all(draft.complete for draft in shared.drafts):
        return  # a file with a mistake may be the one that reads it
    for tag in shared.tags:
        if tag.name not in shared.vocabulary.asked:
            draft, place = shared.places[tag.name]
            message = f'no trigger and no other tag reads the tag "{tag.name}": use it or remove it'
            yield draft.problem(CODE, place, message)


CHECK = SharedCheck(CODE, find)
