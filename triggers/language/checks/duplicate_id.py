"""E101: two trigger files have the same id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft

CODE = Code("E101", "two trigger files have the same id")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    first: dict[str, Draft] = {}
    for draft in drafts:
        if draft.id is None:
            continue
        other = first.setdefault(draft.id, draft)
        if other is not draft:
            message = f'the trigger "{draft.id}" stands in {other.file} already'
            yield draft.problem(CODE, draft.fields.entries["trigger"].value.place, message)


CHECK = Check(CODE, find)
