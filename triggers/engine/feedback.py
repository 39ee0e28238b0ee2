"""What became of an action: the outcomes that channels report, from the least to the one that settles it."""

from __future__ import annotations

from typing import Final

from triggers.engine.contact_log import note_sale
from triggers.engine.state import CustomerState, Journey, Sent

RANK: Final = {"": 0, "failed": 1, "delivered": 2, "opened": 3, "clicked": 4, "answered": 5, "bought": 6, "refused": 7}
"""Of the outcomes of a ladder the highest counts."""


class ActionView:
    """An action as expressions see it (``action.*``): one step that went out, and the best outcome of its ladder."""

    __slots__ = ("category", "channel", "outcome", "step", "trigger")

    def __init__(self, journey: Journey, sent: Sent) -> None:
        self.trigger = journey.trigger
        self.category = journey.category
        self.channel = sent.channel
        self.step = sent.step
        self.outcome = journey.outcome or None


def record_feedback(state: CustomerState, action_id: str, outcome: str) -> ActionView | None:
    """Notes what became of an action; the best outcome so far counts. Returns the action, ``None`` where unknown."""
    for journey in reversed(state.journeys):
        for sent in journey.sent:
            if sent.action_id == action_id:
                if RANK[outcome] > RANK[journey.outcome]:
                    journey.outcome = outcome
                if outcome == "bought":
                    note_sale(state, journey.category)
                return ActionView(journey, sent)
    return None
