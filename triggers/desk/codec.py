"""The states of the desks' stages as bytes and back: a version, then the struct. Equal states have equal bytes."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from triggers.engine.stage import UnreadableState

S = TypeVar("S", bound=msgspec.Struct)


def encode_struct(state: msgspec.Struct, version: int) -> bytes:
    """The bytes of a state."""
    return bytes((version,)) + msgspec.msgpack.encode(state)


def decode_struct(kind: type[S], version: int, data: bytes) -> S:
    """A state from its bytes.

    Raises:
        UnreadableState: the bytes are damaged or of another version than this program writes.
    """
    if not data or data[0] != version:
        found = data[0] if data else "none"
        raise UnreadableState(f"the state has format version {found}; this program reads version {version}")
    try:
        return msgspec.msgpack.decode(memoryview(data)[1:], type=kind)
    except msgspec.MsgspecError as error:
        raise UnreadableState(f"the state's bytes are damaged: {type(error).__name__}") from error
