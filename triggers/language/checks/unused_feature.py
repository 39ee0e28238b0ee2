"""W107: a feature that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft

CODE = Code("W107", "a feature that nothing reads", silenceable=True)


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        if not draft.complete:
            continue  # an expression with a mistake may be the one that reads it
        for name, place in draft.feature_places.items():
            if name not in draft.used:
                yield draft.problem(CODE, place, f'nothing reads the feature "{name}": use it or remove it')


CHECK = Check(CODE, find)
