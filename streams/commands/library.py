"""``check``, ``test`` and ``schemas export``: what a rule author and an integrator need, without a broker."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import triggers
from schemas.export import export
from streams.commands.console import Exit, JsonOption, complain, fail, say, say_json
from triggers.casework.case_runner import CaseResult, run_case
from triggers.language.loader import Loaded, load_ruleset

SHIPPED = Path(next(iter(triggers.__path__))) / "library"
"""The triggers that ship with the product."""

CHECK_EXAMPLE = "Example: bank-triggers check triggers/library"
TEST_EXAMPLE = "Example: bank-triggers test triggers/library --trigger balance_drop"
EXPORT_EXAMPLE = "Example: bank-triggers schemas export ./contracts"

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(help="Trigger files or folders; without any, the triggers that ship.", show_default=False),
]

schemas = typer.Typer(help="The contract with publishers and notifiers.", no_args_is_help=True)


def check_rules(paths: PathsArgument = None, as_json: JsonOption = False) -> None:
    """Reads trigger files and reports every mistake in them, each as file:line:col CODE message."""
    loaded = load_ruleset(paths or [SHIPPED])
    _report_problems(loaded, as_json=as_json)
    errors = sum(problem.severity == "error" for problem in loaded.problems)
    if errors:
        raise typer.Exit(Exit.FAILED)
    assert loaded.ruleset is not None
    if not as_json:
        say(f"{len(loaded.ruleset.triggers)} triggers, rule set {loaded.ruleset.hash}: no errors")


def run_cases(
    paths: PathsArgument = None,
    trigger: Annotated[str | None, typer.Option("--trigger", help="Only the cases of this trigger.")] = None,
    case: Annotated[str | None, typer.Option("--case", help="Only cases whose name contains this.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Runs the tests inside trigger files on a virtual clock, through the production engine."""
    loaded = load_ruleset(paths or [SHIPPED])
    if loaded.ruleset is None:
        _report_problems(loaded, as_json=as_json)
        raise typer.Exit(Exit.FAILED)
    results = [
        run_case(loaded.ruleset, one, test_case)
        for one in loaded.ruleset.triggers
        if trigger in (None, one.id)
        for test_case in one.cases
        if case is None or case in test_case.name
    ]
    if not results:
        fail("no case matches; expected the id of a trigger and a part of a case's name")
    for result in results:
        _report_case(result, as_json=as_json)
    failed = sum(not result.passed for result in results)
    if not as_json:
        say(f"{len(results) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(Exit.FAILED)


@schemas.command(name="export", epilog=EXPORT_EXAMPLE)
def export_schemas(directory: Annotated[Path, typer.Argument(help="The folder to write to; made if missing.")]) -> None:
    """Writes a JSON Schema for each topic."""
    try:
        written = export(directory)
    except OSError as error:
        fail(f"{directory}: cannot be written ({error.strerror}); expected a folder")
    for path in written:
        say(str(path))


def _report_problems(loaded: Loaded, *, as_json: bool) -> None:
    for problem in loaded.problems:
        if as_json:
            say_json(asdict(problem))
        elif problem.severity == "error":
            complain(str(problem))
        else:
            complain(f"{problem} [warning]")


def _report_case(result: CaseResult, *, as_json: bool) -> None:
    if as_json:
        say_json({**asdict(result), "passed": result.passed})
    elif result.passed:
        say(f"ok   {result.trigger}: {result.case}")
    else:
        say(f"FAIL {result.trigger}: {result.case} ({result.file}:{result.line})")
        say("\n".join(f"     {line}" for line in result.report.splitlines()))
