"""``python -m tests.fuzz_expressions --seconds N``: random expressions until the time is over, or one fails.

The same strategies and the same judge as in the tests, which stop after some hundred.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.triggers.language.expression_fuzz import judge
from tests.triggers.language.expression_strategies import anything, grafted, scratched, typed

_KINDS: Final[Mapping[str, st.SearchStrategy[str]]] = {
    "typed": typed,
    "anything": anything,
    "grafted": grafted(),
    "scratched": scratched(),
    "text": st.text(max_size=200),
}


def main() -> None:
    """Runs rounds of each kind and prints what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_expressions", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="where to begin; each round has the next one")
    parser.add_argument("--examples", type=int, default=500, help="in each round")
    given_ = parser.parse_args()
    ends, rounds, counts = time.monotonic() + given_.seconds, given_.seed, Counter[str]()
    while time.monotonic() < ends:
        for kind, strategy in _KINDS.items():
            _round(kind, strategy, rounds, given_.examples, counts)
        rounds += 1
    print(
        f"seeds {given_.seed} to {rounds - 1}:", ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
    )


def _round(kind: str, strategy: st.SearchStrategy[str], number: int, examples: int, counts: Counter[str]) -> None:
    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy, st.lists(st.integers(0, 2**32), min_size=4, max_size=4))
    def try_all(text: str, seeds: list[int]) -> None:
        counts[f"{kind}: {judge(text, seeds)}"] += 1

    try_all()


if __name__ == "__main__":
    main()
