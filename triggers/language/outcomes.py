"""What must hold of the names for a condition to be true, and what for it to be false, as far as that can be told.

It errs on one side only: where an outcome is said to be impossible, no values of the names give it. Unknown values
give neither outcome, so they need no looking at: a comparison that is true or false had a value on both sides.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import Final, Literal, NamedTuple, cast

from schemas.base import MONEY_LIMIT
from triggers.language.domains import NOT_NEGATIVE, Choices, Domain, Ranges, compared
from triggers.language.folding import fold_logic
from triggers.language.names import NEVER_NEGATIVE, Type
from triggers.language.tree import (
    Arithmetic,
    Call,
    Comparison,
    Constant,
    FeatureReference,
    Logic,
    Negative,
    Not,
    Reference,
    Term,
)

Facts = Mapping[Hashable, Domain]
"""What is known of each part of an expression, by ``key_of``; a part that is not there may have any value."""

_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDERED: Final = ("money", "number", "date", "time")
_ORDERS: Final[Mapping[str, frozenset[int]]] = {
    "<": frozenset({-1}),
    "<=": frozenset({-1, 0}),
    "==": frozenset({0}),
    "!=": frozenset({-1, 1}),
    ">": frozenset({1}),
    ">=": frozenset({0, 1}),
}
_ANY_ORDER: Final = Choices(frozenset({-1, 0, 1}))
_MONEY: Final = Ranges(begins=False, cuts=((Decimal(-MONEY_LIMIT), 1), (Decimal(MONEY_LIMIT), 0)))
"""What the schemas take as one amount; a total of several may be more."""
_EITHER: Final = Choices(frozenset({True, False}))


class Outcomes(NamedTuple):
    """The facts behind each outcome; ``None`` where it cannot be."""

    true: Facts | None
    false: Facts | None


def outcomes(term: Term) -> Outcomes:
    """Both outcomes of a condition."""
    match term:
        case Constant():
            return Outcomes({} if term.value is True else None, {} if term.value is False else None)
        case Not():
            found = outcomes(term.operand)
            return Outcomes(found.false, found.true)
        case Logic():
            parts = [outcomes(part) for part in term.parts]
            true, false = [part.true for part in parts], [part.false for part in parts]
            if term.operator == "and":
                return Outcomes(all_of(true), _one_of(false))
            return Outcomes(_one_of(true), all_of(false))
        case Comparison():
            return _comparison(term)
        case Call(helper="crossed_above" | "crossed_below"):
            return _crossing(term)
    return _split(key_of(term), Choices(frozenset({True})), _EITHER)


def all_of(facts: Iterable[Facts | None]) -> Facts | None:
    """What holds where all of these do."""
    return reduce(_both, facts, cast("Facts | None", {}))


def key_of(term: Term) -> Hashable:
    """The same for terms that always have the same value."""
    match term:
        case Constant():
            return ("constant", term.value)
        case Reference():
            return term.name.path
        case FeatureReference():
            return term.name
        case Arithmetic():
            return (term.operator, key_of(term.left), key_of(term.right))
        case Negative():
            return ("-", key_of(term.operand))
        case Comparison():
            return (term.operator, key_of(term.left), key_of(term.right))
        case Not():
            return ("not", key_of(term.operand))
        case Logic():
            return (term.operator, *map(key_of, term.parts))
        case Call():
            return (term.helper, *map(key_of, term.arguments))
    return ("at", term.begin, term.end)


def _both(one: Facts | None, other: Facts | None) -> Facts | None:
    if one is None or other is None:
        return None
    met = dict(one)
    for key, domain in other.items():
        met[key] = _met(met[key], domain) if key in met else domain
        if met[key].empty:
            return None
    return met


def _one_of(facts: Iterable[Facts | None]) -> Facts | None:
    """What holds where at least one of these does."""
    possible = [fact for fact in facts if fact is not None]
    if not possible:
        return None
    shared = set(possible[0]).intersection(*possible[1:])
    return {key: reduce(_joined, (fact[key] for fact in possible)) for key in shared}


def _met(one: Domain, other: Domain) -> Domain:
    if isinstance(one, Ranges) and isinstance(other, Ranges):
        return one.meet(other)
    if isinstance(one, Choices) and isinstance(other, Choices):
        return one.meet(other)
    return one  # one part compared as two kinds cannot be; the first is as true as both


def _joined(one: Domain, other: Domain) -> Domain:
    if isinstance(one, Ranges) and isinstance(other, Ranges):
        return one.join(other)
    if isinstance(one, Choices) and isinstance(other, Choices):
        return one.join(other)
    return Choices(frozenset(), others=True)


def _split(key: Hashable, true: Domain, every: Domain) -> Outcomes:
    """A part that is in ``true`` where the condition is, and in the rest of ``every`` where it is not."""
    inside, outside = _met(every, true), _met(every, true.rest())
    return Outcomes(None if inside.empty else {key: inside}, None if outside.empty else {key: outside})


def _comparison(term: Comparison) -> Outcomes:
    left, operator, right = term.left, term.operator, term.right
    if isinstance(left, Constant) and not isinstance(right, Constant) and operator in _ORDERS:
        left, operator, right = right, _TURNED.get(operator, operator), left
    if isinstance(right, Constant):
        return _with_constant(left, operator, right)
    if operator in ("in", "not in"):
        found = _split(("in", key_of(left), key_of(right)), Choices(frozenset({True})), _EITHER)
        return found if operator == "in" else Outcomes(found.false, found.true)
    one, other = key_of(left), key_of(right)
    orders = _ORDERS[operator]
    if one == other:
        return Outcomes({} if 0 in orders else None, None if 0 in orders else {})
    if repr(one) > repr(other):  # one way round, so that a < b and b < a meet
        one, other, orders = other, one, frozenset(-order for order in orders)
    return _split(("order", one, other), Choices(orders), _ANY_ORDER)


def _with_constant(left: Term, operator: str, right: Constant) -> Outcomes:
    if right.value is None or isinstance(left, Constant):
        return Outcomes(None, None) if right.value is None else Outcomes({}, {})
    every = _every(left)
    values = right.value if isinstance(right.value, tuple) else (right.value,)
    if isinstance(every, Choices):
        true: Domain = Choices(frozenset(values))
    elif operator in _ORDERS and operator not in ("==", "!="):
        return _split(key_of(left), _of_type(compared(operator, right.value), left.type), every)
    else:
        true = reduce(Ranges.join, (compared("==", value) for value in values), Ranges(begins=False))
        true = _of_type(true, left.type)
    found = _split(key_of(left), true, every)
    return found if operator in ("==", "in") else Outcomes(found.false, found.true)


def _crossing(term: Call) -> Outcomes:
    """A crossing is not only a fact of its own: it says on which side of the level the value was and is."""
    before, now, level = term.arguments
    found = _split(key_of(term), Choices(frozenset({True})), _EITHER)
    sides = ("<", ">=") if term.helper == "crossed_above" else (">=", "<")
    implied = [
        outcomes(Comparison(term.type, term.begin, term.end, side, value, level)).true
        for side, value in zip(sides, (before, now), strict=True)
    ]
    return Outcomes(all_of([found.true, *implied]), found.false)


def _every(term: Term) -> Domain:
    """All values that a part can have."""
    kind = term.type
    if kind.kind == "enum":
        return Choices(frozenset(kind.values))
    if kind.kind == "flag":
        return _EITHER
    if kind.kind not in _ORDERED:
        return Choices(frozenset(), others=True)
    positive = isinstance(term, Reference) and term.name.path in NEVER_NEGATIVE
    positive = positive or (isinstance(term, Call) and term.helper == "abs")
    every = NOT_NEGATIVE if positive else Ranges(begins=True)
    if kind.kind == "money" and isinstance(term, Reference) and term.name.part in ("event", "product"):
        return every.meet(_MONEY)
    return every


def _of_type(ranges: Ranges, kind: Type) -> Ranges:
    return ranges.whole() if kind.whole else ranges


Kind = Literal["constant", "never true", "always true", "never false", "contradiction"]


class Finding(NamedTuple):
    """A part of a condition that decides nothing. ``other`` is what it contradicts, where one part alone does."""

    kind: Kind
    term: Term
    other: Term | None = None


def idle_parts(term: Term, given: Facts | None = None) -> Iterator[Finding]:
    """The smallest parts of a condition that have one outcome only. ``given`` is what holds in any case."""
    if isinstance(term, Logic) and term.operator == "or":
        term = fold_logic(term)
    if isinstance(term, Constant):
        yield Finding("constant", term)
        return
    inner = [found for part in _flags_in(term) for found in idle_parts(part)]
    if any(found.kind != "never false" for found in inner):
        yield from inner
        return
    own = list(_idle(term, given or {}))
    yield from own if own and own[0].kind != "never false" else inner or own


def _idle(term: Term, given: Facts) -> Iterator[Finding]:
    """What is to be said of a term as a whole, all its parts being sound."""
    found = outcomes(term)
    if isinstance(term, Logic) and term.operator == "and":
        yield from _contradictions(term.parts, given)
    elif _both(given, found.true) is None:
        yield Finding("never true", term)
    elif found.false is None:
        yield Finding("never false" if _can_be_unknown(term) else "always true", term)


def _flags_in(term: Term) -> tuple[Term, ...]:
    return term.children() if isinstance(term, Logic | Not) else ()


def _contradictions(parts: Sequence[Term], given: Facts) -> Iterator[Finding]:
    """The first part that cannot be true where those before it are."""
    so_far: Facts | None = given
    for position, part in enumerate(parts):
        true = outcomes(part).true
        so_far = _both(so_far, true)
        if so_far is None:
            alone = (other for other in parts[:position] if _both(outcomes(other).true, true) is None)
            kind: Kind = "contradiction" if _both(given, true) is not None else "never true"
            yield Finding(kind, part, next(alone, None))
            return


def _can_be_unknown(term: Term) -> bool:
    for part in term.walk():
        match part:
            case Reference(name=name):
                if name.part != "customer" or part.type.nullable:
                    return True
            case FeatureReference():
                if part.type.nullable:
                    return True
            case Arithmetic(operator="/") | Call(helper="percent" | "round") | Constant(value=None):
                return True
    return False
