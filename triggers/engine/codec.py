"""A customer's state as compact bytes and back. The first byte is the format's version; ``state`` tells the sections.

Equal states have equal bytes, whatever batches led to them: mappings are written in the order the engine filled
them, decimals as their texts, samples as the memory they lie in.
"""

from __future__ import annotations

from typing import Final

import msgspec

from triggers.engine.stage import UnreadableState
from triggers.engine.state import CustomerState

VERSION: Final = 6

_PREFIX: Final = bytes((VERSION,))
_WRITTEN: Final = CustomerState.__struct_fields__.index("key")
_write: Final = msgspec.msgpack.Encoder().encode
_read: Final = msgspec.msgpack.Decoder(CustomerState).decode


def encode_state(state: CustomerState) -> bytes:
    """The bytes of a state."""
    return _PREFIX + _write(msgspec.structs.astuple(state)[:_WRITTEN])


def decode_state(key: str, data: bytes) -> CustomerState:
    """A state from its bytes.

    Raises:
        UnreadableState: the bytes are damaged or of another version than this program writes.
    """
    if not data or data[0] != VERSION:
        found = data[0] if data else "none"
        raise UnreadableState(f"the state has format version {found}; this program reads version {VERSION}")
    try:
        state = _read(memoryview(data)[1:])
    except msgspec.MsgspecError as error:
        raise UnreadableState(f"the state's bytes are damaged: {type(error).__name__}") from error
    state.key = key
    state.settle(state.currency)
    return state
