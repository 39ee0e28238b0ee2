"""A channel that needs consent is used only where the customer's consent is on record; a refusal closes any channel.

Source: China's rules on commercial text messages want prior consent, and PIPL article 24 an easy refusal.
"""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy
from triggers.policy.candidate import Candidate, Held

REASON: Final = "no_consent"


def is_closed(state: CustomerState, policy: Policy, channel: str) -> bool:
    """Whether a channel may not be used: it was declined, or needs a consent that nobody recorded."""
    given = state.consents.get(channel)
    return given is False or (given is None and channel in policy.consent)


def holds_back(state: CustomerState, policy: Policy, candidate: Candidate) -> Held | None:
    """Refuses a channel that was declined, or that needs a consent nobody recorded."""
    channel = candidate.channel
    given = state.consents.get(channel)
    if given is False:
        return Held({"channel": channel, "consent": "refused"}, of_channel=True)
    if given is None and channel in policy.consent:
        return Held({"channel": channel, "consent": "not recorded"}, of_channel=True)
    return None
