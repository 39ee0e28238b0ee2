"""What comes in before it is shared out: which time range, whose tenant, how far the time has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.base import to_ms
from schemas.decode import Rejected, decode
from streams.backtest.horizon import GAP_MS, Horizon, Stretch
from streams.backtest.spill import Share, Spill
from triggers.casework.backtest import Arrival

_AT_ONCE: Final = 4_096
_JUMP_MS: Final = 86_400_000


class _Head(msgspec.Struct):
    """All of an event that is read before its turn comes."""

    tenant: str
    occurred_at: datetime


_read_head: Final = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, slots=True)
class Taken:
    """What an intake took of a part of the input: ``files`` are its shares by number."""

    taken: int
    left_out: int
    stretches: list[Stretch]
    files: dict[int, Path]


def tenant_of(arrivals: Iterable[Arrival]) -> str | None:
    """Whose events these are: the tenant of the first that has one. No more of them are read."""
    for arrival in arrivals:
        try:
            return _read_head(arrival.value).tenant
        except (ValueError, RecursionError):
            pass  # no event, for all that can be said without a tenant
    return None


class Intake:
    """Takes the messages of all sources, each source's in order, and shares out those of the time range.

    ``tenant`` is that of the first event where none is given. ``end_ms`` is the newest time of any event that can be
    read and is not from the future (see ``horizon``): what cannot be read has no time, so it moves no clock. ``merge``
    says that several sources come side by side.
    """

    def __init__(
        self,
        folder: Path,
        *,
        merge: bool,
        tenant: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> None:
        self.tenant = tenant
        self.end_ms: int | None = None
        self.taken = 0
        self.left_out = 0
        """Messages outside the time range."""
        self._merge = merge
        self._since_ms = since_ms
        self._until_ms = until_ms
        self._spill = Spill(folder)
        self._share = self._spill.add
        self._clocks: dict[int, _Clock] = {}
        self._horizon = Horizon(lambda arrival: self._readable(arrival) is not None)
        self._unsettled: list[tuple[int, Arrival]] = []

    def add(self, arrival: Arrival) -> None:
        """Takes one message."""
        try:
            head = _read_head(arrival.value)
        except (ValueError, RecursionError):
            head = self._readable(arrival)
        at = None
        if head is not None:
            if self.tenant is None:
                self.tenant = head.tenant
            moment = head.occurred_at
            if moment.tzinfo is not None:
                at = to_ms(moment)
        if at is not None:
            since, until = self._since_ms, self._until_ms
            if (since is not None and at < since) or (until is not None and at > until):
                self.left_out += 1
                return
            self._unsettled.append((at, arrival))
            if len(self._unsettled) >= _AT_ONCE:
                self._settle()
        self.taken += 1
        self._share(arrival, self._clock(arrival, at) if self._merge else 0)

    def close(self) -> list[Share]:
        """The shares. ``end_ms`` is known from here on."""
        self._settle()
        return self._spill.close()

    def leave(self) -> Taken:
        """The same for another process: the shares are in files."""
        self._settle()
        return Taken(self.taken, self.left_out, self._horizon.stretches, self._spill.files())

    def join(self, parts: Iterable[Taken]) -> list[Share]:
        """The shares of what others took of the one source, part after part. ``end_ms`` is known from here on."""
        found: dict[int, list[Path]] = {}
        for part in parts:
            self.taken += part.taken
            self.left_out += part.left_out
            for stretch in part.stretches:
                self._horizon.take(stretch)
            for number, path in part.files.items():
                found.setdefault(number, []).append(path)
        self.end_ms = self._horizon.end_ms()
        return [tuple(found[number]) for number in sorted(found)]

    def _clock(self, arrival: Arrival, at: int | None) -> int:
        """How far the times of the arrival's source have come. A far leap forward counts only if it can be read."""
        clock = self._clocks.get(arrival.source)
        if at is None:
            return 0 if clock is None else clock.at
        if clock is None:
            if self._readable(arrival) is None:
                return 0
            clock = self._clocks[arrival.source] = _Clock(at)
            return at
        if at > clock.at + _JUMP_MS and self._readable(arrival) is None:
            return clock.at
        return clock.move(at)

    def _settle(self) -> None:
        """Moves ``end_ms``."""
        waiting, self._unsettled = self._unsettled, []
        self._horizon.add(waiting)
        self.end_ms = self._horizon.end_ms()

    def _readable(self, arrival: Arrival) -> Any:
        record = decode(arrival.topic, self.tenant or "", arrival.key, arrival.value)
        return None if isinstance(record, Rejected) else record


class _Clock:
    """How far the times of a source have come. A leap of more than a year counts once a second event confirms it."""

    __slots__ = ("_firm", "_leap", "at")

    def __init__(self, at: int) -> None:
        self.at = at
        self._firm = False
        self._leap: int | None = None

    def move(self, at: int) -> int:
        """The place in time of the source's next event."""
        if not self._firm and abs(at - self.at) > GAP_MS:
            # Of the first event and this one, the earlier tells the time.
            self.at, self._leap = min(at, self.at), max(at, self.at)
            self._firm = True
            return at
        self._firm = True
        if at <= self.at + GAP_MS:
            self.at = max(at, self.at)
            return self.at
        if self._leap is not None and abs(at - self._leap) <= GAP_MS:
            self.at = max(at, self._leap)
            self._leap = None
        else:
            self._leap = at
        return at
