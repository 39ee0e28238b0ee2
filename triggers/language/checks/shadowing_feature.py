"""E108: a feature has the name of something else."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.names import HELPERS, KEYWORDS, ROOTS

CODE = Code("E108", "a feature has the name of something else")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        for name, place in draft.feature_places.items():
            if name in ROOTS or name in HELPERS or name in KEYWORDS or keyword.iskeyword(name):
                what = "a part of every expression" if name not in HELPERS else "a helper"
                yield draft.problem(CODE, place, f'"{name}" is {what}: give the feature another name')


CHECK = Check(CODE, find)
