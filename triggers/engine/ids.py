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
    text = ""
    try:
        for part in parts:
            text += _LED[len(part)] + part
    except IndexError:
        text = "\x80"
    return _digest(text, parts)


def make_decision_id(a: str, b: str, c: str, d: str, e: str, f: str, g: str) -> str:
    """``make_id`` of seven parts, as every decision has them: in six tenths of the time, without a step for each."""
    led = _LED
    try:
        text = (
            f"{led[len(a)]}{a}{led[len(b)]}{b}{led[len(c)]}{c}{led[len(d)]}{d}"
            f"{led[len(e)]}{e}{led[len(f)]}{f}{led[len(g)]}{g}"
        )
    except IndexError:
        text = "\x80"
    return _digest(text, (a, b, c, d, e, f, g))


def _digest(text: str, parts: tuple[str, ...]) -> str:
    """``text`` is what to hash where it is ASCII."""
    digest = _EMPTY.copy()
    if text.isascii():
        digest.update(text.encode())
    else:
        for part in parts:
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.hexdigest()
