"""W116: no case shows a tier move or a tag come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.shared import Shared

CODE = Code("W116", "no case shows a tier move or a tag come", silenceable=True)


def find(_drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    shown = {suite.name for suite in shared.suites if any(case.expect for case in suite.cases)}
    for kind, names in (
        ("tiering", [tiering.name for tiering in shared.tierings]),
        ("tag", [tag.name for tag in shared.tags]),
    ):
        for name in names:
            if name not in shown:
                draft, place = shared.places[name]
                yield draft.problem(CODE, place, f'no case shows what the {kind} "{name}" does: give it tests')


CHECK = SharedCheck(CODE, find)
