"""Values as the texts of messages and decisions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

_LONGEST: Final = 200
_EXACT: Final = 28
"""The digits that a decimal keeps where it is normalized."""


def text_of(value: Any) -> str:
    """A value as a message shows it: decimals without trailing zeros, an unknown value as nothing."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(value)[:_LONGEST]
    return str(value)[:_LONGEST]


def plain(number: Decimal) -> str:
    """A decimal in one spelling, whatever its exponent: the same amount is the same text."""
    if not number:
        return "0"
    text = str(number)
    if "E" in text or len(text) > _EXACT:
        return format(number.normalize(), "f")[:_LONGEST]
    # The same of a usual amount, in half of the time.
    return text.rstrip("0").rstrip(".") if "." in text else text
