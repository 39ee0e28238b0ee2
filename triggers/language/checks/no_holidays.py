"""W119: business days are counted, by a trigger or by quiet days of the policy, and the calendar knows no holidays.

Where the calendar covers some years only, in the others too only weekends are left out; which year it will be no
check can know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.codes import Code
from triggers.language.document import Place
from triggers.language.draft import Draft
from triggers.language.model import OnEvery, OnMaturity
from triggers.language.shared import Shared
from triggers.language.tree import Call
from triggers.language.wakes import place_of

CODE = Code("W119", "business days are counted, and calendar.yaml covers no year", silenceable=True)


_MESSAGE: Final = "calendar.yaml covers no year: only weekends are left out; state its holidays"


def find(drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    if shared.policy.calendar.covers:
        return
    for draft in drafts:
        for place in _uses(draft):
            yield draft.problem(CODE, place, _MESSAGE)
    if "quiet" in shared.spots:
        yield shared.spots["quiet"].problem(CODE, _MESSAGE)


def _uses(draft: Draft) -> Iterator[Place]:
    node = draft.fields.get("on")
    for index, wake in enumerate(draft.on):
        counts = isinstance(wake, OnMaturity) and wake.business
        rolls = isinstance(wake, OnMaturity | OnEvery) and wake.roll != "none"
        if node is not None and (counts or rolls):
            yield place_of(node, index)
    for checked in (*draft.conditions, *draft.message_fields.values()):
        for term in checked.term.walk():
            if isinstance(term, Call) and term.helper in ("business_days_until", "slots"):
                yield draft.fields.reader.document.locate(checked.node, term.begin)


CHECK = SharedCheck(CODE, find)
