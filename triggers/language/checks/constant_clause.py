"""E110: a condition is always true, always false or always unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.document import shorten
from triggers.language.draft import Draft
from triggers.language.folding import fold_logic
from triggers.language.tree import Constant, Logic

CODE = Code("E110", "a condition is always true, always false or always unknown")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        for checked in draft.conditions:
            for expression, term in checked.clauses:
                folded = fold_logic(term) if isinstance(term, Logic) else term
                if isinstance(folded, Constant):
                    value = {True: "always true", False: "never true"}.get(folded.value, "always unknown")
                    place = draft.fields.reader.document.locate(checked.node, term.begin)
                    yield draft.problem(CODE, place, f'"{shorten(expression.source)}" is {value}')


CHECK = Check(CODE, find)
