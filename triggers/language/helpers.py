"""The helpers of expressions: how each may be called and what it gives."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from triggers.language import codes
from triggers.language.codes import Code
from triggers.language.document import shorten
from triggers.language.folding import fold
from triggers.language.names import CATALOGUE, DESKS, HELPERS, Type
from triggers.language.reader import suggest
from triggers.language.tree import Arithmetic, Call, Constant, Negative, Reference, Term

_NUMERIC: Final = ("money", "number")
_MOST_DIGITS: Final = 9
MOST_SLOTS: Final = 5
TODAY: Final = "today"
"""What an expression reads that depends on the day, beside the names of the catalogue."""
OF_THE_DAY: Final = frozenset({"days_until", "business_days_until"})


class ReadContext(Protocol):
    """What of a context helpers ask for."""

    @property
    def absent(self) -> Mapping[str, str]: ...
    @property
    def message(self) -> bool: ...


class Checker(Protocol):
    """The part of the checker that helpers need."""

    names: set[str]

    @property
    def context(self) -> ReadContext: ...
    def check(self, node: ast.expr, depth: int) -> Term: ...
    def number(self, node: ast.expr, depth: int) -> Term: ...
    def as_date(self, term: Term) -> Term: ...
    def mistake(self, code: Code, message: str, node: ast.expr) -> Term: ...
    def span(self, node: ast.expr) -> tuple[int, int]: ...


def read_call(checker: Checker, node: ast.Call, depth: int) -> Term:
    """A call, which must be one of a helper."""
    helper = node.func.id if isinstance(node.func, ast.Name) else None
    if helper is None:
        return checker.mistake(codes.NOT_ALLOWED, "only helpers can be called", node)
    read = _HELPERS.get(helper)
    if read is None:
        hint = suggest(helper, HELPERS) or f"; there are {', '.join(HELPERS)}"
        return checker.mistake(codes.BAD_CALL, f'unknown helper "{shorten(helper)}"{hint}', node)
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        return checker.mistake(codes.NOT_ALLOWED, f"{helper}: arguments have neither names nor stars", node)
    low, high = _COUNTS[helper]
    if not low <= len(node.args) <= high:
        count = str(low) if low == high else f"{low} to {high}"
        return checker.mistake(codes.BAD_CALL, f"{helper} takes {count} values, found {len(node.args)}", node)
    return read(checker, helper, node, depth)


def _extreme(checker: Checker, helper: str, node: ast.Call, depth: int) -> Term:
    terms = tuple(checker.check(argument, depth + 1) for argument in node.args)
    kinds = {term.type.kind for term in terms}
    if "any" in kinds:
        return _broken(checker, node)
    if not (kinds <= set(_NUMERIC) or kinds in ({"date"}, {"time"})):
        found = ", ".join(str(term.type) for term in terms)
        return checker.mistake(codes.TYPE_MISMATCH, f"{helper} compares numbers or dates, found {found}", node)
    first = Type("money") if "money" in kinds else terms[0].type
    whole = all(term.type.whole for term in terms)
    return _call(checker, helper, node, terms, replace(first, nullable=True, whole=whole))


def _absolute(checker: Checker, helper: str, node: ast.Call, depth: int) -> Term:
    term = checker.number(node.args[0], depth)
    return _call(checker, helper, node, (term,), term.type)


def _round(checker: Checker, helper: str, node: ast.Call, depth: int) -> Term:
    term = checker.number(node.args[0], depth)
    if len(node.args) == 1:
        return _call(checker, helper, node, (term,), term.type)
    digits = checker.check(node.args[1], depth + 1)
    good = isinstance(digits, Constant) and digits.type.kind == "number" and abs(digits.value) <= _MOST_DIGITS
    if not (good and digits.type.whole):
        message = f"round takes its number of decimals as a whole number from -{_MOST_DIGITS} to {_MOST_DIGITS}"
        return checker.mistake(codes.BAD_CALL, message, node.args[1])
    return _call(checker, helper, node, (term, digits), term.type)


def _days_until(checker: Checker, helper: str, node: ast.Call, depth: int) -> Term:
    term = checker.as_date(checker.check(node.args[0], depth + 1))
    if term.type.kind not in ("date", "any"):
        return checker.mistake(codes.TYPE_MISMATCH, f"{helper} takes a date, found {term.type}", node.args[0])
    begin, end = checker.span(node)
    checker.names.add(TODAY)
    return Call(Type("number", whole=True), begin, end, helper, (term,))  # not folded: it depends on the day


def _slots(checker: Checker, helper: str, node: ast.Call, depth: int) -> Term:
    if not checker.context.message:
        return checker.mistake(codes.NOT_HERE, "slots are offered in a message: they have no value here", node)
    begin, end = checker.span(node)
    count = checker.check(node.args[0], depth + 1)
    if not (isinstance(count, Constant) and count.type.whole and 1 <= count.value <= MOST_SLOTS):
        message = f"slots takes how many to offer, as a whole number from 1 to {MOST_SLOTS}"
        return checker.mistake(codes.BAD_CALL, message, node.args[0])
    if len(node.args) == 1:
        return Call(Type("texts", nullable=False), begin, end, helper, (count,))
    desk = checker.check(node.args[1], depth + 1)
    if not (isinstance(desk, Constant) and desk.type.kind == "text"):
        message = f"slots takes the desk as text, such as {DESKS[0]!r}".replace("'", '"')
        return checker.mistake(codes.BAD_CALL, message, node.args[1])
    if desk.value not in DESKS:
        hint = suggest(desk.value, DESKS) or f"; there are {', '.join(DESKS)}"
        return checker.mistake(codes.IMPOSSIBLE_VALUE, f'there is no desk "{shorten(desk.value)}"{hint}', node.args[1])
    return Call(Type("texts", nullable=False), begin, end, helper, (count, desk))


def _percent(checker: Checker, helper: str, node: ast.Call, depth: int) -> Term:
    part, whole = (checker.number(argument, depth) for argument in node.args)
    return _call(checker, helper, node, (part, whole), Type("number"))


def _crossed(checker: Checker, helper: str, node: ast.Call, depth: int) -> Term:
    now, level = (checker.number(argument, depth) for argument in node.args)
    if "any" in (now.type.kind, level.type.kind):
        return _broken(checker, node)
    read = [part for part in now.walk() if not isinstance(part, Constant | Arithmetic | Negative | Call)]
    stray = [part for part in read if not (isinstance(part, Reference) and part.name.part in ("customer", "account"))]
    if stray or not read:
        message = f"{helper} follows customer.* and account.* over the event; nothing else has a value before it"
        return checker.mistake(codes.BAD_CALL, message, node.args[0])
    reason = checker.context.absent.get("before")
    if reason is not None:
        return checker.mistake(codes.NOT_HERE, f"{helper} has no value here: {reason}", node)
    before = _before(now)
    checker.names.update(part.name.path for part in before.walk() if isinstance(part, Reference))
    begin, end = checker.span(node)
    return Call(Type("flag"), begin, end, helper, (before, now, level))


def _before(term: Term) -> Term:
    """The same term over the state before the event."""
    match term:
        case Reference():
            prefix = "before" if term.name.part == "customer" else "before.account"
            return replace(term, name=CATALOGUE[f"{prefix}.{term.name.attribute}"])
        case Arithmetic():
            return replace(term, left=_before(term.left), right=_before(term.right))
        case Negative():
            return replace(term, operand=_before(term.operand))
        case Call():
            return replace(term, arguments=tuple(_before(argument) for argument in term.arguments))
    return term


def _call(checker: Checker, helper: str, node: ast.Call, terms: tuple[Term, ...], kind: Type) -> Term:
    if any(term.type.kind == "any" for term in terms):
        return _broken(checker, node)
    begin, end = checker.span(node)
    return fold(Call(kind, begin, end, helper, terms))


def _broken(checker: Checker, node: ast.expr) -> Term:
    begin, end = checker.span(node)
    return Term(Type("any"), begin, end)


_Read = Callable[[Checker, str, ast.Call, int], Term]
_HELPERS: Final[Mapping[str, _Read]] = {
    "min": _extreme,
    "max": _extreme,
    "abs": _absolute,
    "round": _round,
    "days_until": _days_until,
    "business_days_until": _days_until,
    "slots": _slots,
    "percent": _percent,
    "crossed_above": _crossed,
    "crossed_below": _crossed,
}
_COUNTS: Final[Mapping[str, tuple[int, int]]] = {
    "min": (2, 10),
    "max": (2, 10),
    "abs": (1, 1),
    "round": (1, 2),
    "days_until": (1, 1),
    "business_days_until": (1, 1),
    "slots": (1, 2),
    "percent": (2, 2),
    "crossed_above": (2, 2),
    "crossed_below": (2, 2),
}

MEANING: Final[Mapping[str, tuple[str, str]]] = {
    "min": ("min(a, b, …)", "the least of two to ten values"),
    "max": ("max(a, b, …)", "the greatest of two to ten values"),
    "abs": ("abs(x)", "the value without its sign"),
    "round": ("round(x, 2)", "rounded to so many digits, half to even; to whole numbers without the second value"),
    "days_until": ("days_until(date)", "the days from today, in the bank's time zone; negative for a day that is over"),
    "business_days_until": ("business_days_until(date)", "the same in business days of the calendar"),
    "percent": ("percent(part, whole)", "the part in hundredths of the whole"),
    "crossed_above": ("crossed_above(x, edge)", "true where x was below the edge before the event and now is not"),
    "crossed_below": (
        "crossed_below(x, edge)",
        "true where x was not below the edge before the event and now is",
    ),
    "slots": ('slots(2), slots(2, "vip")', "in a message: the next free appointments, by the hours of the desks"),
}
"""How each helper is called, and what it gives."""
