"""What functions made of many expressions have in common: how they read the scope and the features."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from triggers.engine.windows import Window
from triggers.language.compiler import PARTS, Generator, build_function, term_of
from triggers.language.model import Expression
from triggers.language.tree import FeatureReference, Logic, Not, Term

UNREAD: Final = object()
"""In a local: nothing has read the feature yet."""


@dataclass(slots=True)
class FusedGenerator(Generator):
    """Writes the expressions of several readers (triggers, tags) into one function, which sees ``held`` (the customer's
    series) and ``at`` (the moment, in ms).

    ``readers`` counts those that read a feature: what several read is read once, by the first of them to ask.
    """

    windows: Sequence[Window | None] = ()
    readers: Counter[int] = field(default_factory=Counter)
    reads: Counter[int] = field(default_factory=Counter)
    """How often the reader whose expressions are being written reads each feature."""
    shared: set[int] = field(default_factory=set)

    def begin_reader(self, expressions: Sequence[Expression]) -> None:
        """From here on the expressions of another reader are written."""
        self.reads = Counter(features_of(expressions))

    def rereads(self, index: int) -> bool:
        return self.reads[index] > 1

    def feature(self, index: int) -> ast.expr:
        window = self.windows[index]
        if window is None:
            return super(FusedGenerator, self).feature(index)  # what knows its slots is another class than this one
        value = ast.Call(self.keep(window), [ast.Name("held", ast.Load()), ast.Name("at", ast.Load())], [])
        if self.readers[index] < 2:
            return value
        self.shared.add(index)
        local = f"f{index}"
        unread = ast.Compare(ast.Name(local, ast.Load()), [ast.Is()], [ast.Name("UNREAD", ast.Load())])
        return ast.IfExp(unread, ast.NamedExpr(ast.Name(local, ast.Store()), value), ast.Name(local, ast.Load()))

    def holds_of(self, expression: Expression, known: dict[str, str]) -> ast.expr:
        """What Python takes for true where a condition is true; one that is Python's own is called."""
        term = term_of(expression.evaluate)
        if term is not None:
            return self.holds(term, known)
        return ast.parse(f"{self.keep(expression.evaluate).id}(s) is True", mode="eval").body

    def inlined(self, term: Term, known: dict[str, str]) -> ast.expr:
        """The value of a term as one expression. ``known`` are names with a value, as for ``holds``."""
        if isinstance(term, Logic | Not):
            return self._three_valued(term)[0]
        guards, value = self._strict(term, dict(known))
        if not guards:
            return value
        unknown = guards[0] if len(guards) == 1 else ast.BoolOp(ast.Or(), guards)
        return ast.IfExp(unknown, ast.Constant(None), value)

    def value_of(self, expression: Expression) -> ast.expr:
        """The value of an expression; of a feature by itself, as most measures are, without a call more."""
        term = term_of(expression.evaluate)
        if isinstance(term, FeatureReference):
            return self.feature(term.index)
        return ast.Call(self.keep(expression.evaluate), [ast.Name("s", ast.Load())], [])

    def prologue(self) -> list[ast.stmt]:
        """Reads the parts of the scope that something asks for; stands before everything else."""
        lines = []
        for part, local in PARTS.items():
            if part == "before_account" and part in self.parts:
                lines.append(f"{local} = None if b is None else b.account")
            elif part in self.parts or (part == "before" and "before_account" in self.parts):
                lines.append(f"{local} = s.{part}")
        lines += [f"f{index} = UNREAD" for index in sorted(self.shared)]
        return statements("\n".join(lines))

    def all_constants(self) -> Mapping[str, Any]:
        """What the function needs to run."""
        return {**self.constants, "UNREAD": UNREAD}


def generator_for(
    readers: Iterable[Sequence[Expression]], windows: Sequence[Window | None], sure: frozenset[str], kind: str | None
) -> FusedGenerator:
    """A generator for these readers, of a scope whose parts ``sure`` are there; ``kind`` is that of the event."""
    counted = Counter(index for expressions in readers for index in set(features_of(expressions)))
    doubtful = frozenset(PARTS) - sure
    return FusedGenerator(careful=False, doubtful=doubtful, record_type=kind, windows=windows, readers=counted)


def features_of(expressions: Iterable[Expression]) -> list[int]:
    """The features that expressions read, as often as they stand there."""
    terms: list[Term | None] = [term_of(expression.evaluate) for expression in expressions]
    return [
        part.index for term in terms if term is not None for part in term.walk() if isinstance(part, FeatureReference)
    ]


def copier(attributes: Sequence[str]) -> Callable[[Any, Any], None]:
    """A function that copies these attributes to its first argument from its second."""
    if not all(map(str.isidentifier, attributes)):
        raise ValueError(f"no names of attributes: {attributes}")
    lines = [f"    to.{name} = origin.{name}" for name in attributes]
    definition = statements("\n".join(["def copy(to, origin):", *lines, "    return None"]))[0]
    assert isinstance(definition, ast.FunctionDef)
    return build_function(definition, {})


def statements(text: str) -> list[ast.stmt]:
    """Python's own syntax tree of a text."""
    return ast.parse(text).body


def text_of_function(definition: ast.FunctionDef, constants: Mapping[str, Any]) -> str:
    """A function as it may be read; ``k0``, ``k1`` … are explained under it."""
    known = "\n".join(f"# {name}: {_title(value)}" for name, value in constants.items())
    return f"{ast.unparse(ast.fix_missing_locations(definition))}\n{known}\n"


def _title(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(map(str, map(_title, value)))
    if callable(value):
        return value.__qualname__.partition(".")[0]
    return getattr(value, "id", None) or getattr(value, "name", value)
