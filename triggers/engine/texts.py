"""Values as the texts of messages and decisions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def text_of(value: Any) -> str:
    """A value as a message shows it: decimals without trailing zeros, an unknown value as nothing."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(value)[:200]
    return str(value)[:200]


def plain(number: Decimal) -> str:
    """A decimal in one spelling, whatever its exponent: the same amount is the same text."""
    if number == 0:
        return "0"
    return format(number.normalize(), "f")[:200]
