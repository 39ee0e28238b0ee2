"""How long an evaluation takes: two conditions as triggers have them, and the dearest that the language allows."""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tests.benchmarks.work import machine
from tests.triggers.language.expression_bounds import DEAREST
from tests.triggers.language.worlds import check, full_values, scope_of

ABOUT: Final = "one evaluation of an expression: usual ones, and the dearest allowed"

_USUAL: Final = {
    "two clauses of six with arithmetic": (
        'customer.tier in ["mid", "high"] and customer.balance <= peak_7d * 0.7'
        " and peak_7d - customer.balance >= 50000"
        ' and not event.own_account and event.amount > 1000 and event.direction == "debit"'
    ),
    "six plain clauses": (
        'event.direction == "debit" and event.kind != "salary" and event.amount >= 5000 and not event.own_account'
        " and customer.balance > 100 and customer.age >= 18"
    ),
}
_VALUES: Final[Mapping[str, Any]] = {
    "customer.tier": "mid",
    "customer.balance": Decimal("100000.00"),
    "customer.age": 40,
    "peak_7d": Decimal("200000.00"),
    "event.own_account": False,
    "event.amount": Decimal("60000.00"),
    "event.direction": "debit",
    "event.kind": "cash",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this mode."""
    parser.add_argument("--evaluations", type=int, default=200_000)


def run(given: argparse.Namespace) -> None:
    """Prints microseconds of one evaluation; of the dearest ones a hundredth as many are made."""
    print(machine())
    for label, text in (_USUAL | DEAREST).items():
        checked, problems = check(text)
        if checked is None:
            raise SystemExit(f"{label}: {[str(problem) for problem in problems]}")
        scope = scope_of(full_values() | _VALUES)
        evaluate = checked.expression.evaluate
        count = given.evaluations if label in _USUAL else given.evaluations // 100
        best = min(timeit.repeat(lambda run=evaluate, scope=scope: run(scope), number=count, repeat=5)) / count
        print(f"{label}: {best * 1e6:.2f} µs")
