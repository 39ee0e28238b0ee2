"""``explain``: why a trigger fired, or did not: its condition as a tree of values, for a case or a recorded event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from schemas.base import Record, to_ms
from schemas.decode import Rejected, decode
from schemas.topics import TOPIC
from streams.commands.console import Exit, JsonOption, complain, fail, say, say_json
from streams.commands.library import PathsArgument, report_problems, rules_at
from streams.event_file import EventLine, read_events
from streams.record_files import tenant_of
from triggers.casework.case_runner import CaseRunner
from triggers.casework.explanation import Branch, as_lines, explain, explain_json
from triggers.casework.history import choose, run_history
from triggers.casework.report import report
from triggers.casework.timeline import moment
from triggers.casework.trace import Evaluated
from triggers.errors import Problem
from triggers.language.loader import load_ruleset
from triggers.language.model import Case, RuleSet, Trigger
from triggers.language.reader import suggest

EXPLAIN_EXAMPLE = 'Example: bank-triggers explain balance_drop --case "one yuan less is silent"'

_SHOWN: Final = 10
_STYLES: Final = {True: "green", False: "red", None: "yellow"}
_CUSTOMER_TOPICS: Final = frozenset(topic.name for topic in TOPIC.values() if topic.stage == "customer")


def explain_trigger(
    trigger: Annotated[str, typer.Argument(help="The trigger's id.")],
    paths: PathsArgument = None,
    case: Annotated[str | None, typer.Option("--case", help="One of its cases: the name, or a part of it.")] = None,
    events: Annotated[
        Path | None, typer.Option("--events", help="Recorded events, as `import` writes and `publish` reads them.")
    ] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="Whose history of the events file.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help='The moment, such as "2026-03-02 10:00": evaluations then, or the last before.'),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows why a trigger fired or did not: each clause of its condition with the values it read, then what followed.

    It shows what the customer's record says: use it where you may see that.
    """
    loaded = load_ruleset(rules_at(paths, quiet=as_json))
    ruleset = loaded.ruleset or loaded.sound
    if loaded.ruleset is None:
        report_problems(loaded, as_json=as_json)
    if ruleset is None:
        raise typer.Exit(Exit.FAILED)
    known = {one.id: one for one in ruleset.triggers}
    if trigger not in known:
        fail(f'no trigger "{trigger}"{suggest(trigger, known) or "; there are " + ", ".join(known)}')
    if (case is None) == (events is None):
        fail("expected either --case NAME or --events FILE", Exit.USAGE)
    moment_ms = None if at is None else _moment(at, ruleset)
    if events is None:
        assert case is not None
        _explain_case(ruleset, known[trigger], _case(known[trigger], case), moment_ms, as_json=as_json)
    else:
        _explain_events(ruleset, known[trigger], events, customer, moment_ms, as_json=as_json)


def _moment(text: str, ruleset: RuleSet) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(f'--at: expected a time such as "2026-03-02 10:00", found "{text}"', Exit.USAGE)
    return to_ms(found if found.tzinfo else found.replace(tzinfo=ruleset.policy.timezone))


def _case(trigger: Trigger, name: str) -> Case:
    """The case of this name, or the only one with this in its name."""
    found = [case for case in trigger.cases if case.name == name] or [
        case for case in trigger.cases if name.casefold() in case.name.casefold()
    ]
    if len(found) != 1:
        names = ", ".join(f'"{case.name}"' for case in found or trigger.cases)
        fail(f'{"more than one case has" if found else "no case has"} "{name}" in its name; expected one of {names}')
    return found[0]


def _explain_case(ruleset: RuleSet, trigger: Trigger, case: Case, at: int | None, *, as_json: bool) -> None:
    result = CaseRunner(ruleset, trigger).run(case)
    chosen = list(result.trace) if at is None else choose(result.trace, at)
    if not as_json:
        say(f'{trigger.id}, case "{case.name}": {"passes" if result.passed else "fails"}')
    if result.problem:
        complain(report(result)[0])
    if not chosen:
        complain(f"the trigger was never evaluated{'' if at is None else ' by then'}")
    show_evaluations(chosen, result.outputs, result.zone, as_json=as_json)
    if result.problem or not chosen:
        raise typer.Exit(Exit.FAILED)


