"""The channel on which a customer answers comes first next time, and that fades (R22).

Each channel of a customer has a score. What becomes of an action adds to that of its channel: opened 1, clicked 2,
answered or bought 3; failed takes 1, refused 3. A score lies between -10 and 10, so that no past is for ever, and
counts half after each half-life of the policy (90 days where it says nothing). Where a step names several channels,
the one with the highest score is tried first; less than half a point is nothing, and of equal ones the order of the
rule file counts. A ladder that begins with a channel which the customer answers less than one of its later steps begins
with that one. So what was answered once comes first for about eight months, what was opened once for three.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Context, Decimal
from typing import Final

from schemas.events import DESK_CHANNELS
from triggers.engine.state import CustomerState, Journey
from triggers.language.model import Policy, Step

UNIT: Final = 1_000_000
"""Scores are kept as whole millionths of a point."""
POINTS: Final[Mapping[str, int]] = {
    "": 0,
    "failed": -1,
    "delivered": 0,
    "opened": 1,
    "clicked": 2,
    "answered": 3,
    "bought": 3,
    "refused": -3,
}
_MOST: Final = 10 * UNIT
_COUNTS: Final = UNIT // 2
_EXACT: Final = Context(prec=18)
_HALF: Final = Decimal("0.5")


def learn(state: CustomerState, policy: Policy, channel: str, points: int, at: int) -> None:
    """Adds points to a channel's score as of a time (ms); what happened before the latest has faded meanwhile."""
    half_life = policy.channel_half_life_ms
    if not points or not half_life:
        return
    score, since = state.channel_scores.get(channel, (0, at))
    newest = max(at, since)
    total = _faded(score, newest - since, half_life) + _faded(points * UNIT, newest - at, half_life)
    state.channel_scores[channel] = (max(-_MOST, min(_MOST, total)), newest)


def offered(
    state: CustomerState, policy: Policy, ladder: Sequence[Step], step: int, journey: Journey, now: int
) -> tuple[str, ...]:
    """The channels of a ladder's step in the order of the rule file, with what was learned of the customer.

    The first step may go by the channel of a later one on which the customer answers better than on any of its own; the
    later one then takes the first one's place. People are not called before their turn.
    """
    own = ladder[0].channels
    if step == 0:
        if not state.channel_scores:
            return own
        most = max(0, *(_score(state, policy, name, now) for name in own))
        later = dict.fromkeys(name for other in ladder[1:] for name in other.channels if name not in own)
        written = [name for name in later if name not in DESK_CHANNELS]
        return (*own, *(name for name in written if _score(state, policy, name, now) > most))
    first = next((sent.channel for sent in journey.sent if sent.step == 0), None)
    channels = ladder[step].channels
    if first is None or first in own or first not in channels:
        return channels
    return tuple(dict.fromkeys(name for one in channels for name in (own if one == first else (one,))))


def ordered(
    state: CustomerState, policy: Policy, channels: Sequence[str], failed: Collection[str], now: int
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The channels of a step in the order in which they are tried, and, where that is not the rule's, why.

    ``failed`` are those on which this very ladder did not get through: they come last.
    """
    if len(channels) < 2 or not (failed or state.channel_scores):
        return tuple(channels), {}
    scores = {channel: _score(state, policy, channel, now) for channel in channels}
    found = sorted(channels, key=lambda channel: (channel in failed, -scores[channel]))
    if found == list(channels):
        return tuple(channels), {}
    told = [f"{channel} {_show(scores[channel])}" for channel in found if scores[channel]]
    told += [f"{channel} failed" for channel in found if channel in failed]
    return tuple(found), {"learned": ", ".join(told)}


def _score(state: CustomerState, policy: Policy, channel: str, now: int) -> int:
    known, half_life = state.channel_scores.get(channel), policy.channel_half_life_ms
    if known is None or not half_life:
        return 0
    score = _faded(known[0], max(now - known[1], 0), half_life)
    return score if abs(score) >= _COUNTS else 0


def _faded(score: int, elapsed: int, half_life: int) -> int:
    """What is left of a score after some time (ms); the same on every machine."""
    if not elapsed or not score:
        return score
    if elapsed >= 64 * half_life:
        return 0
    left = _EXACT.power(_HALF, _EXACT.divide(Decimal(elapsed), Decimal(half_life)))
    return int(_EXACT.multiply(Decimal(score), left).to_integral_value())


def _show(score: int) -> str:
    return f"{Decimal(score) / UNIT:.1f}"
