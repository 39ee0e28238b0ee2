"""The figures of all modes on one page of Markdown, from the JSON and the pictures that they left in a folder.

Why a target is not met is told by hand, in ``gaps.md`` beside the page: below a heading that is the figure's name. The
command ends with 1 where a mode is void, or where one of ``--needs`` left nothing; the page is written all the same.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.results import FIGURES, PAGE, explanations, page

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


def run(given: argparse.Namespace) -> None:
    """Writes the page, and prints it."""
    found: dict[str, dict[str, Any]] = {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(given.folder.glob("*.json"))
    }
    if not found:
        raise SystemExit(f"no figures in {given.folder}: give --json FOLDER/MODE.json to the modes")
    results = {name: found[name] for name in sorted(found, key=_place)}
    pictures = [str(path.relative_to(given.page.parent)) for path in sorted(given.folder.glob("*.svg"))]
    explained = explanations(given.gaps.read_text("utf-8")) if given.gaps.exists() else {}
    text = page(results, pictures, command=given.by, explained=explained)
    given.page.write_text(text, "utf-8")
    print(text)
    void = [f"{name} is void" for name, result in results.items() if result.get("void")]
    absent = [f"{name} left no figures" for name in given.needs if name not in found]
    if void or absent:
        raise SystemExit("; ".join([*void, *absent]))


def _place(name: str) -> tuple[int, str]:
    """In the order of the page; others after them."""
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
