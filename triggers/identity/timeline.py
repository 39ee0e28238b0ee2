"""What holds from when on, by the publisher's sequence, whatever the order of arrival."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

import msgspec

MOST: Final = 64
"""Entries kept of one timeline; beyond them the oldest is forgotten."""


class Entry(NamedTuple):
    """From ``at`` (ms) on it is this customer; ``None``: nobody. ``cause`` is the event that said so."""

    at: int
    sequence: int
    customer_id: str | None
    cause: str = ""


class Timeline(msgspec.Struct, array_like=True, gc=False):
    """At each moment the entry with the highest sequence of those that had begun by then.

    What a newer entry replaces from its very beginning is left out, so ``entries`` ascend in time and in sequence.
    ``since`` is where knowledge begins: before it entries were forgotten.
    """

    entries: list[Entry] = msgspec.field(default_factory=list)
    since: int | None = None

    def put(self, entry: Entry) -> bool:
        """Adds an entry. False where it changes nothing: known, replaced by a newer one already, or forgotten."""
        if self.since is not None and entry.at < self.since:
            return False
        index = self.index(entry.at)
        if index >= 0 and self.entries[index].sequence >= entry.sequence:
            return False
        if any(entry.sequence == known.sequence for known in self.entries):
            return False  # Two entries of one number: the first counts.
        kept = self.entries[: index + 1]
        if kept and kept[-1].at == entry.at:
            kept.pop()
        later = [known for known in self.entries[index + 1 :] if known.sequence > entry.sequence]
        self.entries = [*kept, entry, *later]
        if len(self.entries) > MOST:
            del self.entries[0]
            self.since = self.entries[0].at
        return True

    def index(self, at: int) -> int:
        """Which entry holds at a time; -1 before the first."""
        return bisect_right(self.entries, at, key=lambda entry: entry.at) - 1

    def at(self, at: int) -> str | None:
        """The customer at a time."""
        index = self.index(at)
        return self.entries[index].customer_id if index >= 0 else None

    def forgotten(self, at: int) -> bool:
        """Whether a time lies before what is known."""
        return self.since is not None and at < self.since
