"""``fmt``: what an author of rule files needs besides check and test, without a broker."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.console import Exit, complain, say
from triggers.language.formatting import CannotFormat, format_text
from triggers.language.grammar import form_of
from triggers.language.rule_files import find_files

FMT_EXAMPLE = "Example: bank-triggers fmt ./my-triggers"

FilesArgument = Annotated[list[Path], typer.Argument(help="Rule files or folders of them.", show_default=False)]


def fmt(
    paths: FilesArgument,
    check: Annotated[bool, typer.Option("--check", help="Only name the files that would change.")] = False,
) -> None:
    """Writes rule files in one way: order of keys, indentation, quotes. Comments stay; what they mean never changes."""
    changed = unchanged = failed = 0
    for path in paths:
        found = find_files([path], ())
        for problem in found.problems:
            complain(str(problem))
        failed += len(found.problems)
        for name, data in found.files.items():
            file = Path(found.shown[name])
            formatted = _formatted(file, data)
            if formatted is None:
                failed += 1
            elif formatted.encode() == data:
                unchanged += 1
            else:
                changed += 1
                say(str(file))
                if not check and not _write(file, formatted):
                    failed += 1
    said = "would change" if check else "changed"
    complain(f"{changed} {said}, {unchanged} in order" + (f", {failed} cannot be formatted" if failed else ""))
    if failed or (check and changed):
        raise typer.Exit(Exit.FAILED)


def _formatted(file: Path, data: bytes) -> str | None:
    """A file's canonical form; ``None`` where it has none, which is told."""
    try:
        formatted, problems = format_text(str(file), data, form_of(file.name))
    except CannotFormat as error:
        complain(f"{error}: please report this; the file is left as it is")
        return None
    for problem in problems:
        complain(str(problem))
    return formatted


def _write(file: Path, text: str) -> bool:
    """Replaces a file at once: whoever reads it meanwhile has the old or the new one. A link stays a link."""
    target = file.resolve()
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fmt-") as scratch:
            new = Path(scratch, target.name)
            new.write_text(text, "utf-8")
            shutil.copymode(target, new)
            new.replace(target)
    except OSError as error:
        complain(f"{file}: cannot be written: {error.strerror}")
        return False
    return True
