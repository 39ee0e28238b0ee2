"""A stage that keeps the latest record of each key, by the publisher's sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgpack

from triggers.engine.stage import Outcome, UnreadableState, WithoutTimers
from triggers.language.model import RuleSet

VERSION: Final = 1


@dataclass(slots=True)
class Latest:
    """The fields of the latest record of a key; ``sequence`` is -1 before the first."""

    key: str
    sequence: int = -1
    fields: tuple[Any, ...] = ()


class LatestStage(WithoutTimers):
    """Keeps ``kept`` fields of the record with the highest sequence. It sends nothing."""

    def __init__(self, name: str, key: tuple[str, ...], kept: tuple[str, ...]) -> None:
        self.name = name
        self._key = key
        self._kept = kept

    def key_of(self, record: Any) -> str:
        return ":".join(getattr(record, name) for name in self._key)

    def fresh(self, key: str) -> Latest:
        return Latest(key)

    def decode(self, key: str, data: bytes) -> Latest:
        if not data or data[0] != VERSION:
            found = data[0] if data else "none"
            raise UnreadableState(f"the state has format version {found}; this program reads version {VERSION}")
        try:
            sequence, fields = msgpack.unpackb(memoryview(data)[1:], use_list=False)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise UnreadableState(f"the state's bytes are damaged: {type(error).__name__}") from error
        return Latest(key, sequence, fields)

    def encode(self, state: Latest) -> bytes:
        packed: bytes = msgpack.packb((state.sequence, state.fields))
        return bytes((VERSION,)) + packed

    def process(self, record: Any, state: Latest, _ruleset: RuleSet, _now: int | None) -> Outcome | None:
        if record.sequence > state.sequence:
            state.sequence = record.sequence
            state.fields = tuple(getattr(record, name) for name in self._kept)
        return None
