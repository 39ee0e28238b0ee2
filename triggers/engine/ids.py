"""Deterministic ids: the same cause has the same id, in every run and on every worker."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_SHORT: Final = 128
_LED: Final = tuple(chr(length).rjust(4, "\0") for length in range(_SHORT))
"""A length in four bytes, as text: of a short part it is ASCII, as most parts are themselves."""
_EMPTY: Final = blake2b(digest_size=16)


def make_id(*parts: str) -> str:
    """32 hexadecimal digits naming the parts, in order. The parts may hold any text.

    What is hashed is each part's length in four bytes and its UTF-8. Put together as text it takes half of the time
    (1 us for seven parts); of a longer part, or other than ASCII, that would be something else.
    """
    try:
        text = "".join([_LED[len(part)] + part for part in parts])
    except IndexError:
        text = "\x80"
    digest = _EMPTY.copy()
    if text.isascii():
        digest.update(text.encode())
    else:
        for part in parts:
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.hexdigest()
