"""The recovery benchmark: a target that is missed is no success, nor is a run that differs from the oracle's."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Final
from unittest.mock import MagicMock

import pytest

from tests.benchmarks import recovery
from tests.benchmarks.recovery import Figure, report
from tests.benchmarks.work import TOPIC
from tests.support.system import Meta

_SYSTEMS: Final = 6
"""As many as there are faults, one of them with an id of its own, and the minute of lag."""


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


@pytest.mark.parametrize("differing", [None, *range(_SYSTEMS)])
def test_each_fault_is_held_against_the_oracle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, differing: int | None
) -> None:
    """Each is a system of its own, drained and stopped before; one that differs ends the round."""
    checked: list[MagicMock] = []

    def system(*_: object, **__: object) -> nullcontext[MagicMock]:
        made = MagicMock()
        made.catch_in_flight.return_value = {0: MagicMock()}
        made.lag.return_value = 1
        made.meta.return_value = Meta(positions={TOPIC: 1_000})
        made.start_worker.return_value.terminate.return_value = 0.5
        return nullcontext(made)

    def check(of: MagicMock, **_: object) -> None:
        assert not any(of is other for other in checked)
        *_, drained, stopped = [name for name, *_ in of.method_calls if name in ("wait_until_drained", "stop_workers")]
        assert (drained, stopped) == ("wait_until_drained", "stop_workers")
        checked.append(of)
        if len(checked) - 1 == differing:
            raise AssertionError("a state differs")

    for name in ("_warm", "_at_work", "await_shared", "_Watch"):
        monkeypatch.setattr(recovery, name, MagicMock())
    monkeypatch.setattr(recovery, "_killed", lambda *_: [Figure("first action", 1.0)])
    monkeypatch.setattr(recovery, "System", system)
    monkeypatch.setattr(recovery, "check_against_oracle", check)
    if differing is None:
        assert len(recovery.run_round("", "", tmp_path, 1)) == _SYSTEMS
        assert len(checked) == _SYSTEMS
    else:
        with pytest.raises(AssertionError, match="a state differs"):
            recovery.run_round("", "", tmp_path, 1)
        assert len(checked) == differing + 1
