"""What a person who is to speak with a customer should know: which contacts came before, and what became of them (R38).

The online steps of the same ladder are among them, and so are those of other triggers: what the customer heard of the
bank is one story, whoever told it.
"""

from __future__ import annotations

from typing import Final

from schemas.base import iso_of_ms
from schemas.events import DESK_CHANNELS
from triggers.engine.state import CustomerState

_MOST: Final = 8
_REACHES_BACK_MS: Final = 90 * 86_400_000


def handoff_of(state: CustomerState, channel: str, now: int) -> tuple[dict[str, str], ...]:
    """The latest contacts before an action on this channel, oldest first; none where no person handles it.

    At most eight, of the last 90 days, as far as the customer's journeys are kept.
    """
    if channel not in DESK_CHANNELS:
        return ()
    contacts = [
        (sent.at, sent.action_id, journey, sent)
        for journey in state.journeys
        for sent in journey.sent
        if sent.at >= now - _REACHES_BACK_MS
    ]
    contacts.sort(key=lambda contact: contact[:2])
    return tuple(
        {
            "at": iso_of_ms(at),
            "trigger": journey.trigger,
            "offer": journey.offer,
            "channel": sent.channel,
            "outcome": sent.outcome or ("withdrawn" if sent.withdrawn else "none"),
        }
        for at, _, journey, sent in contacts[-_MOST:]
    )
