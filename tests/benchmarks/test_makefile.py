"""The commands of ``make bench`` and ``make bench-quick`` are ones that the modes understand, and end in time."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import parse
from tests.support.commit import ROOT


def _commands(target: str) -> list[argparse.Namespace]:
    """What a target of the Makefile gives to the modes, its variables filled in."""
    text = (ROOT / "Makefile").read_text("utf-8")
    values = dict(re.findall(r"^(\w+) [:?]?= (.+)$", text, re.MULTILINE))
    (recipe,) = re.findall(rf"^{target}: .*\n((?:\t.*\n)+)", text, re.MULTILINE)
    lines = [line.lstrip("\t-") for line in recipe.splitlines() if "$(BENCH)" in line]
    return [
        parse(shlex.split(re.sub(r"\$\((\w+)\)", lambda name: values[name[1]], line.removeprefix("$(BENCH) "))))
        for line in lines
    ]


_AFTER_GROWTH = 8.0
"""Minutes of what growth checks behind its last round, and of the five rounds of recovery."""
_PROFILE = 2.0
"""Minutes that the profile takes and the page, which have no rounds."""


def test_all_modes_end_in_time() -> None:
    """Each of ``make bench`` until later than the one before; the profile, which has no rounds, is the last."""
    *modes, page = _commands("bench")
    assert (page.mode, page.within) == ("report", 40)
    paced = {given.mode: given.until for given in modes if hasattr(given, "until")}
    ends = list(paced.values())
    assert [given.mode for given in modes if given.mode not in paced] == [modes[-1].mode] == ["profile"]
    assert ends == sorted(set(ends))
    assert ends[-1] <= page.within - _PROFILE
    assert all(given.rounds == 5 for given in modes if given.mode in paced)
    assert paced["recovery"] - paced["growth"] >= _AFTER_GROWTH


def test_the_quick_modes_end_in_time() -> None:
    """Their budgets leave time for what has none: setting up the first, checking after the last round, the page."""
    *modes, page = _commands("bench-quick")
    assert (page.mode, page.within) == ("report", 6)
    assert all(given.minutes for given in modes)
    assert sum(given.minutes for given in modes) <= 5.5


@pytest.mark.parametrize("target", ["bench", "bench-quick"])
def test_the_page_needs_what_is_measured_and_finds_it(target: str) -> None:
    """Each mode writes its JSON, and its pictures, where the page looks for it."""
    *modes, page = _commands(target)
    assert page.needs == [given.mode for given in modes]
    assert len(set(page.needs)) == len(page.needs)
    assert [given.json for given in modes] == [Path(page.folder) / f"{given.mode}.json" for given in modes]
    pictures = {given.mode: given.pictures for given in modes if getattr(given, "pictures", None)}
    assert pictures == ({"latency": page.folder, "growth": page.folder} if target == "bench" else {})
