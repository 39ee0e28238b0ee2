"""E104: no case shows the trigger stay silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.document import Node
from triggers.language.draft import Draft

CODE = Code("E104", "no case shows the trigger stay silent", silenceable=True)


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        tests = draft.fields.get("tests")
        if tests is None or not isinstance(tests.value, list) or not tests.value:
            continue
        if not any(_silent(case) for case in tests.value):
            message = "no case is silent: one must say expect: []"
            yield draft.problem(CODE, draft.top("tests"), message)


def _silent(case: Node) -> bool:
    expect = case.value.get("expect") if isinstance(case.value, dict) else None
    return expect is not None and expect.value.value == []


CHECK = Check(CODE, find)
