"""The named transforms of a mapping file: text in, text out, each for a code that plain columns cannot express.

A transform raises ``ValueError`` whose message says what would be right; it repeats nothing of the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final


def czech_birth_date(text: str) -> str:
    """The birth date (YYMMDD) in a Czech or Slovak birth number, six to ten digits.

    A woman's month stands with 50 added; 20 more (men 21 to 32, women 71 to 82) where a day's numbers ran out,
    from 2004 on (Czech act 133/2000, section 13).
    """
    month = _birth_month(text)
    return f"{text[:2]}{month % 50 % 20:02d}{text[4:6]}"


def czech_birth_sex(text: str) -> str:
    """``female`` or ``male``, from the month of a Czech or Slovak birth number."""
    return "female" if _birth_month(text) > 50 else "male"


def _birth_month(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 6 <= len(text) <= 10):
        raise ValueError("expected a birth number: six to ten digits, YYMMDD first")
    month = int(text[2:4])
    if not any(first <= month <= first + 11 for first in (1, 21, 51, 71)):
        raise ValueError("expected a birth number whose month is 01-12, 21-32, 51-62 or 71-82")
    return month


def lower(text: str) -> str:
    """The text in lower case."""
    return text.lower()


def upper(text: str) -> str:
    """The text in upper case."""
    return text.upper()


def strip(text: str) -> str:
    """The text without white space at its ends."""
    return text.strip()


def without_leading_zeros(text: str) -> str:
    """``0012`` as ``12``, ``000`` as ``0``: for ids that one table pads and another does not."""
    return text.lstrip("0") or text[:1]


TRANSFORMS: Final[Mapping[str, Callable[[str], str]]] = {
    transform.__name__: transform
    for transform in (czech_birth_date, czech_birth_sex, lower, strip, upper, without_leading_zeros)
}
