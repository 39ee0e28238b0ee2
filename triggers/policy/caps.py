"""No customer hears from the bank more often than the policy's caps allow, over all triggers."""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy

REASON: Final = "capped"


def holds_back(state: CustomerState, policy: Policy, _channel: str, category: str, now: int) -> dict[str, str] | None:
    """Refuses where a cap's window of contacts is full. A withdrawn contact counts: it may have been read."""
    for cap in policy.caps:
        if cap.category is not None and cap.category != category:
            continue
        since = now - cap.per_ms
        contacts = sum(
            sent.at > since
            for journey in state.journeys
            if cap.category is None or journey.category == cap.category
            for sent in journey.sent
        )
        if contacts >= cap.at_most:
            detail = {"cap": str(cap.at_most), "per_hours": str(cap.per_ms // 3_600_000)}
            return detail if cap.category is None else {**detail, "category": cap.category}
    return None
