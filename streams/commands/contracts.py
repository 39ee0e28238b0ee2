"""``schemas``: the contract with publishers and notifiers, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.export import export
from streams.commands.console import fail, say

EXPORT_EXAMPLE = "Example: bank-triggers schemas export ./contracts"

schemas = typer.Typer(help="The contract with publishers and notifiers.", no_args_is_help=True)


@schemas.command(name="export", epilog=EXPORT_EXAMPLE)
def export_schemas(directory: Annotated[Path, typer.Argument(help="The folder to write to; made if missing.")]) -> None:
    """Writes a JSON Schema for each topic."""
    try:
        written = export(directory)
    except OSError as error:
        fail(f"{directory}: cannot be written ({error.strerror}); expected a folder")
    for path in written:
        say(str(path))
