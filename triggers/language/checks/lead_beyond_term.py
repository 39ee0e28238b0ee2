"""E118: a lead time that is longer than the products it is for.

What ``when`` demands of ``product.term_days`` in its top-level parts decides: an upper bound, a value or a list of
values. Terms that other names imply (a product's kind, a feature) are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import Draft
from triggers.language.model import OnMaturity
from triggers.language.tree import Comparison, Constant, Logic, Reference, Term
from triggers.language.wakes import place_of

CODE = Code("E118", "a lead time that is longer than the term of every product it is for")
_TERM = "product.term_days"


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        node, longest = draft.fields.get("on"), _longest_term(draft)
        if node is None or longest is None:
            continue
        for index, wake in enumerate(draft.on):
            # Business days take at least as many days.
            if isinstance(wake, OnMaturity) and wake.days > longest:
                message = (
                    f"when asks for {_TERM} of at most {longest}: "
                    f"{wake.days} days before it falls due such a product is not bought yet"
                )
                yield draft.problem(CODE, place_of(node, index), message)


def _longest_term(draft: Draft) -> int | None:
    when = draft.fields.get("when")
    bounds = [
        bound
        for checked in draft.conditions
        if checked.node is when
        for _, term in checked.clauses
        for part in (term.parts if isinstance(term, Logic) and term.chain else (term,))
        if (bound := _bound(part)) is not None
    ]
    return int(min(bounds)) if bounds else None


def _bound(term: Term) -> Decimal | None:
    """The longest term that a comparison lets through; ``None`` where it sets no bound."""
    if not isinstance(term, Comparison):
        return None
    left, right, operator = term.left, term.right, term.operator
    if isinstance(left, Constant):
        left, right = right, left
        operator = {">": "<", ">=": "<=", "==": "=="}.get(operator, "")
    if not (isinstance(left, Reference) and left.name.path == _TERM and isinstance(right, Constant)):
        return None
    if operator == "in":
        return max(right.value, default=None)
    if operator not in ("<", "<=", "=="):
        return None
    whole = right.value == right.value.to_integral_value()
    return Decimal(right.value) - 1 if operator == "<" and whole else Decimal(right.value)


CHECK = Check(CODE, find)
