"""Messages shared out by customer, on disk where they do not fit: so that memory is bounded whatever the input's size.

Messages are gathered in a buffer of ``BUFFER_BYTES``; when it is full, each share's part is appended to the share's
file, one file open at a time. A file of more than ``SHARE_BYTES`` is shared out once more, by other bits of the same
hash, before it is run. So memory holds one buffer while the input is read, and then in each process one share and one
customer's state. Only a single customer with more than ``SHARE_BYTES`` of messages needs as much as they take.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final

from xxhash import xxh3_64_intdigest

from schemas.topics import TOPICS
from triggers.casework.backtest import Arrival

SHARES: Final = 256
BUFFER_BYTES = 16 * 1024 * 1024
SHARE_BYTES = 16 * 1024 * 1024

_BITS: Final = 8
_DEEPEST: Final = 7
"""How often a file may be shared out again: eight times eight bits of the hash tell customers apart."""

_HEADER: Final = struct.Struct("<BIqqiI")
"""Topic, source, place in it, the source's clock, length of the key (-1: none), length of the value."""
_pack: Final = _HEADER.pack
_NUMBERS: Final = {topic.name: number for number, topic in enumerate(TOPICS)}
_SLOT_BYTES: Final = 40
"""What a message in the buffer takes beside its bytes: an object's head and a place in a list."""

Share = bytes | tuple[Path, ...]
"""The messages of some customers, in the order in which they were added: in memory, or in files, one after another."""


class Spill:
    """Takes messages in the order of the input; ``close`` gives them back by customer."""

    def __init__(self, folder: Path, *, name: str = "share", level: int = 0) -> None:
        self._folder = folder
        self._name = name
        self._shift = level * _BITS
        self._parts: list[list[bytes]] = [[] for _ in range(SHARES)]
        self._held = 0
        self._written: set[int] = set()

    def add(self, arrival: Arrival, clock: int) -> None:
        """Takes one message. ``clock`` is how far its source's times had come, in ms."""
        topic, key, value, source, position = arrival
        length = -1
        if key is None:
            key = b""
        else:
            length = len(key)
        packed = _pack(_NUMBERS[topic.name], source, position, clock, length, len(value)) + key + value
        # As ``add_packed``, without its call.
        self._parts[(xxh3_64_intdigest(key) >> self._shift) % SHARES].append(packed)
        self._held += len(packed) + _SLOT_BYTES
        if self._held >= BUFFER_BYTES:
            self._flush()

    def add_packed(self, key: bytes, packed: bytes) -> None:
        """Takes one message as a share holds it."""
        self._parts[(xxh3_64_intdigest(key) >> self._shift) % SHARES].append(packed)
        self._held += len(packed) + _SLOT_BYTES
        if self._held >= BUFFER_BYTES:
            self._flush()

    def close(self) -> list[Share]:
        """The shares with anything in them, in order: in memory where all of it fitted into the buffer."""
        if not self._written:
            return [b"".join(part) for part in self._parts if part]
        return [(path,) for _, path in sorted(self.files().items())]

    def files(self) -> dict[int, Path]:
        """The file of each share with anything in it: nothing is in memory any more."""
        self._flush()
        return {number: self._path(number) for number in self._written}

    def _flush(self) -> None:
        for number, part in enumerate(self._parts):
            if part:
                with self._path(number).open("ab") as file:
                    file.writelines(part)
                self._written.add(number)
                part.clear()
        self._held = 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number:03}"


def customers(share: Share, *, merge: bool, level: int = 1) -> Iterator[list[Arrival]]:
    """Each customer's messages, of a share that is read once and whose file is removed.

    With ``merge`` they are ordered by their source's clock, as several sources come in side by side; within a source,
    and without it, they keep the order in which they came.
    """
    if isinstance(share, bytes):
        data = share
    elif sum(path.stat().st_size for path in share) > SHARE_BYTES and level <= _DEEPEST and not _of_one(share):
        for part in _share_again(share, level):
            yield from customers(part, merge=merge, level=level + 1)
        return
    else:
        data = b"".join(path.read_bytes() for path in share)
        for path in share:
            path.unlink()
    places: dict[bytes | None, list[tuple[int, int, int, int, int, int]]] = {}
    offset, end, size, unpack_from = 0, len(data), _HEADER.size, _HEADER.unpack_from
    while offset < end:
        topic, source, position, clock, key_length, value_length = unpack_from(data, offset)
        value_at = offset + size + max(key_length, 0)
        key = None if key_length < 0 else data[offset + size : value_at]
        offset = value_at + value_length
        places.setdefault(key, []).append((clock, source, position, topic, value_at, offset))
    # In the order in which they would come if the share were shared out again: the same however large a share may be.
    for key in sorted(places, key=_place_of):
        found = places[key]
        if merge:
            found.sort(key=itemgetter(0, 1, 2))
        yield [
            Arrival(TOPICS[topic], key, data[begin:until], source, position)
            for _, source, position, topic, begin, until in found
        ]


def _place_of(key: bytes | None) -> tuple[bytes, bool]:
    return xxh3_64_intdigest(key or b"").to_bytes(8, "little"), key is not None


def _of_one(paths: Sequence[Path]) -> bool:
    """Whether all messages are one customer's, who cannot be shared out."""
    keys = (key for path in paths for key, _ in _packed(path))
    first = next(keys, b"")
    return all(key == first for key in keys)


def _share_again(paths: Sequence[Path], level: int) -> list[Share]:
    spill = Spill(paths[0].parent, name=paths[0].name, level=level)
    for path in paths:
        for key, packed in _packed(path):
            spill.add_packed(key, packed)
        path.unlink()
    return spill.close()


def _packed(path: Path) -> Iterator[tuple[bytes, bytes]]:
    with path.open("rb") as file:
        while header := file.read(_HEADER.size):
            *_, key_length, value_length = _HEADER.unpack(header)
            key = file.read(max(key_length, 0))
            yield key, b"".join((header, key, file.read(value_length)))
