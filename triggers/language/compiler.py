"""A checked tree → a Python function over a ``Scope``, with three-valued logic; ``None`` is unknown.

The code is built as Python's own syntax tree, from names of the catalogue and from constants: nothing an author
wrote gets into it as text, and it runs without builtins. Two versions are made: one that relies on every part of
the scope that it reads being there, and, when one is not, a careful one that takes its fields for unknown.

Numbers go through a context of 34 digits without traps: of finite values only a division by zero and a rounding
out of range have no result, and both are guarded.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

from triggers.language.model import Evaluate
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

if TYPE_CHECKING:
    from triggers.engine.scope import Scope

NUMBERS: Final = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])

PARTS: Final[Mapping[str, str]] = {
    "event": "e",
    "customer": "c",
    "account": "a",
    "product": "p",
    "before": "b",
    "before_account": "ba",
    "offer": "o",
    "action": "x",
}
"""The parts of the scope, each with the local that holds it in a compiled function."""


def _round(value: Decimal | int, unit: Decimal) -> Decimal | None:
    rounded = NUMBERS.quantize(value, unit)
    return None if rounded.is_nan() else rounded


_RUNTIME: Final[Mapping[str, Any]] = {
    "__builtins__": {},
    "_add": NUMBERS.add,
    "_sub": NUMBERS.subtract,
    "_mul": NUMBERS.multiply,
    "_div": NUMBERS.divide,
    "_minus": NUMBERS.minus,
    "_abs": NUMBERS.abs,
    "_min": min,
    "_max": max,
    "_round": _round,
    "_hundred": Decimal(100),
}
_OPERATIONS: Final[Mapping[str, str]] = {"+": "_add", "-": "_sub", "*": "_mul", "/": "_div"}
_COMPARISONS: Final[Mapping[str, type[ast.cmpop]]] = {
    "==": ast.Eq,
    "!=": ast.NotEq,
    "<": ast.Lt,
    "<=": ast.LtE,
    ">": ast.Gt,
    ">=": ast.GtE,
    "in": ast.In,
    "not in": ast.NotIn,
}
_NONE: Final = ast.Constant(None)


def compile_term(term: Term) -> Evaluate:
    """The function of a term. It raises for no scope that holds values of the catalogue's types.

    Its code is written at its first call: most terms are never run alone but as a part of a larger function, or, by
    ``check``, not at all. From then on it is the function itself, at no cost for having waited.
    """

    def write_code(scope: Scope) -> Any:
        written = _written(term)
        del evaluate.__globals__["write_code"]  # with it the cycle of function and writer
        evaluate.__globals__.update(written.__globals__)
        evaluate.__code__ = written.__code__
        return evaluate(scope)

    evaluate = FunctionType(_UNWRITTEN, {"__builtins__": {}, "write_code": write_code}, "evaluate")
    return with_term(evaluate, term)


def _written(term: Term) -> FunctionType:
    careful: Evaluate | None = None

    def when_a_part_is_missing(scope: Scope) -> Any:
        nonlocal careful
        if careful is None:
            careful = _build(term, None)
        return careful(scope)

    return _build(term, when_a_part_is_missing)


def _unwritten(s: Scope) -> Any:
    return write_code(s)  # type: ignore[name-defined]  # noqa: F821  in the globals of each function


_UNWRITTEN: Final = _unwritten.__code__


def with_term(evaluate: Evaluate, term: Term) -> Evaluate:
    """The function, which says from now on what term it is of: so the two cannot drift apart."""
    vars(evaluate)["term"] = term
    return evaluate


def term_of(evaluate: Evaluate) -> Term | None:
    """The term that a function was compiled from; ``None`` where it is Python's own."""
    term: Term | None = getattr(evaluate, "term", None)
    return term


def _build(term: Term, fallback: Callable[[Scope], Any] | None) -> FunctionType:
    generator = Generator(careful=fallback is None)
    body = generator.body(term)
    function = ast.FunctionDef(
        name="evaluate",
        args=ast.arguments(posonlyargs=[], args=[ast.arg("s")], kwonlyargs=[], kw_defaults=[], defaults=[]),
        body=[*generator.bindings(), *body],
        decorator_list=[],
    )
    return build_function(function, {**generator.constants, "_careful": fallback})


