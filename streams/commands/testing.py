"""``test``: runs the tests inside rule files, without a broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from streams.commands.case_view import show_failure
from streams.commands.console import Exit, JsonOption, complain, fail, say, say_json
from streams.commands.library import PathsArgument, report_problems, rules_at, tell_defaults
from triggers.casework.case_runner import CaseResult, CaseRunner
from triggers.casework.coverage import ClauseCoverage, cover, percent
from triggers.casework.dependence import Idle, idle_clauses
from triggers.casework.desk_runner import DeskSuiteRunner
from triggers.casework.report import report
from triggers.casework.selection import BadSelection, Matches, parse_selection
from triggers.casework.suite_runner import SuiteRunner
from triggers.language.desk_cases import SUITE
from triggers.language.loader import Loaded, load_ruleset
from triggers.language.model import Case, RuleSet, Suite, Trigger
from triggers.language.reader import suggest

TEST_EXAMPLE = "Example: bank-triggers test triggers/library --trigger balance_drop"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which cases to run, and what to make of them."""

    paths: Sequence[Path]
    trigger: str | None
    case: str | None
    matches: Matches | None
    junit: Path | None
    min_coverage: int | None
    as_json: bool

    @property
    def whole(self) -> bool:
        """Whether all cases of a trigger run: only then does its coverage say anything."""
        return self.case is None and self.matches is None

    def has(self, of: Trigger | Suite, case: Case) -> bool:
        """Whether a case is to run."""
        if self.case is not None and self.case not in case.name:
            return False
        name = of.id if isinstance(of, Trigger) else of.name
        return self.matches is None or self.matches(f"{of.file} {name} {case.name}")


