"""Which events took effect, as far back as the lateness rule reaches: so that a repeat changes nothing.

The horizon: of each kind of event (transaction, behaviour, feedback) a customer's ids are remembered for
``policy.lateness`` before the newest of that kind. An older event cannot be told from a repeat and is set aside,
unless its account's sequence shows that it is new.
"""

from __future__ import annotations

from typing import Final

import xxhash

from schemas.dead_letter import Reason
from schemas.decode import Rejected

_PRUNE_EVERY: Final = 16


def event_key(event_id: str) -> int:
    """A 64-bit name of an event. Two ids of one customer inside one horizon collide once in about 10^13."""
    return xxhash.xxh3_64_intdigest(event_id.encode())


class Seen:
    """The ids of one kind of event of one customer, with their event times in ms."""

    __slots__ = ("ids", "newest")

    ids: dict[int, int]
    newest: int

    def __init__(self, newest: int = 0) -> None:
        self.ids = {}
        self.newest = newest

    def add(self, key: int, at: int, lateness: int) -> None:
        """Remembers an event that takes effect."""
        self.newest = max(self.newest, at)
        self.ids[key] = at
        # Pruned at a size, not at a time: the same events leave the same bytes however they were batched.
        if len(self.ids) % _PRUNE_EVERY == 0:
            floor = self.newest - lateness
            if min(self.ids.values()) < floor:
                self.ids = {known: when for known, when in self.ids.items() if when >= floor}


def admit(seen: dict[str, Seen], kind: str, key: int, at: int, lateness: int) -> Rejected | bool:
    """Whether an event without a sequence takes effect: ``True``, and it is remembered; ``False`` for a repeat.

    One too old to tell is rejected.
    """
    known = seen_of(seen, kind)
    if key in known.ids:
        return False
    if at < known.newest - lateness:
        return too_late()
    known.add(key, at, lateness)
    return True


def seen_of(seen: dict[str, Seen], kind: str) -> Seen:
    """The remembered events of a kind, begun where there are none."""
    known = seen.get(kind)
    if known is None:
        known = seen[kind] = Seen()
    return known


def too_late() -> Rejected:
    """The rejection of an event from beyond the horizon."""
    return Rejected(Reason.TOO_LATE, "occurred_at", "older than the lateness rule allows: it may be a repeat")
