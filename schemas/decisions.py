"""Why an action was sent, and why another was not."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.base import Count, EventTime, Identifier, Occasion, Record, ShortText
from schemas.events import Channel


class Decision(Record):
    """What became of one candidate, and why.

    ``reason`` is ``sent`` for an action that went out, else the code of the rule that held it back. One that is
    ``deferred`` has another decision when its time has come. ``detail``
    holds the values that decided it, as bounded text; where several candidates competed, also the ``score`` of each; of
    a step that names several channels, those that were passed over, each with its reason. ``channel`` is the one it
    came to; there is none where none was left. ``tier`` is the customer's at that time.
    """

    record_type: ClassVar[str] = "decision"

    decision_id: Identifier
    customer_id: Identifier
    trigger: Identifier
    trigger_version: Count
    ruleset: Identifier
    occasion: Occasion
    step: Count
    outcome: Literal["sent", "deferred", "suppressed", "cancelled"]
    reason: Identifier
    channel: Channel | None = None
    action_id: Identifier | None = None
    tier: Identifier | None = None
    detail: dict[str, ShortText] = Field(default_factory=dict)
    decided_at: EventTime
