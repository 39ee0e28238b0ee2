"""Expressions as texts for Hypothesis: over every name and helper, well typed or not, and damaged ones."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from tests.triggers.language.worlds import FEATURES
from triggers.language.names import CATALOGUE, HELPERS

NAMES = [*CATALOGUE, *FEATURES]
_BY_KIND: dict[str, list[str]] = {}
for _path in NAMES:
    _kind = FEATURES[_path].type.kind if _path in FEATURES else CATALOGUE[_path].type.kind
    _BY_KIND.setdefault(_kind, []).append(_path)

_ENUMS = {path: name.type.values for path, name in CATALOGUE.items() if name.type.kind == "enum"}
_digits = st.from_regex(r"(0|[1-9][0-9]{0,7})(\.[0-9]{1,5})?", fullmatch=True)
_texts = st.sampled_from(["vip", "x", "cash", "", "2026-03-02", "2026-02-30", "mid", "上海", "a b", "it's"])
_literals = st.one_of(
    _digits,
    _digits.map(lambda text: f"-{text}"),
    _texts.map(lambda text: f'"{text}"'),
    st.sampled_from(["true", "false", "True", "False"]),
    st.sampled_from([value for values in _ENUMS.values() for value in values]).map(lambda text: f'"{text}"'),
)
_lists = st.lists(_literals, max_size=5).map(lambda items: f"[{', '.join(items)}]")
_COMPARED = ["<", "<=", "==", "!=", ">", ">="]


def _calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(HELPERS), st.lists(inner, min_size=1, max_size=3)).map(
        lambda call: f"{call[0]}({', '.join(call[1])})"
    )


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(" ".join).map("({})".format),
        st.tuples(inner, st.sampled_from(_COMPARED), inner).map(" ".join).map("({})".format),
        st.tuples(inner, st.sampled_from(_COMPARED), inner, st.sampled_from(_COMPARED), inner)
        .map(" ".join)
        .map("({})".format),
        st.tuples(inner, st.sampled_from(["in", "not in"]), _lists | st.sampled_from(_BY_KIND["texts"]))
        .map(" ".join)
        .map("({})".format),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join).map("({})".format),
        inner.map("(not {})".format),
        inner.map("(-{})".format),
        _calls(inner),
    )


anything: st.SearchStrategy[str] = st.recursive(
    st.sampled_from(NAMES) | _literals | st.sampled_from(["product.nothing", "x", "event", "max"]),
    _grown,
    max_leaves=6,
)
"""Any expression of the grammar; few of them are well typed."""


def _compared(kind: str) -> st.SearchStrategy[str]:
    """Two names of a kind, or a name and a literal that is meant for it."""
    names = st.sampled_from(_BY_KIND[kind])
    literal = {
        "money": _digits,
        "number": _digits,
        "date": st.dates().map(lambda day: f'"{day.isoformat()}"'),
        "text": _texts.filter(lambda text: text.isascii()).map(lambda text: f'"{text}"'),
        "flag": st.sampled_from(["true", "false"]),
    }.get(kind, names)
    operators = st.sampled_from(["==", "!="] if kind in ("text", "flag") else _COMPARED)
    one = st.tuples(names, operators, names | literal) | st.tuples(literal, operators, names)
    several = st.tuples(names, st.sampled_from(["in", "not in"]), st.lists(literal, min_size=1, max_size=4)).map(
        lambda parts: (parts[0], parts[1], f"[{', '.join(parts[2])}]")
    )
    return (one if kind == "time" else one | several).map(" ".join).map("({})".format)


_of_enums = st.sampled_from(sorted(_ENUMS)).flatmap(
    lambda path: (
        st.tuples(
            st.just(path),
            st.sampled_from(["==", "!="]),
            st.sampled_from(_ENUMS[path]).map(lambda value: f'"{value}"'),
        )
        | st.tuples(
            st.just(path),
            st.sampled_from(["in", "not in"]),
            st.lists(st.sampled_from(_ENUMS[path]), min_size=1, max_size=3).map(
                lambda values: "[" + ", ".join(f'"{value}"' for value in values) + "]"
            ),
        )
    )
)
_extremes = st.tuples(
    st.sampled_from(["min", "max"]), st.sampled_from(["date", "time"]).flatmap(lambda kind: st.sampled_from([kind]))
).flatmap(
    lambda pair: st.lists(st.sampled_from(_BY_KIND[pair[1]]), min_size=2, max_size=3).map(
        lambda names: f"({pair[0]}({', '.join(names)}) == {names[0]})"
    )
)
_days = st.sampled_from([helper for helper in HELPERS if helper.endswith("days_until")])
_of_days = st.tuples(
    _days,
    st.sampled_from(_BY_KIND["date"]) | st.dates().map(lambda day: f'"{day.isoformat()}"'),
    st.sampled_from(_COMPARED),
    st.integers(-40, 40),
).map(lambda parts: f"({parts[0]}({parts[1]}) {parts[2]} {parts[3]})")
typed: st.SearchStrategy[str] = st.recursive(
    st.one_of(
        *(_compared(kind) for kind in ("money", "number", "date", "time", "text", "flag")),
        _of_enums.map(" ".join).map("({})".format),
        _texts.filter(str.isascii).flatmap(
            lambda text: st.sampled_from(_BY_KIND["texts"]).map(lambda name: f'("{text}" in {name})')
        ),
        _extremes,
        _of_days,
        st.sampled_from(_BY_KIND["flag"]),
    ),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " and ".join(parts) + ")")
        | st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " or ".join(parts) + ")")
        | inner.map("(not {})".format)
        | st.tuples(inner, st.sampled_from(["==", "!="]), inner).map(" ".join).map("({})".format)
    ),
    max_leaves=6,
)
"""Conditions over every name of the catalogue, of every kind."""


_FOREIGN: Sequence[Callable[[ast.expr], ast.expr]] = (
    lambda part: ast.Lambda(ast.arguments([], [], None, [], [], None, []), part),
    lambda part: ast.IfExp(part, part, part),
    lambda part: ast.Subscript(part, ast.Constant(0), ast.Load()),
    lambda part: ast.Tuple([part, part], ast.Load()),
    lambda part: ast.Set([part]),
    lambda part: ast.Dict([part], [part]),
    lambda part: ast.Starred(part, ast.Load()),
    lambda part: ast.ListComp(part, [ast.comprehension(ast.Name("n", ast.Store()), part, [part], 0)]),
    lambda part: ast.GeneratorExp(part, [ast.comprehension(ast.Name("n", ast.Store()), part, [], 0)]),
    lambda part: ast.Await(part),
    lambda part: ast.NamedExpr(ast.Name("n", ast.Store()), part),
    lambda part: ast.Attribute(part, "__class__", ast.Load()),
    lambda part: ast.Call(part, [part], [ast.keyword("key", part)]),
    lambda part: ast.BinOp(part, ast.Pow(), part),
    lambda part: ast.BinOp(part, ast.FloorDiv(), part),
    lambda part: ast.BinOp(part, ast.LShift(), part),
    lambda part: ast.UnaryOp(ast.Invert(), part),
    lambda part: ast.UnaryOp(ast.Not(), part),
    lambda part: ast.Compare(part, [ast.Is()], [part]),
    lambda part: ast.Compare(part, [ast.In()], [ast.List([part], ast.Load())]),
    lambda part: ast.JoinedStr([ast.FormattedValue(part, -1, None)]),
    *(lambda _, value=value: ast.Constant(value) for value in (None, ..., b"x", 1j, 10**40, 1e300)),
    lambda _: ast.Name("__builtins__", ast.Load()),
)
"""What Python has and the language has not, around or in place of a part."""


class _Graft(ast.NodeTransformer):
    """Puts something foreign at one part of a tree."""

    def __init__(self, choose: random.Random, at: int) -> None:
        self._choose, self._left = choose, at

    def visit(self, node: ast.AST) -> ast.AST:
        self._left -= 1
        if self._left == 0 and isinstance(node, ast.expr):
            return self._choose.choice(_FOREIGN)(node)
        return self.generic_visit(node)


@st.composite
def grafted(draw: st.DrawFn) -> str:
    """A sound condition with parts of Python's grammar that the language does not have."""
    text, choose = draw(typed), draw(st.randoms(use_true_random=False))
    try:
        tree = ast.parse(text, mode="eval")
        for _ in range(choose.randint(1, 2)):
            size = sum(1 for _ in ast.walk(tree))
            tree = _Graft(choose, choose.randint(2, size)).visit(tree)
        return ast.unparse(tree)
    except (AttributeError, TypeError, ValueError, RecursionError):
        return text  # a tree that Python itself cannot write


@st.composite
def scratched(draw: st.DrawFn) -> str:
    """A sound condition with characters dropped, doubled, swapped or replaced."""
    text = list(draw(typed))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(0, len(text) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                del text[at : at + 1]
            case 1:
                text[at:at] = text[at : at + 1]
            case 2:
                text[at : at + 2] = text[at : at + 2][::-1]
            case _:
                text[at : at + 1] = [draw(st.characters())]
    return "".join(text)
