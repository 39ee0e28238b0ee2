"""Which of the triggers that an event may concern fire: their conditions as one Python function.

Asked one by one, a trigger costs a call, the reading of the scope anew and a dozen steps around them, and most of the
triggers that wake on a transaction say no at their first clause. So for the events of a shape (see ``shapes``) that
come often the conditions become one function, without the clauses that the shape has decided, and with what reads a
feature last. It names the triggers that each condition alone would: a condition has no effects, and of its parts all
must be true, in whatever order.

``source_of`` shows the function; ``python -m tests.benchmarks functions`` prints those of a rule set.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from triggers.engine.firing import memory_name
from triggers.engine.fused import FusedGenerator, features_of, generator_for, statements, text_of_function
from triggers.engine.scope import Scope
from triggers.engine.series import SeriesState
from triggers.engine.state import Memory
from triggers.engine.windows import Window
from triggers.language.compiler import build_function
from triggers.language.model import Expression, Trigger

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
    return build_function(*_definition(cases, record_type, windows))


def source_of(cases: Sequence[Case], record_type: str, windows: Sequence[Window | None]) -> str:
    """The same as text."""
    return text_of_function(*_definition(cases, record_type, windows))


def _definition(
    cases: Sequence[Case], record_type: str, windows: Sequence[Window | None]
) -> tuple[ast.FunctionDef, Mapping[str, Any]]:
    generator = generator_for([case.asked for case in cases], windows, _SURE, record_type)
    body: list[ast.stmt] = []
    for case in cases:
        body += _rearming(generator, case.trigger)
        body += _judging(generator, case)
    definition = statements("def judge(s, memory, held, at):\n    found = []\n    return found")[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body[1:1] = [*generator.prologue(), *body]
    return definition, generator.all_constants()


def _rearming(generator: FusedGenerator, trigger: Trigger) -> list[ast.stmt]:
    if trigger.rearm is None:
        return []
    rearm, name = generator.keep(trigger.rearm.evaluate), ast.Constant(memory_name(trigger))
    return statements(
        f"m = memory.get({ast.unparse(name)})\n"
        f"if m is not None and not m.armed and {rearm.id}(s) is True:\n"
        "    m.armed = True"
    )


def _judging(generator: FusedGenerator, case: Case) -> list[ast.stmt]:
    fires = statements(f"found.append({generator.keep(case.trigger).id})")
    if not case.asked:
        return fires
    generator.begin_reader(case.asked)
    in_order = sorted(case.asked, key=lambda asked: bool(features_of([asked])))  # the author's order but for this
    known: dict[str, str] = {}
    conditions = [generator.holds_of(asked, known) for asked in in_order]
    return [ast.If(conditions[0] if len(conditions) == 1 else ast.BoolOp(ast.And(), conditions), fires, [])]
