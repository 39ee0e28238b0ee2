"""The Python that the engine writes for a rule set: usual transactions, what it asks of triggers, tiers and tags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from schemas.decode import Rejected, decode
from schemas.topics import TOPIC as TOPICS
from tests.benchmarks.work import RULES, TOPIC, transactions
from triggers.engine.derived_look import source_of
from triggers.engine.plan import Plan
from triggers.engine.usual import UsualTransactions
from triggers.language.loader import load_ruleset

ABOUT: Final = "prints the functions that the engine makes of usual transactions, conditions, tiers and tags"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("--rules", type=Path, default=RULES, help="a folder of triggers")
    parser.add_argument("--kind", default="card", help="the kind of transaction whose triggers are shown")


def run(given: argparse.Namespace) -> None:
    """Prints the functions for transactions of a kind."""
    loaded = load_ruleset([given.rules])
    if loaded.ruleset is None:
        raise SystemExit("\n".join(map(str, loaded.problems)))
    plan = Plan(loaded.ruleset)
    records = (decode(TOPICS[TOPIC], "bank", event.key, event.value) for event in transactions(1_000, 10))
    found = (one for one in records if not isinstance(one, Rejected) and getattr(one, "kind", None) == given.kind)
    record = next(found, None)
    if record is None:
        raise SystemExit(f"the work of the benchmarks has no {given.kind}; it has card, transfer and salary")
    print(UsualTransactions(plan).source(record))
    print(plan.woken("transaction", given.kind).source(record))
    touched = plan.touched("transaction")
    if touched.tierings or touched.tags:
        print(source_of(touched.tierings, touched.tags, plan.windows))
