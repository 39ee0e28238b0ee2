"""W124: an offer that is not to be had any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from triggers.errors import Problem
from triggers.language.checks.base import DatedCheck
from triggers.language.codes import Code
from triggers.language.shared import Shared

CODE = Code("W124", "an offer that nobody may get: it is not valid any more")


def find(shared: Shared, today: date) -> Iterator[Problem]:
    for name, offer in (shared.offers or {}).items():
        if offer.valid_until is not None and offer.valid_until < today:
            message = f"the offer was valid until {offer.valid_until}: give it another date or remove it"
            yield shared.spots[f"offers.{name}"].problem(CODE, message)


CHECK = DatedCheck(CODE, find)