def build_function(definition: ast.FunctionDef, constants: Mapping[str, Any]) -> FunctionType:
    """A function that sees nothing but its arguments, these constants and what terms need to run."""
    module = ast.Module(body=[definition], type_ignores=[])
    _place(module)
    code = compile(module, f"<{'expression' if definition.name == 'evaluate' else definition.name}>", "exec")
    inner = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return FunctionType(inner, {**_RUNTIME, **constants})


def _place(module: ast.Module) -> None:
    """Gives every node the position that ``compile`` wants: ``ast.fix_missing_locations`` takes three times as long."""
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        node.lineno, node.col_offset = 1, 0  # type: ignore[attr-defined]  # those that have none are not asked for it
        for name in node._fields:
            value = getattr(node, name)
            if isinstance(value, ast.AST):
                waiting.append(value)
            elif type(value) is list:
                waiting += value


@dataclass(slots=True)
class Generator:
    """Builds one function. ``loaded`` maps a name to the local that surely holds it where code is being added.

    Where it is not ``careful``, all parts but those in ``doubtful`` are there. ``record_type`` is the event's kind
    where that is known.
    """

    careful: bool
    doubtful: frozenset[str] = frozenset()
    record_type: str | None = None
    constants: dict[str, Any] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)
    loaded: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def body(self, term: Term) -> list[ast.stmt]:
        if isinstance(term, Logic) and term.operator == "and":
            return self._conjunction(term)
        if isinstance(term, Logic | Not):
            return [ast.Return(self._three_valued(term)[0])]
        guards, value = self._strict(term, {})
        unknown: list[ast.stmt] = [ast.If(_any_of(guards), [ast.Return(_NONE)], [])] if guards else []
        return [*unknown, ast.Return(value)]

    def bindings(self) -> list[ast.stmt]:
        """Reads the parts of the scope once; a missing one hands over to the careful version."""
        wanted = self.parts | ({"before"} if "before_account" in self.parts else set())
        statements: list[ast.stmt] = []
        for part, local in PARTS.items():
            if part not in wanted:
                continue
            source: ast.expr = _field(_name("s"), part)
            if part == "before_account":
                source = _field(_name("b"), "account")
                if self.careful:
                    source = ast.IfExp(_is(_name("b"), None), _NONE, source)
            statements.append(ast.Assign([ast.Name(local, ast.Store())], source))
            if not self.careful and part != "before_account":
                hand_over = ast.Return(_call("_careful", _name("s")))
                statements.append(ast.If(_is(_name(local), None), [hand_over], []))
        return statements

    def _conjunction(self, term: Logic) -> list[ast.stmt]:
        """``and`` at the top: returns at the first false part; a name that a part surely loaded is not loaded again."""
        statements: list[ast.stmt] = []
        unknowns: list[ast.expr] = []
        for part in term.parts:
            value, nullable = self._three_valued(part, top=True)
            if not nullable:
                statements.append(ast.If(ast.UnaryOp(ast.Not(), value), [ast.Return(ast.Constant(False))], []))
                continue
            local = self._local()
            statements.append(ast.Assign([ast.Name(local, ast.Store())], value))
            statements.append(ast.If(_is(_name(local), False), [ast.Return(ast.Constant(False))], []))
            unknowns.append(_is(_name(local), None))
        if unknowns:
            statements.append(ast.If(_any_of(unknowns), [ast.Return(_NONE)], []))
        return [*statements, ast.Return(ast.Constant(True))]

    def _three_valued(self, term: Term, *, top: bool = False) -> tuple[ast.expr, bool]:
        """A flag as one expression, and whether it can be unknown."""
        if isinstance(term, Not):
            value, nullable = self._three_valued(term.operand)
            if not nullable:
                return ast.UnaryOp(ast.Not(), value), False
            bound, local = self._bind(value)
            return ast.IfExp(_is(bound, None), _NONE, ast.UnaryOp(ast.Not(), local)), True
        if isinstance(term, Logic):
            return self._fold([self._three_valued(part) for part in term.parts], term.operator)
        guards, value = self._strict(term, {}, top=top)
        if not guards:
            return value, False
        return ast.IfExp(_any_of(guards), _NONE, value), True

    def _fold(self, parts: list[tuple[ast.expr, bool]], operator: str) -> tuple[ast.expr, bool]:
        """Kleene's ``and`` or ``or``, halved so that the code stays flat however many parts there are."""
        if len(parts) == 1:
            return parts[0]
        middle = len(parts) // 2
        (left, left_nullable) = self._fold(parts[:middle], operator)
        (right, right_nullable) = self._fold(parts[middle:], operator)
        if not left_nullable:
            return ast.BoolOp(ast.And() if operator == "and" else ast.Or(), [left, right]), right_nullable
        decisive = operator == "or"
        bound_left, left_local = self._bind(left)
        bound_right, right_local = self._bind(right)
        either = ast.IfExp(_is(bound_right, not decisive), left_local, right_local)
        return ast.IfExp(_is(bound_left, decisive), ast.Constant(decisive), either), True

    def _strict(self, term: Term, seen: dict[str, str], *, top: bool = False) -> tuple[list[ast.expr], ast.expr]:
        """A term that is unknown where any part is: the guards, of which one true makes it unknown, and the value.

        The value holds only after all guards were false, in order. ``seen`` are the names loaded by them so far.
        """
        match term:
            case Constant():
                return ([ast.Constant(True)] if term.value is None else []), self._constant(term.value)
            case Reference():
                return self._reference(term, seen, top=top)
            case FeatureReference():
                load = self.feature(term.index)
                nullable = term.type.nullable or self.rereads(term.index)
                return self._load(term.name, load, [], seen, nullable=nullable, top=top)
            case Arithmetic():
                return self._arithmetic(term, seen, top=top)
            case Negative():
                guards, value = self._strict(term.operand, seen, top=top)
                return guards, _call("_minus", value)
            case Comparison():
                return self._comparison(term, seen, top=top)
            case Call():
                return self._helper(term, seen, top=top)
        value, nullable = self._three_valued(term)
        if not nullable:
            return [], value
        bound, local = self._bind(value)
        return [_is(bound, None)], local

    def feature(self, index: int) -> ast.expr:
        """Reads a feature."""
        return ast.Call(_field(_name("s"), "feature"), [ast.Constant(index)], [])

    def rereads(self, _index: int) -> bool:
        """Whether a feature that is always known is kept in a local as well, because it is read again."""
        return False

    def holds(self, term: Term, known: dict[str, str]) -> ast.expr:
        """An expression that Python takes for true where the term is true, and only there.

        ``known`` are the names that are loaded, and have a value, where it is evaluated; those that it loads are added,
        for what is evaluated only where it is true.
        """
        if isinstance(term, Not):
            inner, nullable = self._three_valued(term.operand)
            return _is(inner, False) if nullable else ast.UnaryOp(ast.Not(), inner)
        if isinstance(term, Logic) and term.operator == "and":
            return ast.BoolOp(ast.And(), [self.holds(part, known) for part in term.parts])
        if isinstance(term, Logic):
            return ast.BoolOp(ast.Or(), [self.holds(part, dict(known)) for part in term.parts])
        guards, value = self._strict(term, known)
        return ast.BoolOp(ast.And(), [ast.UnaryOp(ast.Not(), _any_of(guards)), value]) if guards else value

    def _reference(self, term: Reference, seen: dict[str, str], *, top: bool) -> tuple[list[ast.expr], ast.expr]:
        part = term.name.part
        self.parts.add(part)
        holder = PARTS[part]
        before: list[ast.expr] = []
        if self.careful or part == "before_account" or part in self.doubtful:
            before.append(_is(_name(holder), None))
        if term.only is not None and self.record_type is not None:
            before += [] if self.record_type in term.only else [ast.Constant(True)]
        elif term.only is not None:
            allowed = self.keep(term.only)
            before.append(ast.Compare(_field(_name(holder), "record_type"), [ast.NotIn()], [allowed]))
        load: ast.expr = _field(_name(holder), term.name.attribute)
        if term.name.key:
            load = ast.Call(_field(load, "get"), [ast.Constant(term.name.key)], [])
        return self._load(term.name.path, load, before, seen, nullable=term.type.nullable, top=top)

    def _load(
        self, key: str, load: ast.expr, before: list[ast.expr], seen: dict[str, str], *, nullable: bool, top: bool
    ) -> tuple[list[ast.expr], ast.expr]:
        if key in seen:
            return [], _name(seen[key])
        if key in self.loaded:
            seen[key] = self.loaded[key]
            return [_is(_name(seen[key]), None)], _name(seen[key])
        if not nullable:
            return before, load
        sure = top and not seen and not before
        bound, local = self._bind(load)
        seen[key] = local.id
        if sure:
            self.loaded[key] = local.id
        return [*before, _is(bound, None)], local

    def _arithmetic(self, term: Arithmetic, seen: dict[str, str], *, top: bool) -> tuple[list[ast.expr], ast.expr]:
        guards, left = self._strict(term.left, seen, top=top)
        more, right = self._strict(term.right, seen, top=top and not guards)
        guards = [*guards, *more]
        if term.operator == "/":
            right = self._divisor(term.right, right, guards)
        return guards, _call(_OPERATIONS[term.operator], left, right)

    def _divisor(self, term: Term, value: ast.expr, guards: list[ast.expr]) -> ast.expr:
        """A divisor that is not zero: guarded where it is not a constant."""
        if isinstance(term, Constant) and term.value:
            return value
        bound, local = self._bind(value)
        guards.append(ast.UnaryOp(ast.Not(), bound))
        return local

    def _comparison(self, term: Comparison, seen: dict[str, str], *, top: bool) -> tuple[list[ast.expr], ast.expr]:
        guards, left = self._strict(term.left, seen, top=top)
        if isinstance(term.right, Constant) and isinstance(term.right.value, tuple):
            right: ast.expr = self.keep(frozenset(term.right.value))
        elif isinstance(term.right, Constant) and term.left.type.whole and term.right.type.whole:
            right = ast.Constant(int(term.right.value))  # whole numbers compare faster with an int
        else:
            more, right = self._strict(term.right, seen, top=top and not guards)
            guards = [*guards, *more]
        return guards, ast.Compare(left, [_COMPARISONS[term.operator]()], [right])

    def _helper(self, term: Call, seen: dict[str, str], *, top: bool) -> tuple[list[ast.expr], ast.expr]:
        guards: list[ast.expr] = []
        values: list[ast.expr] = []
        for argument in term.arguments:
            more, value = self._strict(argument, seen, top=top and not guards)
            guards += more
            values.append(value)
        match term.helper:
            case "min" | "max" | "abs":
                return guards, _call(f"_{term.helper}", *values)
            case "days_until":
                today = ast.Call(_field(_name("s"), "today"), [], [])
                return guards, _field(ast.BinOp(values[0], ast.Sub(), today), "days")
            case "business_days_until":
                return guards, ast.Call(_field(_name("s"), "business_days_until"), values, [])
            case "slots":
                count, *desk = (ast.Constant(_plain_constant(argument)) for argument in term.arguments)
                arguments: list[ast.expr] = [count, *(desk or [_NONE])]
                return guards, ast.Call(_field(_name("s"), "slots"), arguments, [])
            case "percent":
                divisor = self._divisor(term.arguments[1], values[1], guards)
                return guards, _call("_div", _call("_mul", _name("_hundred"), values[0]), divisor)
            case "round":
                digits = term.arguments[1] if len(term.arguments) == 2 else None
                places = int(digits.value) if isinstance(digits, Constant) else 0
                bound, local = self._bind(_call("_round", values[0], self.keep(Decimal(1).scaleb(-places))))
                return [*guards, _is(bound, None)], local
            case "crossed_above":
                return guards, ast.Compare(values[0], [ast.Lt(), ast.LtE()], [values[2], values[1]])
            case _:
                return guards, ast.Compare(values[0], [ast.GtE(), ast.Gt()], [values[2], values[1]])

    def _constant(self, value: Any) -> ast.expr:
        return ast.Constant(value) if value is None or isinstance(value, bool | str) else self.keep(value)

    def keep(self, value: Any) -> ast.Name:
        """A constant that Python has no literal for, under a name of its own."""
        key = f"k{len(self.constants)}"
        self.constants[key] = value
        return _name(key)

    def _bind(self, value: ast.expr) -> tuple[ast.expr, ast.Name]:
        local = self._local()
        return ast.NamedExpr(ast.Name(local, ast.Store()), value), _name(local)

    def _local(self) -> str:
        self.count += 1
        return f"v{self.count}"


def _plain_constant(term: Term) -> int | str:
    """The value of a helper's argument that must be a literal: a count or a text."""
    assert isinstance(term, Constant)
    return term.value if isinstance(term.value, str) else int(term.value)


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _field(value: ast.expr, attribute: str) -> ast.expr:
    return ast.Attribute(value, attribute, ast.Load())


def _call(function: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(_name(function), list(arguments), [])


def _is(value: ast.expr, constant: bool | None) -> ast.expr:
    return ast.Compare(value, [ast.Is()], [ast.Constant(constant)])


def _any_of(guards: list[ast.expr]) -> ast.expr:
    return guards[0] if len(guards) == 1 else ast.BoolOp(ast.Or(), guards)
