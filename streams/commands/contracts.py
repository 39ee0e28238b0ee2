"""``schemas``: the contract with publishers and notifiers, as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from schemas.export import export
from streams.commands.console import complain, fail, say
from streams.commands.library import SCHEMAS_FOLDER
from triggers.language.editor_schema import editor_schemas, editor_settings
from triggers.language.reference import reference

EXPORT_EXAMPLE = "Example: bank-triggers schemas export ./contracts"

METRICS_EXAMPLE = "Example: bank-triggers schemas metrics > METRICS.md"

EDITOR_EXAMPLE = "Example: bank-triggers schemas editor ./my-triggers/.schemas"

REFERENCE_EXAMPLE = "Example: bank-triggers schemas reference > REFERENCE.md"

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


@schemas.command(name="reference", epilog=REFERENCE_EXAMPLE)
def show_reference() -> None:
    """Prints the reference of the trigger language, as Markdown: what can be written in a rule file."""
    say(reference().rstrip("\n"))


@schemas.command(name="metrics", epilog=METRICS_EXAMPLE)
def show_metrics() -> None:
    """Prints every metric of a worker, as Markdown: name, type, labels, meaning."""
    from streams.metrics import reference as metrics_reference

    say(metrics_reference())


@schemas.command(name="editor", epilog=EDITOR_EXAMPLE)
def export_editor_schemas(
    directory: Annotated[
        Path, typer.Argument(help=f"The folder to write to, made if missing; {SCHEMAS_FOLDER} where none is named.")
    ] = Path(SCHEMAS_FOLDER),
) -> None:
    """Writes a JSON Schema for each kind of rule file, by which editors complete, explain and underline."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, schema in editor_schemas().items():
            file = directory / name
            file.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            say(str(file))
    except OSError as error:
        fail(f"{directory}: cannot be written ({error.strerror}); expected a folder")
    settings = editor_settings(directory.as_posix(), directory.parent.as_posix())
    complain(f"for VS Code with the YAML extension, in .vscode/settings.json:\n{json.dumps(settings, indent=2)}")
