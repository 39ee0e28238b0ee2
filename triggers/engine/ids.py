"""Deterministic ids: the same cause has the same id, in every run and on every worker."""

from __future__ import annotations

from hashlib import blake2b


def make_id(*parts: str) -> str:
    """32 hexadecimal digits naming the parts, in order. The parts may hold any text."""
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return digest.hexdigest()
