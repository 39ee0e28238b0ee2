"""Which of the triggers that an event may concern fire: their conditions as one Python function.

Asked one by one, a trigger costs a call, the reading of the scope anew and a dozen steps around them, and most of the
triggers that wake on a transaction say no at their first clause. So for the events of a shape (see ``shapes``) that
come often the conditions become one function, without the clauses that the shape has decided, and with what reads a
feature last. It names the triggers that each condition alone would: a condition has no effects, and of its parts all
must be true, in whatever order.

``source_of`` shows the function; ``python -m tests.benchmarks judge`` prints those of a rule set.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from triggers.engine.firing import memory_name
from triggers.engine.scope import Scope
from triggers.engine.series import SeriesState
from triggers.engine.state import Memory
from triggers.engine.windows import Window
from triggers.language.compiler import PARTS, Generator, build_function, term_of
from triggers.language.model import Expression, Trigger
from triggers.language.tree import FeatureReference

Judge = Callable[[Scope, Mapping[str, Memory], Mapping[str, SeriesState], int], list[Trigger]]
"""The triggers that fire, in their order, of a scope that holds event and customer: it is given the memories and the
series of the customer and the time of the event (ms). A trigger that may be armed again is armed."""

_SURE: Final = frozenset({"event", "customer"})


class Case(NamedTuple):
    """A trigger, and what has to be asked of its condition: all of these must be true."""

    trigger: Trigger
    asked: Sequence[Expression]


def judge_of(cases: Sequence[Case], record_type: str, windows: Sequence[Window | None]) -> Judge:
    """The function of these triggers, for events of one kind."""
    definition, constants = _definition(cases, record_type, windows)
    return build_function(definition, constants)


def source_of(cases: Sequence[Case], record_type: str, windows: Sequence[Window | None]) -> str:
    """The same as text; ``k0``, ``k1`` … are explained under it."""
    definition, constants = _definition(cases, record_type, windows)
    names = "\n".join(f"# {name}: {getattr(value, 'id', value)}" for name, value in constants.items())
    return f"{ast.unparse(ast.fix_missing_locations(definition))}\n{names}\n"


@dataclass(slots=True)
class _JudgeGenerator(Generator):
    """``readers`` counts the triggers that read a feature: what one alone reads need not be remembered for others."""

    windows: Sequence[Window | None] = ()
    readers: Counter[int] = field(default_factory=Counter)
    reads: Counter[int] = field(default_factory=Counter)
    """How often the trigger whose condition is being written reads each feature."""

    def rereads(self, index: int) -> bool:
        return self.reads[index] > 1

    def feature(self, index: int) -> ast.expr:
        window = self.windows[index]
        if window is None or self.readers[index] > 1:
            return super(_JudgeGenerator, self).feature(index)
        return ast.Call(self.keep(window), [ast.Name("held", ast.Load()), ast.Name("at", ast.Load())], [])


def _definition(
    cases: Sequence[Case], record_type: str, windows: Sequence[Window | None]
) -> tuple[ast.FunctionDef, Mapping[str, Any]]:
    readers = Counter(index for case in cases for index in set(_features(case)))
    generator = _JudgeGenerator(
        careful=False, doubtful=frozenset(PARTS) - _SURE, record_type=record_type, windows=windows, readers=readers
    )
    body: list[ast.stmt] = []
    for case in cases:
        body += _rearming(generator, case.trigger)
        body += _judging(generator, case)
    definition = _statements("def judge(s, memory, held, at):\n    found = []\n    return found")[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body[1:1] = [*_bindings(generator), *body]
    return definition, generator.constants


def _features(case: Case) -> list[int]:
    return [index for asked in case.asked for index in _read_by(asked)]


def _read_by(expression: Expression) -> list[int]:
    term = term_of(expression.evaluate)
    return [] if term is None else [part.index for part in term.walk() if isinstance(part, FeatureReference)]


def _rearming(generator: Generator, trigger: Trigger) -> list[ast.stmt]:
    if trigger.rearm is None:
        return []
    rearm, name = generator.keep(trigger.rearm.evaluate), ast.Constant(memory_name(trigger))
    return _statements(
        f"m = memory.get({ast.unparse(name)})\n"
        f"if m is not None and not m.armed and {rearm.id}(s) is True:\n"
        "    m.armed = True"
    )


def _judging(generator: _JudgeGenerator, case: Case) -> list[ast.stmt]:
    fires = _statements(f"found.append({generator.keep(case.trigger).id})")
    if not case.asked:
        return fires
    generator.reads = Counter(_features(case))
    in_order = sorted(case.asked, key=lambda asked: bool(_read_by(asked)))  # the author's order but for this
    known: dict[str, str] = {}
    conditions = [_holds(generator, asked, known) for asked in in_order]
    return [ast.If(conditions[0] if len(conditions) == 1 else ast.BoolOp(ast.And(), conditions), fires, [])]


def _holds(generator: Generator, asked: Expression, known: dict[str, str]) -> ast.expr:
    term = term_of(asked.evaluate)
    if term is not None:
        return generator.holds(term, known)
    return ast.parse(f"{generator.keep(asked.evaluate).id}(s) is True", mode="eval").body


def _bindings(generator: Generator) -> list[ast.stmt]:
    lines = []
    for part, local in PARTS.items():
        if part == "before_account" and part in generator.parts:
            lines.append(f"{local} = None if b is None else b.account")
        elif part in generator.parts or (part == "before" and "before_account" in generator.parts):
            lines.append(f"{local} = s.{part}")
    return _statements("\n".join(lines))


def _statements(text: str) -> list[ast.stmt]:
    return ast.parse(text).body
