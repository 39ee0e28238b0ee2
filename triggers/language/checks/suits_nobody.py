"""E129: the suitabilities of a channel cannot be true together, so that it suits nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import SharedCheck
from triggers.language.codes import Code
from triggers.language.compiler import term_of
from triggers.language.draft import Draft
from triggers.language.grammar import CHANNELS
from triggers.language.model import Suitability
from triggers.language.outcomes import Facts, all_of, outcomes
from triggers.language.reader import one_of
from triggers.language.shared import Shared

CODE = Code("E129", "the suitabilities of a channel cannot be true together", silenceable=True)


def find(_drafts: Sequence[Draft], shared: Shared) -> Iterator[Problem]:
    """What contradicts itself within one entry has its problem there already (E110, E112)."""
    closed: dict[int, list[str]] = {}
    for channel in CHANNELS:
        asked = [index for index, each in enumerate(shared.policy.suitability) if channel in each.channels]
        facts = [_facts_of(shared.policy.suitability[index]) for index in asked]
        if None in facts:
            continue
        for last in range(1, len(facts)):
            if all_of(facts[: last + 1]) is None:
                closed.setdefault(asked[last], []).append(channel)
                break
    for index, channels in closed.items():
        message = f"with the suitabilities above, this can be true of no customer: {one_of(channels)} suits nobody"
        yield shared.spots[f"suitability[{index}]"].problem(CODE, message)


def _facts_of(suitability: Suitability) -> Facts | None:
    """What holds of the customers for whom every clause does; ``None`` where there can be none."""
    terms = (term_of(clause.evaluate) for clause in suitability.clauses)
    return all_of(outcomes(term).true for term in terms if term is not None)


CHECK = SharedCheck(CODE, find)
