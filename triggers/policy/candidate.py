"""What the gate judges: one contact that a trigger proposes, at the moment it would go out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from triggers.engine.scope import Scope
from triggers.engine.state import CustomerState
from triggers.language.model import Policy


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A proposed contact; ``now`` in ms. ``scope`` is what an expression of the policy reads the customer from.

    As ``Passage`` a struct, which is made in a third of a named tuple's time.
    """

    trigger: str
    category: str
    channel: str
    complexity: str
    step: int
    now: int
    scope: Scope


class Held(NamedTuple):
    """A rule's refusal: the values that decided it, as bounded text; ``until`` when the contact only has to wait.

    ``of_channel`` says that another channel might do.
    """

    detail: dict[str, str]
    until: int | None = None
    of_channel: bool = False


Rule = Callable[[CustomerState, Policy, Candidate], Held | None]
"""A rule of the gate. ``None`` lets the candidate pass."""
