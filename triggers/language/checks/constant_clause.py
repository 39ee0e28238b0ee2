"""E110: a condition, or a part of one, is always true, always false or always unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from triggers.errors import Problem
from triggers.language.checks.base import Check, idle_parts_of, source_of
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.tree import Constant

CODE = Code("E110", "a condition is always true, always false or always unknown", silenceable=True)

_VALUES: Final = {True: "always true", False: "never true", None: "always unknown"}


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        for checked, part in idle_parts_of(draft):
            if part.kind in ("constant", "never true", "always true"):
                what = _VALUES[part.term.value] if isinstance(part.term, Constant) else part.kind
                place = draft.fields.reader.document.locate(checked.node, part.term.begin)
                yield draft.problem(CODE, place, f'"{source_of(checked, part.term)}" is {what}')


CHECK = Check(CODE, find)
