"""The recovery benchmark: a target that is missed is no success."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.recovery import Figure, report


def test_a_target_missed_in_one_round_fails_the_run(tmp_path: Path) -> None:
    """The message names the figure and its target; the figures are written all the same."""
    good, late = Figure("first action", 10.0, 10.0), Figure("first action", 13.7, 10.0)
    file = tmp_path / "figures.json"
    with pytest.raises(SystemExit) as ended:
        report([[good], [late], [good]], file, "3 rounds (there was no time for 5)")
    assert ended.value.code == "missed: first action: 13.7 s, the target is 10 s"
    assert "13.7" in file.read_text()
    assert "no time for 5" in file.read_text()


def test_what_has_no_target_or_keeps_it_ends_well() -> None:
    """A figure without a target may be anything."""
    report([[Figure("first action", 9.9, 10.0), Figure("in all partitions", 99.0)]], None, "1 rounds")