def run_cases(
    paths: PathsArgument = None,
    trigger: Annotated[
        str | None, typer.Option("--trigger", help="Only the cases of this trigger, tiering or tag.")
    ] = None,
    case: Annotated[str | None, typer.Option("--case", help="Only cases whose name contains this.")] = None,
    words: Annotated[
        str | None,
        typer.Option("-k", help='Only cases whose file, trigger or name has these words: "drop and not reversal".'),
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write the results here, as JUnit XML.")] = None,
    min_coverage: Annotated[
        int | None,
        typer.Option(
            "--min-coverage",
            min=0,
            max=100,
            help="Fail where the cases cover less than this percentage of the conditions.",
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Run again whenever a file changes, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Runs the tests inside rule files on a virtual clock, through the production engine.

    A failed case shows what it expected beside what came, and what each clause of the condition came to. Coverage
    counts every comparison and flag of `when`: some case must make it true and some case false. Below it stand those on
    which no case depends: were they always true, or always false, every case would still pass. Files with errors are
    listed first; the cases of the others run all the same, and the command fails.
    """
    matches = None
    if words is not None:
        try:
            matches = parse_selection(words)
        except BadSelection as error:
            fail(f"-k: {error}", Exit.USAGE)
    wanted = _Wanted(rules_at(paths, quiet=as_json), trigger, case, matches, junit, min_coverage, as_json)
    if min_coverage is not None and not wanted.whole:
        fail("--min-coverage needs every case of a trigger: leave out --case and -k", Exit.USAGE)
    if watch:
        _watch(wanted)
    if not _run(wanted, load_ruleset(wanted.paths)):
        raise typer.Exit(Exit.FAILED)


def _run(wanted: _Wanted, loaded: Loaded) -> bool:
    """Runs the cases and reports; returns whether all is well."""
    report_problems(loaded, as_json=wanted.as_json)
    if not wanted.as_json:
        tell_defaults(loaded)
    ruleset = loaded.ruleset or loaded.sound
    results: list[tuple[CaseResult, float]] = []
    covered: list[ClauseCoverage] = []
    idle: list[Idle] = []
    found = None
    if ruleset is not None:
        found = _nothing(wanted, ruleset)
        for trigger in ruleset.triggers:
            if found is None and wanted.trigger in (None, trigger.id):
                ran = _run_trigger(wanted, ruleset, trigger, loaded)
                results += ran
                of_cases = [result for result, _ in ran]
                of_trigger = cover(trigger, of_cases)
                covered += of_trigger
                if wanted.whole and all(result.passed for result in of_cases):
                    # What a case did not show at all is named already.
                    shown = {(one.line, one.column) for one in of_trigger if not one.missing}
                    found_idle = idle_clauses(ruleset, trigger, trigger.cases, of_cases)
                    idle += [one for one in found_idle if (one.line, one.column) in shown]
        for suite in ruleset.suites:
            if found is None and wanted.trigger in (None, suite.name):
                results += _run_suite(wanted, ruleset, suite, loaded)
    if found is not None:
        complain(found)
    failed = sum(not result.passed for result, _ in results)
    well = not loaded.errors and not failed and found is None
    if results:
        _summary(len(results), failed, as_json=wanted.as_json)
        if wanted.whole:
            well &= _report_coverage(wanted, covered, idle, loaded)
    if wanted.junit is not None:
        _write(wanted.junit, results, loaded)
    return well


def _nothing(wanted: _Wanted, ruleset: RuleSet) -> str | None:
    """Why no case can be chosen, where none can."""
    known = [*(trigger.id for trigger in ruleset.triggers), *(suite.name for suite in ruleset.suites)]
    if wanted.trigger is not None and wanted.trigger not in known:
        return f'no trigger "{wanted.trigger}"{suggest(wanted.trigger, known) or "; there are " + ", ".join(known)}'
    chosen: list[Trigger | Suite] = [
        *(trigger for trigger in ruleset.triggers if wanted.trigger in (None, trigger.id)),
        *(suite for suite in ruleset.suites if wanted.trigger in (None, suite.name)),
    ]
    if not any(wanted.has(of, case) for of in chosen for case in of.cases):
        return "no case matches; expected a part of a case's name"
    return None


def _run_trigger(wanted: _Wanted, ruleset: RuleSet, trigger: Trigger, loaded: Loaded) -> list[tuple[CaseResult, float]]:
    """Runs a trigger's cases, each with the seconds it took, and shows them as they come."""
    return _run_all(wanted, trigger, CaseRunner(ruleset, trigger).run, loaded)


def _run_suite(wanted: _Wanted, ruleset: RuleSet, suite: Suite, loaded: Loaded) -> list[tuple[CaseResult, float]]:
    """The same for a tiering or a tag, or for the desks."""
    runner = DeskSuiteRunner(ruleset, suite) if suite.name == SUITE else SuiteRunner(ruleset, suite)
    return _run_all(wanted, suite, runner.run, loaded)


def _run_all(
    wanted: _Wanted, of: Trigger | Suite, run: Callable[[Case], CaseResult], loaded: Loaded
) -> list[tuple[CaseResult, float]]:
    results = []
    console = Console()
    for case in of.cases:
        if not wanted.has(of, case):
            continue
        begin = perf_counter()
        result = run(case)
        results.append((result, perf_counter() - begin))
        _report_case(result, loaded, console, as_json=wanted.as_json)
    return results


def _report_case(result: CaseResult, loaded: Loaded, console: Console, *, as_json: bool) -> None:
    file = loaded.files.get(result.file, result.file)
    if as_json:
        say_json(
            {
                "type": "case",
                "trigger": result.trigger,
                "case": result.case,
                "file": file,
                "line": result.line,
                "passed": result.passed,
                "problem": result.problem,
                "timeline": [asdict(row) for row in result.rows if not result.passed],
                "report": "\n".join(report(result)),
            }
        )
    elif result.passed:
        say(f"ok   {result.trigger}: {result.case}")
    else:
        say(f"FAIL {result.trigger}: {result.case} ({file}:{result.line})")
        show_failure(result, console)


def _summary(count: int, failed: int, *, as_json: bool) -> None:
    if as_json:
        say_json({"type": "summary", "passed": count - failed, "failed": failed})
    else:
        say(f"{count - failed} passed, {failed} failed")


def _report_coverage(wanted: _Wanted, covered: Sequence[ClauseCoverage], idle: Sequence[Idle], loaded: Loaded) -> bool:
    """Shows what no case made true or false, and what none depends on; returns whether the coverage is enough."""
    # Down, not to the nearest: 99.9 is not all.
    reached = int(percent(covered))
    enough = wanted.min_coverage is None or reached >= wanted.min_coverage
    gaps = [_place(one, loaded) | {"missing": one.missing} for one in covered if one.missing]
    unneeded = [_place(one, loaded) | {"always": one.always} for one in idle]
    if wanted.as_json:
        counts = {"percent": reached, "enough": enough, "clauses": len(covered)}
        say_json({"type": "coverage", **counts, "missing": gaps, "no_case_depends_on": unneeded})
        return enough
    say(
        f"coverage of conditions: {reached}% ({len(covered) - len(gaps)} of {len(covered)} clauses were true and false)"
    )
    for gap in gaps:
        say(f"  {gap['file']}:{gap['line']}:{gap['column']} {gap['missing']}: {gap['clause']}")
    for one in unneeded:
        values = " or ".join(f"always {str(value).lower()}" for value in one["always"])
        say(f"  {one['file']}:{one['line']}:{one['column']} no case depends on: {one['clause']} ({values}, all pass)")
    if not enough:
        complain(f"coverage is {reached}%, below the {wanted.min_coverage}% asked for")
    return enough


def _place(one: ClauseCoverage | Idle, loaded: Loaded) -> dict[str, Any]:
    file = loaded.files.get(one.file, one.file)
    return {"trigger": one.trigger, "file": file, "line": one.line, "column": one.column, "clause": one.source}


def _write(path: Path, results: Sequence[tuple[CaseResult, float]], loaded: Loaded) -> None:
    from streams.commands.junit import write_junit

    try:
        write_junit(path, results, loaded.errors, loaded.files)
    except OSError as error:
        fail(f"{path}: cannot be written ({error.strerror}); expected a file in a folder that exists")


def _watch(wanted: _Wanted) -> NoReturn:
    """Runs now and after every change, until Ctrl-C."""
    from streams.commands.watching import watch_rules

    try:
        for loaded, changed in watch_rules(wanted.paths):
            if changed and wanted.as_json:
                say_json({"type": "changed", "files": changed})
            elif changed:
                say(f"\nchanged: {', '.join(changed)}")
            _run(wanted, loaded)
            if not wanted.as_json:
                say("waiting for changes; Ctrl-C ends")
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    raise AssertionError("watching ends by an interrupt only")
