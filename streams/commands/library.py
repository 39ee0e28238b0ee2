"""What the commands about rule files share: the triggers that ship, the paths argument, how problems are shown."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import triggers
from streams.commands.console import complain, say_json
from triggers.language.loader import Loaded

SCHEMAS_FOLDER = ".schemas"
"""Where the schemas for editors are, beside the rule files or a few folders above."""
SHIPPED = Path(next(iter(triggers.__path__))) / "library"
"""The triggers that ship with the product."""

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(help="Trigger files or folders; without any, the triggers that ship.", show_default=False),
]


def report_problems(loaded: Loaded, *, as_json: bool) -> None:
    """Every problem, a line each: on the error output, or as JSON on the output."""
    for problem in loaded.problems:
        if as_json:
            say_json(asdict(problem))
        elif problem.severity == "error":
            complain(str(problem))
        else:
            complain(f"{problem} [warning]")
