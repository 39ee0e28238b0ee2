"""A look at tiers and tags as one Python function: a bank's twenty tags are looked at for every event and timer.

Mostly none of them changes. So a step that would leave its tier or tag as it is costs a comparison, and what several
tags read of the windows is read once. The order and the outcome are those of ``derived``, tag by tag: what a tag reads
of the tiers and tags above it is what they have just become.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from triggers.engine.fused import FusedGenerator, generator_for, statements, text_of_function
from triggers.engine.windows import Window
from triggers.language.compiler import build_function
from triggers.language.model import Tag, Tiering
from triggers.language.vocabulary import MAIN_TIERING

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

Steps = Mapping[str, Callable[..., Any]]
"""What the function does where something may have changed: ``set_tier``, ``set_tag`` and ``broken``."""
Look = Callable[["Evaluation", Any, Any, int, Any, int, str], list[Any]]
"""Takes the evaluation, its scope, the customer's series, the moment (ms), the tier before the event, the event's key
and the occasion; returns the changes."""

_SURE: Final = frozenset({"customer"})
_LEAST, _MOST = Decimal("-Infinity"), Decimal("Infinity")
_BEYOND: Final = 1 << 64
"""More than any sample."""


def look_of(tierings: Sequence[Tiering], tags: Sequence[Tag], windows: Sequence[Window | None], steps: Steps) -> Look:
    """The function of these tierings and tags."""
    return build_function(*_definition(tierings, tags, windows, steps))


def source_of(tierings: Sequence[Tiering], tags: Sequence[Tag], windows: Sequence[Window | None]) -> str:
    """The same as text."""
    return text_of_function(*_definition(tierings, tags, windows, {}))


def _definition(
    tierings: Sequence[Tiering], tags: Sequence[Tag], windows: Sequence[Window | None], steps: Steps
) -> tuple[ast.FunctionDef, Mapping[str, Any]]:
    readers = [*([tiering.measure] for tiering in tierings), *([tag.when] for tag in tags)]
    generator = generator_for(readers, windows, _SURE, None)
    generator.parts.add("customer")
    body: list[ast.stmt] = []
    for tiering in tierings:
        body += _tiering(generator, tiering)
    for tag in tags:
        body += _tag(generator, tag)
    arguments = "run, s, held, at, tier_before, key, occasion"
    definition = statements(f"def look({arguments}):\n    changes = []\n    return changes")[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body[1:1] = [*generator.prologue(), *body]
    return definition, {**generator.all_constants(), **steps, "Exception": Exception}


def _tiering(generator: FusedGenerator, tiering: Tiering) -> list[ast.stmt]:
    generator.begin_reader([tiering.measure])
    name, main = _text(tiering.name), tiering.name == MAIN_TIERING
    bounds, known = generator.keep(bounds_of(tiering)).id, generator.keep(tiering).id
    return [
        _guarded(generator.value_of(tiering.measure), name),
        *statements(
            f"h = c.tiers.get({name})\n"
            f"w = {bounds}.get(h)\n"
            "if w is not None and v is not None and w[0] <= v < w[1]:\n"
            f"    {'c.tier = h' if main else 'pass'}\n"
            "else:\n"
            f"    x = set_tier(c, run.plan, {known}, v, tier_before)\n"
            "    if x is not None:\n"
            "        changes.append(x)"
        ),
    ]


def bounds_of(tiering: Tiering) -> Mapping[str, tuple[Decimal, Decimal]]:
    """By the tier that is held: from where on, and below what, it is kept."""
    highs = (*tiering.edges[1:], _MOST)
    lows = (_LEAST, *map(min, tiering.edges[1:], tiering.floors[1:]))
    return dict(zip(tiering.names, zip(lows, highs, strict=True), strict=True))


def packed_bounds_of(tiering: Tiering) -> Mapping[str, tuple[int, int]]:
    """The same in 1/10,000, for whole numbers of these."""
    return {tier: (_packed(low), _packed(high)) for tier, (low, high) in bounds_of(tiering).items()}


def _packed(bound: Decimal) -> int:
    if bound.is_infinite():
        return _BEYOND if bound > 0 else -_BEYOND
    return ceil(bound * 10_000)


def _tag(generator: FusedGenerator, tag: Tag) -> list[ast.stmt]:
    generator.begin_reader([tag.when])
    name, known = _text(tag.name), generator.keep(tag).id
    stays = f"not v and {name} not in c.tags" if tag.holds_ms else "t == 0 if v else t is None"
    return [
        _guarded(generator.holds_of(tag.when, {}), name),
        *statements(
            f"t = c.tags.get({name})\n"
            f"if not ({stays}):\n"
            f"    x = set_tag(c, {known}, True if v else False, at, key)\n"
            "    if x is not None:\n"
            "        changes.append(x)"
        ),
    ]


def _guarded(value: ast.expr, name: str) -> ast.stmt:
    """``v`` is the value; of a broken rule, which is reported, it is unknown."""
    broken = f"broken(run, {name}, occasion, error)"
    guarded = statements(f"try:\n    v = 0\nexcept Exception as error:\n    v = {broken}")[0]
    assert isinstance(guarded, ast.Try)
    assert isinstance(guarded.body[0], ast.Assign)
    guarded.body[0].value = value
    return guarded


def _text(text: str) -> str:
    return ast.unparse(ast.Constant(text))
