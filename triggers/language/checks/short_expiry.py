"""W126: an action that expires before the arbitration window ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.reader import show_duration

CODE = Code("W126", "an action that expires before the policy's arbitration window ends", silenceable=True)


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        window, trigger = draft.policy.window_ms, draft.trigger
        if trigger is not None and draft.action is not None and 0 < trigger.action.expires_ms <= window:
            message = (
                f"it waits {show_duration(window)} for better candidates and expires after "
                f"{show_duration(trigger.action.expires_ms)}: where it opens the window it is never sent"
            )
            yield draft.problem(CODE, draft.action.key_place("expires"), message)


CHECK = Check(CODE, find)
