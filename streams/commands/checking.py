"""``check``: every mistake in rule files at once, without a broker."""

from __future__ import annotations

import typer

from streams.commands.console import Exit, JsonOption, say
from streams.commands.library import SHIPPED, PathsArgument, report_problems
from triggers.language.loader import load_ruleset

CHECK_EXAMPLE = "Example: bank-triggers check triggers/library"


def check_rules(paths: PathsArgument = None, as_json: JsonOption = False) -> None:
    """Reads trigger files and reports every mistake in them, each as file:line:col CODE message."""
    loaded = load_ruleset(paths or [SHIPPED])
    report_problems(loaded, as_json=as_json)
    errors = sum(problem.severity == "error" for problem in loaded.problems)
    if errors:
        raise typer.Exit(Exit.FAILED)
    assert loaded.ruleset is not None
    if not as_json:
        say(f"{len(loaded.ruleset.triggers)} triggers, rule set {loaded.ruleset.hash}: no errors")
