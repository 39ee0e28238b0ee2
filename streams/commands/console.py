"""How every command speaks, on a terminal, in a pipe and to a machine; and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from streams.settings import Settings

T = TypeVar("T")


class Exit(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SETTINGS = 3
    UNREACHABLE = 4
    REFUSED = 5
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES = (
    "Exit codes: 0 done; 1 it ran and found or met an error; 2 wrong usage; 3 invalid settings; "
    "4 Kafka or Redis does not answer; 5 refused to start (topics, lost state); 130 interrupted; "
    "143 told to end (demo)."
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="A YAML or TOML file of settings; the environment (BANK_TRIGGERS_*) wins."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for a machine.")]


def settings_or_exit(config: Path | None, **overrides: Any) -> Settings:
    """The settings, or exit code 3 with every mistake in them."""
    from streams.settings import SettingsError, load_settings

    try:
        return load_settings(config, **overrides)
    except SettingsError as error:
        for problem in error.problems:
            complain(problem)
        raise typer.Exit(Exit.SETTINGS) from None


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a command's coroutine; a dependency that does not answer is exit code 4, Ctrl-C is 130."""
    # Imported here: commands that touch no broker, such as check, do not wait for its client to load.
    from streams.connections import NOT_ALLOWED, NotReachable
    from streams.store import StoreRefused

    # The client reports each attempt to connect; the command itself says what came of them.
    client = logging.getLogger("aiokafka")
    level = client.level
    client.setLevel(logging.CRITICAL)
    try:
        return asyncio.run(main())
    except NotReachable as error:
        fail(str(error), Exit.UNREACHABLE)
    except NOT_ALLOWED as error:
        what = " ".join(str(part) for part in error.args) or "something"
        fail(
            f"Kafka does not allow this user what the command asks for: {type(error).__name__} ({what}); the rights "
            "that are needed: bank-triggers topics acls operator",
            Exit.UNREACHABLE,
        )
    except StoreRefused as error:
        fail(f"{error}; the rights that are needed: bank-triggers state acl", Exit.UNREACHABLE)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    finally:
        client.setLevel(level)


def complain(text: str) -> None:
    """One line on the error output."""
    typer.echo(text, err=True)


def fail(text: str, code: Exit = Exit.FAILED) -> NoReturn:
    """Ends the command with a message."""
    complain(text)
    raise typer.Exit(code)


def say(text: str) -> None:
    """One line on the output."""
    typer.echo(text)


def say_json(value: Any) -> None:
    """One JSON object on a line of its own."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere a line a row, fields separated by tabs, under a line of their names."""
    console = Console()
    if console.is_terminal:
        table = Table(*columns, title=title or None)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    say("\t".join(columns))
    for row in rows:
        say("\t".join(row))


def show_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that has rows: without any, its headings alone would tell nothing."""
    if rows:
        show_table(title, columns, rows)
