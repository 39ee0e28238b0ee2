"""How long a condition of six clauses takes, and how long a hundred trigger files: ``python -m`` this module.

Numbers to look at, not to assert: they depend on the machine.
"""

from __future__ import annotations

import timeit
from decimal import Decimal
from pathlib import Path

from tests.triggers.language.worlds import check, full_values, scope_of
from triggers.language.loader import load_documents

_WITH_FEATURE = (
    'customer.tier in ["mid", "high"] and customer.balance <= peak_7d * 0.7 and peak_7d - customer.balance >= 50000'
    ' and not event.own_account and event.amount > 1000 and event.direction == "debit"'
)
_PLAIN = (
    'event.direction == "debit" and event.kind != "salary" and event.amount >= 5000 and not event.own_account'
    " and customer.balance > 100 and customer.age >= 18"
)
_VALUES = {
    "customer.tier": "mid",
    "customer.balance": Decimal("100000.00"),
    "customer.age": 40,
    "peak_7d": Decimal("200000.00"),
    "event.own_account": False,
    "event.amount": Decimal("60000.00"),
    "event.direction": "debit",
    "event.kind": "cash",
}
_LIBRARY = Path(__file__).parents[3] / "triggers" / "library"
_ROUNDS = 200_000


def main() -> None:
    """Prints microseconds for each condition, and seconds for the files."""
    scope = scope_of(full_values() | _VALUES)
    for label, text in (("two of six with arithmetic", _WITH_FEATURE), ("six plain clauses", _PLAIN)):
        checked, problems = check(text, expect="flag")
        assert checked is not None, problems
        evaluate = checked.expression.evaluate
        assert evaluate(scope) is True
        best = min(timeit.repeat(lambda evaluate=evaluate: evaluate(scope), number=_ROUNDS, repeat=5)) / _ROUNDS
        print(f"{label}: {best * 1e6:.2f} µs")
    files = {
        f"{path.stem}_{copy}.yaml": path.read_text().replace(f"trigger: {path.stem}", f"trigger: {path.stem}_{copy}")
        for path in _LIBRARY.rglob("*/*.yaml")
        for copy in range(17)
    }
    print(f"{len(files)} files: {timeit.timeit(lambda: load_documents(files), number=1):.2f} s")


if __name__ == "__main__":
    main()
