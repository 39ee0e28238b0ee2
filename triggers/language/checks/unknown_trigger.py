"""E127: the policy, or that of a case, names a trigger that the rule set does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.codes import Code
from triggers.language.document import shorten
from triggers.language.draft import Draft
from triggers.language.reader import suggest
from triggers.language.shared import Shared

CODE = Code("E127", "the policy names a trigger that the rule set does not have", silenceable=True)


def find(drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    # A file without a readable id is the one of its name.
    known = [draft.id or PurePosixPath(draft.file).stem for draft in drafts]
    for kind, name, spot in shared.named:
        if kind == "trigger" and name not in known:
            hint = suggest(name, known) or "; expected the id of one of its files"
            yield spot.problem(CODE, f'no trigger of the rule set is called "{shorten(name)}"{hint}')


CHECK = SharedCheck(CODE, find)
