"""W122: a step names a channel on which the policy never lets its action go out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.model import Choice, Policy
from triggers.language.shared import Shared

CODE = Code("W122", "a step names a channel on which the policy never lets its action go out", silenceable=True)


def find(drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    policy = shared.policy
    for draft in drafts:
        if draft.trigger is None:
            continue
        action = draft.trigger.action
        complexities = {action.complexity} if action.complexity else _of_offers(action.offer, shared)
        for place, channel in draft.channels:
            if complexities and not any(channel in open_channels(policy, one, [channel]) for one in complexities):
                what = " or ".join(sorted(complexities))
                yield draft.problem(CODE, place, f"no route of the policy lets {channel} carry a {what} offer")


def open_channels(policy: Policy, complexity: str, channels: Sequence[str]) -> list[str]:
    """Those of some channels that the routes let carry an offer of a complexity, to some customer at least."""
    found: list[str] = []
    for route in policy.routing:
        if complexity in route.complexities:
            found += [channel for channel in channels if channel in route.channels and channel not in found]
            if route.when is None:
                return found
    return list(channels)


def _of_offers(offer: str | Choice, shared: Shared) -> set[str]:
    """The complexities that the offers have that may be chosen; none where the catalogue does not say."""
    if isinstance(offer, str) or not shared.offers_read:
        return set()
    found = {one.complexity for one in (shared.offers or {}).values() if one.kind in offer.kinds}
    return {one for one in found if one is not None}


CHECK = SharedCheck(CODE, find)
