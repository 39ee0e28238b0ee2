"""The commands of ``make bench`` and ``make bench-quick`` are ones that the modes understand, and end in time."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import parse
from tests.benchmarks.results import ROOT


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


@pytest.mark.parametrize(("target", "minutes", "within"), [("bench", 36.5, 40), ("bench-quick", 5.5, 6)])
def test_each_mode_understands_its_options_and_all_end_in_time(target: str, minutes: float, within: float) -> None:
    """Their budgets leave time for what has none: setting up the first, checking after the last round, the page."""
    *modes, page = _commands(target)
    assert page.mode == "report"
    assert page.within == within
    assert sum(getattr(given, "minutes", None) or 0.0 for given in modes) <= minutes
    assert all(getattr(given, "minutes", 1) for given in modes), "a mode with rounds has a budget"


@pytest.mark.parametrize("target", ["bench", "bench-quick"])
def test_the_page_needs_what_is_measured_and_finds_it(target: str) -> None:
    """Each mode writes its JSON, and its pictures, where the page looks for it."""
    *modes, page = _commands(target)
    assert page.needs == [given.mode for given in modes]
    assert len(set(page.needs)) == len(page.needs)
    assert [given.json for given in modes] == [Path(page.folder) / f"{given.mode}.json" for given in modes]
    pictures = {given.mode: given.pictures for given in modes if getattr(given, "pictures", None)}
    assert pictures == ({"latency": page.folder, "growth": page.folder} if target == "bench" else {})
