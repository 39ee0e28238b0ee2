"""W117: a silence or a wait that is shorter than events may be late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.model import OnSilence, OnWait
from triggers.language.reader import show_duration
from triggers.language.wakes import place_of

CODE = Code("W117", "a silence or a wait that is shorter than events may be late", silenceable=True)


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        node, late = draft.fields.get("on"), draft.policy.lateness_ms
        for index, wake in enumerate(draft.on):
            if node is None or not isinstance(wake, OnSilence | OnWait):
                continue
            length = wake.after_ms if isinstance(wake, OnSilence) else wake.within_ms
            if length < late:
                what = "silence" if isinstance(wake, OnSilence) else "wait"
                message = (
                    f"a {what} of {show_duration(length)} may be over before an event is here that ends it: "
                    f"the policy lets events be {show_duration(late)} late"
                )
                yield draft.problem(CODE, place_of(node, index), message)


CHECK = Check(CODE, find)
