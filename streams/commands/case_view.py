"""A failed case on a terminal, as wide as that is; in a pipe the plain report."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from streams.commands.console import say
from triggers.casework.case_runner import CaseResult
from triggers.casework.report import (
    LEGEND,
    MARKS,
    cells,
    headline,
    readings,
    report,
    show_reading,
    top_clauses,
    word,
)
from triggers.casework.timeline import moment
from triggers.casework.trace import Evaluated

_STYLES = {"matched": "green", "missing": "red", "unexpected": "red", "differs": "yellow"}
_VALUES = {True: "green", False: "red", None: "yellow"}


def show_failure(result: CaseResult, console: Console) -> None:
    """What was expected beside what came, and what decided each evaluation of the trigger."""
    if not console.is_terminal:
        for line in report(result):
            say(f"     {line}".rstrip())
        return
    if result.problem:
        console.print(Padding(Text(f"line {result.line}: {result.problem}", "red"), (0, 0, 0, 5)))
    else:
        console.print(Padding(_timeline(result), (0, 0, 0, 5)))
    for evaluated in result.trace:
        console.print(Padding(_decided(evaluated, result), (1, 0, 0, 5)))


def _timeline(result: CaseResult) -> Table:
    table = Table("time", "", "expected", "came", caption=LEGEND, caption_justify="left", expand=True)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[2].ratio = table.columns[3].ratio = 1
    for row in result.rows:
        style = _STYLES.get(row.kind, "dim")
        # Texts, not markup: brackets of an author stay brackets.
        texts = [moment(row.at_ms, result.zone), MARKS[row.kind], *cells(row)]
        table.add_row(*[Text(text, style) for text in texts])
    return table


def _decided(evaluated: Evaluated, result: CaseResult) -> Table:
    table = Table.grid(padding=(0, 2))
    table.title = Text(headline(evaluated, result.outputs, result.zone), "bold")
    table.title_justify = "left"
    for clause in top_clauses(evaluated.finding):
        read = Text(", ".join(map(show_reading, readings(clause))), "dim")
        table.add_row(Text(word(clause.value), _VALUES[clause.value]), Text(clause.clause.source), read)
    for column in table.columns:
        column.overflow = "fold"
    return table
