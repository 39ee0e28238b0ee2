"""W123: an offer that nobody may get, since the policy has no channel for its complexity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.checks.closed_channel import open_channels
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.grammar import CHANNELS
from triggers.language.shared import Shared

CODE = Code("W123", "an offer that nobody may get: the policy has no channel for it", silenceable=True)


def find(_drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    for name, offer in (shared.offers or {}).items():
        if offer.complexity is not None and not open_channels(shared.policy, offer.complexity, CHANNELS):
            message = f"no route of the policy has a channel for a {offer.complexity} offer: nobody may get it"
            yield shared.spots[f"offers.{name}"].problem(CODE, message)


CHECK = SharedCheck(CODE, find)
