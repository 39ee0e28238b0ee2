"""The figures of all modes on one page of Markdown, from the JSON and the pictures that they left in a folder.

Why a target is not met is told by hand, in ``gaps.md`` beside the page: below a heading that is the figure's name. What
was done to make it quick, tried or left is told in ``levers.md`` beside that, and ends the page. The page is written in
any case; the command ends with 1 where a mode or a figure is void, where one of ``--needs`` left nothing, where the
figures are not of one run or took longer than they may, and where what is told by hand does not fit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.results import (
    FIGURES,
    PAGE,
    PROMISED,
    Target,
    apart,
    explanations,
    minutes_of,
    page,
    targets_of,
)

ABOUT: Final = "what all modes found on one page, from their JSON"
_HERE: Final = Path(__file__).parent
_ORDER: Final = ("drain", "engine", "profile", "latency", "growth", "recovery", "backtest", "authoring", "expressions")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("folder", type=Path, nargs="?", default=Path(FIGURES), help="where the modes left their JSON")
    parser.add_argument("--page", type=Path, default=Path(PAGE), help="the file to write, above or in the folder")
    parser.add_argument("--by", default="make bench", help="the command that made the figures, as the page tells it")
    parser.add_argument("--gaps", type=Path, default=_HERE / "gaps.md", help="why targets are not met, told by hand")
    parser.add_argument("--needs", nargs="*", default=[], metavar="MODE", help="what must be there")
    parser.add_argument(
        "--within", type=float, default=40.0, metavar="MINUTES", help="what all modes may take together"
    )
    parser.add_argument("--part", action="store_true", help="not all is measured, nor need what is missed be explained")


def run(given: argparse.Namespace) -> None:
    """Writes the page, and prints it."""
    found: dict[str, dict[str, Any]] = {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(given.folder.glob("*.json"))
    }
    if not found:
        raise SystemExit(f"no figures in {given.folder}: give --json FOLDER/MODE.json to the modes")
    results = {name: found[name] for name in sorted(found, key=_place)}
    pictures = [str(path.relative_to(given.page.parent)) for path in sorted(given.folder.glob("*.svg"))]
    explained = {} if given.part else explanations(given.gaps.read_text("utf-8"))
    targets = targets_of(results)
    rows = {row: begun for row, begun in PROMISED.items() if not given.part or any(_is(t, begun) for t in targets)}
    text = page(results, pictures, command=given.by, explained=explained, rows=rows)
    levers = given.gaps.with_name("levers.md")
    if not given.part and levers.exists():
        text += "\n" + levers.read_text("utf-8").replace("\n#", "\n##").replace("# ", "## ", 1)
    given.page.write_text(text, "utf-8")
    print(text)
    wrong = [f"{name} is void" for name, result in results.items() if result.get("void")]
    wrong += [f"{name} left no figures" for name in given.needs if name not in found]
    wrong += [f"{target.figure}: {target.why}" for target in targets if target.found is None]
    wrong += [f"{row}: not measured" for row, begun in rows.items() if not any(_is(t, begun) for t in targets)]
    wrong += [f"not one run: {why}" for why in apart(results)]
    if minutes_of(results) > given.within:
        wrong.append(f"took {minutes_of(results):.1f} minutes, more than {given.within:g}")
    if not given.part:
        wrong += unfit(targets, explained)
    if wrong:
        raise SystemExit("; ".join(wrong))


def unfit(targets: Sequence[Target], explained: Mapping[str, str]) -> list[str]:
    """What is missed without a word why, and what is explained though it is met or nobody's figure."""
    missed, met = ({target.figure for target in targets if target.met is whether} for whether in (False, True))
    return [
        *(f"{figure}: missed, and not explained" for figure in sorted(missed - explained.keys())),
        *(f"{figure}: explained, though it is met" for figure in sorted(met & explained.keys() - missed)),
        *(f"{figure}: explained, but no such figure" for figure in sorted(explained.keys() - missed - met)),
    ]


def _is(target: Target, begun: tuple[str, ...]) -> bool:
    return target.figure.startswith(begun)


def _place(name: str) -> tuple[int, str]:
    """In the order of the page; others after them."""
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
