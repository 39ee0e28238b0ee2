"""E103: no case shows the trigger fire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.document import Node
from triggers.language.draft import Draft

CODE = Code("E103", "no case shows the trigger fire", silenceable=True)


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        tests = draft.fields.get("tests")
        cases = tests.value if tests is not None else []
        if not isinstance(cases, list) or "tests" in draft.fields.meant:
            continue
        if not cases:
            message = "the trigger has no tests: it needs a case that fires and one that is silent"
            yield draft.problem(CODE, draft.top("tests"), message)
        elif not any(_fires(case) for case in cases):
            message = "no case fires: one must expect an action"
            yield draft.problem(CODE, draft.top("tests"), message)


def _fires(case: Node) -> bool:
    """Whether a case, as written, expects an action."""
    expect = case.value.get("expect") if isinstance(case.value, dict) else None
    if expect is None or not isinstance(expect.value.value, list):
        return False
    return any(not _cancels(item) for item in expect.value.value)


def _cancels(expected: Node) -> bool:
    flag = expected.value.get("cancelled") if isinstance(expected.value, dict) else None
    return flag is not None and flag.value.value is True


CHECK = Check(CODE, find)
