"""E112: parts of a condition that cannot be true together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check, idle_parts_of, source_of
from triggers.language.codes import Code
from triggers.language.draft import Draft

CODE = Code("E112", "parts of a condition that cannot be true together", silenceable=True)


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        for checked, part in idle_parts_of(draft):
            if part.kind == "contradiction":
                other = f'"{source_of(checked, part.other)}"' if part.other else "all that stands before it"
                place = draft.fields.reader.document.locate(checked.node, part.term.begin)
                text = f'"{source_of(checked, part.term)}" cannot be true together with {other}'
                yield draft.problem(CODE, place, text)


CHECK = Check(CODE, find)
