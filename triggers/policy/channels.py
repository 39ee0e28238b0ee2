"""Of the channels that a step names, the first that the gate lets it use.

Another one is tried only where the channel itself is the reason: no consent for it, it does not suit the customer, it
may not carry the offer, its own cap is full, or it is quiet until the action has expired. Whatever else refuses a
contact refuses it on every channel. A channel that is merely quiet is waited for: it comes first because it is the
better one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from triggers.engine.state import CustomerState
from triggers.policy.candidate import Candidate
from triggers.policy.gate import Gate, Suppression

REASON: Final = "no_channel"
_LONGEST: Final = 200


class Passage(msgspec.Struct, frozen=True, gc=False):
    """What the gate says of a step: the channel, ``None`` where none is left, and what holds the step back there.

    ``tried`` are the channels that were passed over, each with its reason.
    """

    held: Suppression | None
    channel: str | None
    tried: Mapping[str, str]


def pass_gate(state: CustomerState, gate: Gate, candidate: Candidate, channels: Sequence[str], expires: int) -> Passage:
    """Takes a candidate to the gate on one channel after the other. ``expires`` (ms) is the end of any waiting.

    A step with one channel alone keeps the reason of that one.
    """
    if len(channels) == 1:
        return Passage(gate.suppression(state, candidate), candidate.channel, {})
    tried: dict[str, str] = {}
    for channel in channels:
        on_it = candidate if channel == candidate.channel else msgspec.structs.replace(candidate, channel=channel)
        held = gate.suppression(state, on_it)
        in_vain = held is not None and held.until is not None and held.until >= expires
        if held is None or not (held.of_channel or in_vain):
            return Passage(held, channel, tried)
        tried[channel] = _told(held)
    return Passage(Suppression(REASON, tried), None, tried)


def _told(held: Suppression) -> str:
    """A refusal in one line: its reason, the values that decided it, and the clause that failed where there is one."""
    values = [f"{name} = {value}" for name, value in held.detail.items() if name not in ("channel", "clause")]
    clause = [held.detail["clause"]] if "clause" in held.detail else []
    return f"{held.reason}: {', '.join(values + clause)}"[:_LONGEST]
