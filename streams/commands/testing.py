"""``test``: runs the tests inside rule files, without a broker."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from streams.commands.console import Exit, JsonOption, fail, say, say_json
from streams.commands.library import SHIPPED, PathsArgument, report_problems
from triggers.casework.case_runner import CaseResult, run_case
from triggers.language.loader import load_ruleset

TEST_EXAMPLE = "Example: bank-triggers test triggers/library --trigger balance_drop"


def run_cases(
    paths: PathsArgument = None,
    trigger: Annotated[str | None, typer.Option("--trigger", help="Only the cases of this trigger.")] = None,
    case: Annotated[str | None, typer.Option("--case", help="Only cases whose name contains this.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Runs the tests inside trigger files on a virtual clock, through the production engine."""
    loaded = load_ruleset(paths or [SHIPPED])
    if loaded.ruleset is None:
        report_problems(loaded, as_json=as_json)
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


def _report_case(result: CaseResult, *, as_json: bool) -> None:
    if as_json:
        say_json({**asdict(result), "passed": result.passed})
    elif result.passed:
        say(f"ok   {result.trigger}: {result.case}")
    else:
        say(f"FAIL {result.trigger}: {result.case} ({result.file}:{result.line})")
        say("\n".join(f"     {line}" for line in result.report.splitlines()))
