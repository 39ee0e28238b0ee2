"""``check``: every mistake in rule files at once, without a broker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from streams.commands.console import Exit, JsonOption, fail, say, say_json, show_table
from streams.commands.library import PathsArgument, rules_at, tell_defaults, write_problems
from streams.commands.problem_formats import Format
from triggers.language.checks import ALL_CODES
from triggers.language.checks.pages import page_of
from triggers.language.loader import Loaded, load_ruleset
from triggers.language.reader import suggest

CHECK_EXAMPLE = "Example: bank-triggers check triggers/library --format github"


def check_rules(
    paths: PathsArgument = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="text; json, an object a line; sarif; github annotations.")
    ] = None,
    as_json: JsonOption = False,
    list_codes: Annotated[bool, typer.Option("--list", help="List every code with one line about it.")] = False,
    today: Annotated[
        datetime | None,
        typer.Option("--today", formats=["%Y-%m-%d"], help="The day for what depends on it; without it, today."),
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="CODE", help="What a code means, with examples.")
    ] = None,
) -> None:
    """Reads trigger files and reports every mistake in them, each as file:line:col CODE message (key path).

    A check is silenced by a comment with its code and a reason at the end of the line, or at the head of the file:
    # noqa: E104 the silent case is tested elsewhere
    """
    if as_json and form not in (None, Format.JSON):
        fail("--json is --format json: give one of them", Exit.USAGE)
    if explain is not None:
        _explain(explain.upper())
    elif list_codes:
        _list(as_json=as_json or form is Format.JSON)
    else:
        wanted = Format.JSON if as_json else form or Format.TEXT
        day = (today or datetime.now(UTC)).date()
        _check(load_ruleset(rules_at(paths, quiet=wanted is not Format.TEXT), day), wanted)


def _check(loaded: Loaded, form: Format) -> None:
    write_problems(loaded, form)
    if form is Format.TEXT:
        tell_defaults(loaded)
    if loaded.errors:
        raise typer.Exit(Exit.FAILED)
    assert loaded.ruleset is not None
    if form is Format.TEXT:
        silenced = f", {len(loaded.silenced)} silenced" if loaded.silenced else ""
        count = len(loaded.ruleset.triggers)
        say(f"{count} trigger{'' if count == 1 else 's'}, rule set {loaded.ruleset.hash}: no errors{silenced}")


def _list(*, as_json: bool) -> None:
    if as_json:
        for code in ALL_CODES:
            say_json({"code": code.id, "severity": code.severity, "silenceable": code.silenceable, "about": code.about})
        return
    rows = [(code.id, code.severity, "noqa" if code.silenceable else "", code.about) for code in ALL_CODES]
    show_table("", ("code", "severity", "silenced by", "about"), rows)


def _explain(code: str) -> None:
    known = [one.id for one in ALL_CODES]
    if code not in known:
        fail(f"there is no code {code}{suggest(code, known)}; --list shows all", Exit.USAGE)
    say(page_of(code).rstrip())
