"""What is kept of an id of a channel and of a customer with such ids, as compact bytes and back."""

from __future__ import annotations

from typing import Final

import msgspec

from triggers.engine.seen import Seen
from triggers.engine.stage import UnreadableState
from triggers.identity.timeline import Entry, Timeline

VERSION: Final = 2
_LATEST_ONLY: Final = 1
"""The version before: the sequence and the customer of the newest link alone."""

CUSTOMER: Final = "customer:"
"""Begins the key of a customer; no source of ids is called so."""


class Held(msgspec.Struct, array_like=True, gc=False):
    """A behaviour that waits for its customer until ``due``. ``occurred_at`` is the text of its own time."""

    at: int
    due: int
    event_id: str
    occurred_at: str
    action: str
    product_id: str | None
    page: str | None
    seconds: int | None


class ChannelId(msgspec.Struct, array_like=True):
    """An id of a channel: whose it was from when on, what waits, which events took effect.

    ``merges`` are the merges of its customers. What stands before ``key`` is written.
    """

    links: Timeline = msgspec.field(default_factory=Timeline)
    merges: dict[str, Timeline] = msgspec.field(default_factory=dict)
    held: list[Held] = msgspec.field(default_factory=list)
    seen: dict[str, Seen] = msgspec.field(default_factory=dict)
    indexed_due: int | None = None
    key: str = ""


class Person(msgspec.Struct, array_like=True):
    """A customer: what it was merged into from when on, and the ids of channels it has had, oldest first."""

    merges: Timeline = msgspec.field(default_factory=Timeline)
    members: list[str] = msgspec.field(default_factory=list)
    seen: dict[str, Seen] = msgspec.field(default_factory=dict)
    key: str = ""


IdentityState = ChannelId | Person

_write: Final = msgspec.msgpack.Encoder().encode
_read_channel: Final = msgspec.msgpack.Decoder(ChannelId).decode
_read_person: Final = msgspec.msgpack.Decoder(Person).decode
_read_latest: Final = msgspec.msgpack.Decoder(tuple[int, tuple[str | None, ...]]).decode


def fresh_state(key: str) -> IdentityState:
    """The state of a key never seen."""
    return Person(key=key) if key.startswith(CUSTOMER) else ChannelId(key=key)


def encode_state(state: IdentityState) -> bytes:
    """The bytes of a state."""
    return bytes((VERSION,)) + _write(msgspec.structs.astuple(state)[:-1])


def decode_state(key: str, data: bytes) -> IdentityState:
    """A state from its bytes.

    Raises:
        UnreadableState: the bytes are damaged or of a later version than this program writes.
    """
    version = data[0] if data else None
    if version not in (VERSION, _LATEST_ONLY):
        raise UnreadableState(
            f"the state has format version {'none' if version is None else version}; "
            f"this program reads versions {_LATEST_ONLY} and {VERSION}"
        )
    body = memoryview(data)[1:]
    state: IdentityState
    try:
        if version == _LATEST_ONLY:
            return _from_latest(key, *_read_latest(body))
        state = _read_person(body) if key.startswith(CUSTOMER) else _read_channel(body)
    except msgspec.MsgspecError as error:
        raise UnreadableState(f"the state's bytes are damaged: {type(error).__name__}") from error
    state.key = key
    return state


def _from_latest(key: str, sequence: int, fields: tuple[str | None, ...]) -> ChannelId:
    """The newest link had no time: it holds from the beginning."""
    state = ChannelId(key=key)
    if fields:
        state.links.entries.append(Entry(0, sequence, fields[0]))
    return state
