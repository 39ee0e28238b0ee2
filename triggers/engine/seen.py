"""Which events took effect, as far back as the lateness rule reaches: so that a repeat changes nothing.

The horizon: of each kind of event (transaction, behaviour, feedback) a customer's ids are remembered for
``policy.lateness`` before the newest of that kind. An older event cannot be told from a repeat and is set aside,
unless its account's sequence shows that it is new.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import msgspec
import xxhash

from schemas.dead_letter import Reason
from schemas.decode import Rejected

_ROW: Final = Struct("<Qq")
_SIZE: Final = _ROW.size
pack_seen: Final = _ROW.pack
PRUNED_BYTES: Final = 16 * _SIZE


def event_key(event_id: str) -> int:
    """A 64-bit name of an event. Two ids of one customer inside one horizon collide once in about 10^13."""
    return xxhash.xxh3_64_intdigest(event_id.encode())


class Seen(msgspec.Struct, array_like=True, gc=False):
    """The events of one kind of one customer: packed rows of key and event time (ms) in order of arrival."""

    newest: int = 0
    rows: bytearray = msgspec.field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.rows) // _SIZE

    def __contains__(self, key: int) -> bool:
        rows, wanted = self.rows, key.to_bytes(8, "little")
        # A search of the memory: faster than a set up to thousands of events, and nothing to keep beside the rows.
        found = rows.find(wanted)
        if found < 0:
            return False
        while found >= 0 and found % _SIZE:
            found = rows.find(wanted, found + 1)
        return found >= 0

    def add(self, key: int, at: int, lateness: int) -> None:
        """Remembers an event that takes effect."""
        if at > self.newest:
            self.newest = at
        rows = self.rows
        rows += pack_seen(key, at)
        # Pruned at a size, not at a time: the same events leave the same bytes however they were batched.
        if not len(rows) % PRUNED_BYTES:
            self.prune(lateness)

    def prune(self, lateness: int) -> None:
        """Forgets what no repeat can reach any more; asked whenever the rows are a multiple of ``PRUNED_BYTES``."""
        rows, floor = self.rows, self.newest - lateness
        times = memoryview(rows).cast("q")[1::2].tolist()
        past = sum(map(floor.__gt__, times))
        if past and min(times[past:], default=floor) >= floor:  # mostly they came in the order of time
            del rows[: past * _SIZE]
        elif past:
            self.rows = bytearray().join(_ROW.pack(*row) for row in _ROW.iter_unpack(rows) if row[1] >= floor)


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


def from_the_future(skew_ms: int) -> Rejected:
    """The rejection of an event further ahead of the clock than the policy allows."""
    return Rejected(Reason.FROM_THE_FUTURE, "occurred_at", f"more than {skew_ms // 1000} s ahead of the system's clock")
