"""W114: a part of a condition that is true for every value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check, idle_parts_of, source_of
from triggers.language.codes import Code
from triggers.language.draft import Draft

CODE = Code(
    "W114", "a part of a condition that is true for every value and only asks whether there is one", silenceable=True
)


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        for checked, part in idle_parts_of(draft):
            if part.kind == "never false":
                place = draft.fields.reader.document.locate(checked.node, part.term.begin)
                text = f'"{source_of(checked, part.term)}" is true for every value, and unknown without one'
                yield draft.problem(CODE, place, text)


CHECK = Check(CODE, find)
