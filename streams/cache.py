"""The bounded cache of states in front of the store."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class StateCache:
    """States by partition, stage and key, as the bytes that the store gives; the least recently used ones make room.

    Bytes, not objects: one block of memory for each instead of a hundred, a quarter of the room, nothing for the
    collector to walk through, nothing that a batch could change before it is committed (see ``batch.Opened``).

    ``max_states`` bounds the number of states over all partitions, ``max_bytes`` the sum of their
    lengths. Not for several threads.
    """

    def __init__(self, max_states: int, max_bytes: int | None = None) -> None:
        if max_states < 0:
            raise ValueError(f"max_states is {max_states}, at least 0 is wanted")
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"max_bytes is {max_bytes}, at least 0 is wanted")
        self.max_states = max_states
        self.max_bytes = max_bytes
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self._count = 0
        self._clock = 0
        """Counts uses; what was used at a lower count was used earlier."""
        self._segments: dict[int, dict[str, _Segment]] = {}
        # One order per partition and stage, merged by the clock where room is made: a single order would need a
        # composite key, whose hash alone costs more than all the rest.
        self._victim: _Segment = OrderedDict()
        self._victim_until = 0
        """The segment that holds the least recently used state, as long as its first one is older than this."""

    def __len__(self) -> int:
        return self._count

    def get(self, partition: int, stage: str, key: str) -> bytes | None:
        """The state, which is now the most recently used one."""
        try:
            segment = self._segments[partition][stage]
            entry = segment[key]
        except KeyError:
            self.misses += 1
            return None
        segment.move_to_end(key)
        self._clock = entry[0] = self._clock + 1
        self.hits += 1
        state: bytes = entry[1]
        return state

    def put(self, partition: int, stage: str, key: str, state: bytes) -> None:
        """Keeps a state as the store gives it, the most recently used one; may evict others."""
        try:
            segment = self._segments[partition][stage]
        except KeyError:
            segment = self._segments.setdefault(partition, {}).setdefault(stage, OrderedDict())
        size = len(state)
        before = segment.get(key)
        if before is None:
            self._count += 1
        else:
            self.bytes -= before[2]
            segment.move_to_end(key)
        self._clock = now = self._clock + 1
        segment[key] = [now, state, size]
        self.bytes += size
        while self._count > self.max_states or (self.max_bytes is not None and self.bytes > self.max_bytes):
            self._evict_one()

    def drop(self, partition: int) -> None:
        """Forgets a partition, at a cost in proportion to that partition alone."""
        for segment in self._segments.pop(partition, {}).values():
            self._count -= len(segment)
            self.bytes -= sum(entry[2] for entry in segment.values())
            segment.clear()

    def drop_all(self) -> None:
        """Forgets everything. The counters stay."""
        for partition in list(self._segments):
            self.drop(partition)

    def _evict_one(self) -> None:
        victim = self._victim
        # Uses only move states towards the end, so no other segment's first state can have become the oldest since.
        if not victim or next(iter(victim.values()))[0] >= self._victim_until:
            victim = self._choose_victim()
        _, entry = victim.popitem(last=False)
        self._count -= 1
        self.bytes -= entry[2]

    def _choose_victim(self) -> _Segment:
        firsts = sorted(
            (next(iter(segment.values()))[0], partition, stage)
            for partition, stages in self._segments.items()
            for stage, segment in stages.items()
            if segment
        )
        _, partition, stage = firsts[0]
        self._victim = self._segments[partition][stage]
        self._victim_until = firsts[1][0] if len(firsts) > 1 else self._clock + 1
        return self._victim


_Segment = OrderedDict[str, list[Any]]
"""Key to when it was last used, its state and its size; least recently used first."""
