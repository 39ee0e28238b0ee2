"""E106: an action never expires."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft

CODE = Code("E106", "an action never expires")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        if draft.action is not None and draft.action.lacks("expires"):
            message = "the action has no expiry: say how long it is worth making, such as expires: 48h"
            yield draft.problem(CODE, draft.top("action").under("expires"), message)


CHECK = Check(CODE, find)
