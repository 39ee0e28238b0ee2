"""An expression after checking: a small typed tree. The compiler reads it; so do checks and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from triggers.language.names import Name, Type


@dataclass(frozen=True, slots=True)
class Term:
    """A part of an expression. ``begin`` and ``end`` are its place in the expression's text."""

    type: Type
    begin: int
    end: int

    def children(self) -> tuple[Term, ...]:
        return ()

    def walk(self) -> Iterator[Term]:
        yield self
        for child in self.children():
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Constant(Term):
    """A literal, or what a part without names comes to; ``None`` is unknown. A list is a tuple."""

    value: Any


@dataclass(frozen=True, slots=True)
class Reference(Term):
    """A name of the catalogue. ``only`` are the events that have it where other events may come as well."""

    name: Name
    only: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class FeatureReference(Term):
    """A feature of the trigger, by its index in the rule set."""

    name: str
    index: int


@dataclass(frozen=True, slots=True)
class Arithmetic(Term):
    """``+ - * /`` on two numbers."""

    operator: str
    left: Term
    right: Term

    def children(self) -> tuple[Term, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Negative(Term):
    """Unary minus."""

    operand: Term

    def children(self) -> tuple[Term, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Comparison(Term):
    """One comparison: ``== != < <= > >= in``, ``not in``. A chain is an ``and`` of these."""

    operator: str
    left: Term
    right: Term

    def children(self) -> tuple[Term, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Logic(Term):
    """``and`` or ``or`` of two or more flags, three-valued. ``chain`` marks a chained comparison."""

    operator: str
    parts: tuple[Term, ...]
    chain: bool = False

    def children(self) -> tuple[Term, ...]:
        return self.parts


@dataclass(frozen=True, slots=True)
class Not(Term):
    operand: Term

    def children(self) -> tuple[Term, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Call(Term):
    """A helper. For ``crossed_above`` and ``crossed_below`` the arguments are: value before, value now, level."""

    helper: str
    arguments: tuple[Term, ...]

    def children(self) -> tuple[Term, ...]:
        return self.arguments
