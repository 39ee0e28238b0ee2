"""What the parts of a usual transaction's function have in common: the shape it is for, and the names in it.

In the function ``run`` is the evaluation, ``e`` the event, ``c`` the customer, ``a`` the account, ``at`` the event's
time (ms), ``key`` its key, ``held`` the customer's series, ``s`` the scope, ``b`` what was before, ``x`` the extremes.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from triggers.engine.fused import FusedGenerator, features_of
from triggers.engine.judge import Case
from triggers.engine.plan import Plan, Sampler
from triggers.engine.series import ROW_BYTES
from triggers.engine.windows import UNKNOWN, lies_between
from triggers.language.compiler import PARTS, term_of
from triggers.language.model import Evaluate
from triggers.language.tree import Comparison, Constant, FeatureReference, Term

KIND: Final = "transaction"
SCALE: Final = Decimal(10_000)
_SURE: Final = frozenset({"event", "customer", "account"})


@dataclass(slots=True)
class _Generator(FusedGenerator):
    """Writes conditions that are asked where the event's samples are at hand."""

    plan: Plan = field(kw_only=True)
    sampled: dict[int, int] = field(default_factory=dict)
    """By series: the number of its locals, where the function has surely added the newest sample."""

    def holds(self, term: Term, known: dict[str, str]) -> ast.expr:
        return self._counted(term) or FusedGenerator.holds(self, term, known)

    def _counted(self, term: Term) -> ast.expr | None:
        """``count >= 7`` asks the time of the last sample but six alone; not only of folded samples."""
        match term:
            case Comparison(operator=">=", left=FeatureReference(index=index), right=Constant(value=least)):
                feature, series = self.plan.features[index]
            case _:
                return None
        number, window = self.sampled.get(feature.series), self.windows[index]
        if number is None or window is None or series.level or feature.function != "count":
            return None
        if least != int(least) or least < 1:
            return None
        held, rows, size = f"h{number}", f"w{number}", int(least) * ROW_BYTES
        folded = f"{held}.folded is not None and {self.keep(window).id}(held, at) >= {int(least)}"
        newer = f"time_at({rows}, len({rows}) - {size})[0] > at - {feature.over_ms}"
        return ast.parse(f"{newer} if len({rows}) >= {size} else {folded}", mode="eval").body


@dataclass(slots=True)
class UsualWriter:
    """What the parts of the function have in common; ``event`` is one of the shape that it is for."""

    plan: Plan
    event: Any
    counted: bool
    cases: Sequence[Case] = field(init=False)
    generator: _Generator = field(init=False)
    packed: dict[str, int] = field(default_factory=dict)
    """By an expression of samples: the number of the locals that hold its packed value and row."""
    computed: set[str] = field(default_factory=set)
    """The locals that have a value already: rows, and times from which samples are kept."""
    bounded: Mapping[str, int] = field(init=False)
    """``places_of`` the plan."""
    early: bool = False
    """Whether something needs the scope, or the evaluation at its moment, before anything fires."""

    def __post_init__(self) -> None:
        plan = self.plan
        self.cases = plan.woken(KIND, self.event.kind).cases_of(self.event)
        touched = plan.touched(KIND)
        readers = [case.asked for case in self.cases]
        readers += [[one] for one in (*(t.measure for t in touched.tierings), *(tag.when for tag in touched.tags))]
        counted = Counter(index for expressions in readers for index in set(features_of(expressions)))
        self.bounded = places_of(plan)
        sure = _SURE | {"before"} if plan.reads_before else _SURE
        doubtful = frozenset(PARTS) - sure
        self.generator = _Generator(False, doubtful, KIND, windows=plan.windows, readers=counted, plan=plan)

    @property
    def _domestic(self) -> bool:
        return bool(self.event.currency == self.plan.policy.currency)

    def _place(self, index: int) -> int | None:
        """Where a feature's level stands in ``extremes``; ``None`` where its value may lie beyond them."""
        feature, series = self.plan.features[index]
        return self.bounded.get(series.id) if lies_between(feature, series) else None

    def _tightened(self, place: int) -> str:
        """Finds the nearest ``extremes``, where there may be nearer ones; true."""
        number = next(number for number, level in enumerate(self.plan.levels) if self.bounded.get(level.id) == place)
        return f"tighten(x, {place}, h{number}, at)"

    def _known(self) -> dict[str, str]:
        """The names that have a value in a local: an account in the bank's currency is known, and so are the totals."""
        return {"customer.balance": "balance", "customer.aum": "aum"} if self._domestic else {}

    def _value(self, evaluate: Evaluate) -> str:
        """The value of what is sampled, as text."""
        term = term_of(evaluate)
        assert term is not None  # asked before
        return ast.unparse(self.generator.inlined(term, self._known()))

    def _kept(self, value: Any) -> str:
        return self.generator.keep(value).id


def places_of(plan: Plan) -> dict[str, int]:
    """By level: where the least and the greatest that is kept of it stand in ``CustomerState.extremes``.

    Of those that only records change: what reads tiers or tags may change with a timer.
    """
    levels = [level.id for level in plan.levels if is_plain(level) and level not in plan.derived_levels]
    return {name: number * len(UNKNOWN) for number, name in enumerate(levels)}


def is_plain(level: Sampler) -> bool:
    """Whether a level is the customer's, in force at all times, and an expression that can be written out."""
    return not level.by_account and level.where is None and term_of(level.evaluate) is not None