def _explain_events(
    ruleset: RuleSet, trigger: Trigger, file: Path, customer: str | None, at: int | None, *, as_json: bool
) -> None:
    tenant, name, lines = _lines_of(file, customer)
    records = _records(file, tenant, lines)
    history = run_history(ruleset, trigger.id, tenant, name, records, at)
    for record, refused in history.refused:
        complain(f"event {record.event_id} is set aside: {refused.reason} {refused.field} {refused.problem}")
    zone = ruleset.policy.timezone
    fired = [one for one in history.trace if one.fires]
    chosen = choose(history.trace, at)
    if not chosen:
        fail(f"the trigger was never evaluated for customer {name}, who has {history.records} events by then")
    if not as_json:
        times = ", ".join(moment(one.at, zone) for one in fired[-_SHOWN:])
        more = f"the last {_SHOWN}: " if len(fired) > _SHOWN else ""
        say(f"{trigger.id}, customer {name}: {history.records} events, {len(history.trace)} evaluations")
        say(f"true at {len(fired)} of them{f' ({more}{times})' if fired else ''}")
    show_evaluations(chosen, history.outputs, zone, as_json=as_json)


def _lines_of(file: Path, customer: str | None) -> tuple[str, str, list[EventLine]]:
    """The tenant, the customer and that customer's lines of an events file, in its order."""
    lines: dict[str, list[EventLine]] = {}
    problems = 0
    for line in read_events(file):
        if isinstance(line, Problem):
            problems += 1
            if problems <= _SHOWN:
                complain(str(line))
        elif line.topic in _CUSTOMER_TOPICS and line.key is not None and customer in (None, line.key):
            lines.setdefault(line.key, []).append(line)
    if problems > _SHOWN:
        complain(f"… and {problems - _SHOWN} more mistakes")
    if not lines:
        whose = "of a customer" if customer is None else f"of customer {customer}"
        fail(f"{file}: no event {whose}")
    if len(lines) > 1:
        few = ", ".join(sorted(lines)[:_SHOWN])
        fail(f"{file} has events of {len(lines)} customers: choose one with --customer, such as {few}", Exit.USAGE)
    name, found = next(iter(lines.items()))
    return next(filter(None, (tenant_of(line.value) for line in found)), ""), name, found


def _records(file: Path, tenant: str, lines: Sequence[EventLine]) -> Iterator[Record]:
    """The records of the lines that are; the others are named."""
    for line in lines:
        key = None if line.key is None else line.key.encode()
        record = decode(TOPIC[line.topic], tenant, key, line.value)
        if isinstance(record, Rejected):
            complain(f"{file}:{line.line} {record.reason} {record.field} {record.problem}")
        else:
            yield record


def show_evaluations(chosen: Sequence[Evaluated], outputs: Sequence[Record], zone: ZoneInfo, *, as_json: bool) -> None:
    """Evaluations as trees on a terminal, as indented text elsewhere, or as JSON."""
    console = Console()
    for evaluated in chosen:
        if as_json:
            say_json(explain_json(evaluated, outputs, zone))
            continue
        branch = explain(evaluated, outputs, zone)
        if console.is_terminal:
            console.print(_tree(branch))
        else:
            say("\n".join(as_lines(branch)))


def _tree(branch: Branch) -> Tree:
    tree = Tree(_text(branch), guide_style="dim")
    for below in branch.branches:
        tree.children.append(_tree(below))
    return tree


def _text(branch: Branch) -> Text:
    """The text of a branch, not markup: brackets of an author stay brackets."""
    style = {"clause": _STYLES[branch.value], "reading": "dim", "evaluation": "bold"}.get(branch.kind, "")
    return Text(branch.text, style)
