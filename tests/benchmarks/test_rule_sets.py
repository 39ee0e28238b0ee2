"""The rule sets that are measured stay what they are: figures of two commits are of the same triggers."""

from __future__ import annotations

import pytest

from tests.benchmarks.rule_sets import rule_set
from tests.benchmarks.work import RULES


@pytest.mark.parametrize(
    ("triggers", "policy", "pinned"),
    [
        (None, "short", "0406f26bbfbc97eb"),
        (10, "full", "16a5b4f2cdd8b8ca"),
        (200, "full", "d467c0de9944e307"),
        (200, "short", "cab653acc82d1edf"),
    ],
)
def test_what_is_measured_is_frozen(triggers: int | None, policy: str, pinned: str) -> None:
    """The ten triggers, those that are generated and both policies. A new hash here is a new benchmark: all figures
    are to be measured anew, and the peers' job is to follow."""
    assert rule_set(RULES, triggers, policy).hash == pinned
