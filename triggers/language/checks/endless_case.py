"""E120: a case of a trigger with a schedule does not say from when until when it lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.document import Entry
from triggers.language.draft import Draft
from triggers.language.model import OnEvery

CODE = Code("E120", "a case of a trigger with a schedule does not say from when until when it lasts")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        tests = draft.fields.get("tests")
        if tests is None or not isinstance(tests.value, list):
            continue
        if not any(isinstance(wake, OnEvery) for wake in draft.on):
            continue
        for case in tests.value:
            if not isinstance(case.value, dict):
                continue
            if "until" not in case.value:
                message = 'a schedule comes round for ever: say when the case ends, such as until: "2026-06-30 12:00"'
                yield draft.problem(CODE, case.place, message)
            elif "from" not in case.value and not _begins(case.value):
                message = 'a case without events says when the customer becomes known, such as from: "2026-03-02 10:00"'
                yield draft.problem(CODE, case.place, message)


def _begins(case: dict[str, Entry]) -> bool:
    """Whether something in a case says when it begins."""
    customer = case["customer"].value.value if "customer" in case else None
    held = customer.get("holdings") if isinstance(customer, dict) else None
    return bool("events" in case and case["events"].value.value) or bool(held and held.value.value)


CHECK = Check(CODE, find)
