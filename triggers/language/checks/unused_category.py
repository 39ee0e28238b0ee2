"""W128: the policy names a category that no action has, and that is nearly one that some have.

A bank may write down what its next triggers will need: a category that is like no other is taken for one to come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.reader import nearest
from triggers.language.shared import Shared

CODE = Code(
    "W128", "the policy names a category that no action has, and that is nearly one that some have", silenceable=True
)
_NEAR: Final = 0.8
"""How alike they are: a letter left out, put in or taken for another."""


def find(drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    triggers = [draft.trigger for draft in drafts if draft.trigger is not None]
    if len(triggers) < len(drafts):
        return  # the action of a file with a mistake may have it
    used = {trigger.action.category for trigger in triggers}
    for kind, name, spot in shared.named:
        meant = nearest(name, sorted(used), _NEAR) if kind == "category" and name not in used else ""
        if meant:
            message = f'no action of the rule set has the category "{name}": did you mean "{meant}"?'
            yield spot.problem(CODE, message)


CHECK = SharedCheck(CODE, find)
