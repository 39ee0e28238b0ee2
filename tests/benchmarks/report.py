"""The figures of all modes on one page of Markdown, from the JSON that they left in a folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from tests.benchmarks.results import page

ABOUT: Final = "what all modes found on one page, from their JSON"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mode's options."""
    parser.add_argument("folder", type=Path, help="where the modes left their JSON and pictures")


def run(given: argparse.Namespace) -> None:
    """Writes README.md into the folder, and prints it."""
    results = [json.loads(path.read_text("utf-8")) for path in sorted(given.folder.glob("*.json"))]
    if not results:
        raise SystemExit(f"no figures in {given.folder}: give --json FOLDER/MODE.json to the modes")
    text = page(results, sorted(path.name for path in given.folder.glob("*.svg")))
    (given.folder / "README.md").write_text(text, "utf-8")
    print(text)
