"""Which events took effect, as far back as the lateness rule reaches: so that a repeat changes nothing.

The horizon: of each kind of event (transaction, behaviour, feedback) a customer's ids are remembered for
``policy.lateness`` before the newest of that kind. An older event cannot be told from a repeat and is set aside,
unless its account's sequence shows that it is new.
"""

from __future__ import annotations

from array import array
from typing import Final

import xxhash

from schemas.dead_letter import Reason
from schemas.decode import Rejected

_PRUNE_EVERY: Final = 16
_LOOKED_THROUGH: Final = 48


def event_key(event_id: str) -> int:
    """A 64-bit name of an event. Two ids of one customer inside one horizon collide once in about 10^13."""
    return xxhash.xxh3_64_intdigest(event_id.encode())


class Seen:
    """The events of one kind of one customer: keys and event times (ms) in order of arrival, in packed arrays.

    Most customers have a handful, which are looked through; beyond that a set of the keys is kept beside them.
    """

    __slots__ = ("_index", "keys", "newest", "times")

    def __init__(self, newest: int = 0) -> None:
        self.keys: array[int] = array("Q")
        self.times: array[int] = array("q")
        self.newest = newest
        self._index: set[int] | None = None

    def __contains__(self, key: int) -> bool:
        keys = self.keys
        if len(keys) <= _LOOKED_THROUGH:
            return key in keys
        if self._index is None:
            self._index = set(keys)
        return key in self._index

    def add(self, key: int, at: int, lateness: int) -> None:
        """Remembers an event that takes effect."""
        if at > self.newest:
            self.newest = at
        self.keys.append(key)
        self.times.append(at)
        if self._index is not None:
            self._index.add(key)
        # Pruned at a size, not at a time: the same events leave the same bytes however they were batched.
        if len(self.keys) % _PRUNE_EVERY == 0:
            floor = self.newest - lateness
            if min(self.times) < floor:
                kept = [(known, when) for known, when in zip(self.keys, self.times, strict=True) if when >= floor]
                self.keys = array("Q", [known for known, _ in kept])
                self.times = array("q", [when for _, when in kept])
                self._index = None


def admit(seen: dict[str, Seen], kind: str, key: int, at: int, lateness: int) -> Rejected | bool:
    """Whether an event without a sequence takes effect: ``True``, and it is remembered; ``False`` for a repeat.

    One too old to tell is rejected.
    """
    known = seen_of(seen, kind)
    if key in known:
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
