"""E102: the id of a trigger is not the name of its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft

CODE = Code("E102", "the id of a trigger is not the name of its file")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        stem = PurePosixPath(draft.file.replace("\\", "/")).stem
        if draft.id is not None and draft.id != stem:
            message = f'the trigger "{draft.id}" stands in {stem}.yaml; rename one of the two'
            yield draft.problem(CODE, draft.fields.entries["trigger"].value.place, message)


CHECK = Check(CODE, find)
