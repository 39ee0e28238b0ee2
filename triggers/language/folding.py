"""What a part of an expression comes to without any event: constants are computed once, when the file is read."""

from __future__ import annotations

from triggers.engine.scope import Scope
from triggers.language.compiler import compile_term
from triggers.language.tree import Arithmetic, Call, Constant, Logic, Term


def fold(term: Term) -> Term:
    """A constant where every part is one. Not for ``days_until``: it depends on the day."""
    children = term.children()
    if children and all(isinstance(child, Constant) for child in children):
        return Constant(term.type, term.begin, term.end, compile_term(term)(Scope()))
    if _divides_by_zero(term):
        return Constant(term.type, term.begin, term.end, None)
    return term


def _divides_by_zero(term: Term) -> bool:
    """Whether it is unknown whatever is divided."""
    match term:
        case Arithmetic(operator="/", right=Constant(value=value)):
            return value is not None and value == 0
        case Call(helper="percent", arguments=(_, Constant(value=value))):
            return value is not None and value == 0
    return False


def fold_logic(term: Logic) -> Term:
    """A constant where the parts that are constant decide, whatever the others are."""
    decisive = term.operator == "or"
    if any(isinstance(part, Constant) and part.value is decisive for part in term.parts):
        return Constant(term.type, term.begin, term.end, decisive)
    if all(isinstance(part, Constant) for part in term.parts):
        return fold(term)
    return term
