"""A channel that needs consent is used only where the customer's consent is on record; a refusal closes any channel.

Source: China's rules on commercial text messages want prior consent, and PIPL article 24 an easy refusal.
"""

from __future__ import annotations

from typing import Final

from triggers.engine.state import CustomerState
from triggers.language.model import Policy

REASON: Final = "no_consent"


def holds_back(state: CustomerState, policy: Policy, channel: str, _category: str, _now: int) -> dict[str, str] | None:
    """Refuses a channel that was declined, or that needs a consent nobody recorded."""
    given = state.consents.get(channel)
    if given is False:
        return {"channel": channel, "consent": "refused"}
    if given is None and channel in policy.consent:
        return {"channel": channel, "consent": "not recorded"}
    return None
