"""What the gate judges: one contact that a trigger proposes, at the moment it would go out."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from triggers.engine.scope import Scope


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
