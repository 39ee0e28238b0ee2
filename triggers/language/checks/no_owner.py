"""E105: a trigger has no owner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft

CODE = Code("E105", "a trigger has no owner")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        if draft.fields.lacks("owner"):
            message = "the trigger has no owner: name the team that answers for it, such as owner: retail-deposits"
            yield draft.problem(CODE, draft.top("owner"), message)


CHECK = Check(CODE, find)
