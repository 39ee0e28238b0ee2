"""``new`` and ``fmt``: what an author of rule files begins with and ends with, without a broker."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.console import Exit, complain, fail, say
from streams.commands.library import SCHEMAS_FOLDER
from triggers.casework.case_runner import run_case
from triggers.language.editor_schema import TRIGGER_SCHEMA
from triggers.language.formatting import CannotFormat, format_text
from triggers.language.grammar import form_of
from triggers.language.loader import ROLES, Loaded, load_documents
from triggers.language.reader import IDENTIFIER, one_of, suggest
from triggers.language.rule_files import find_files
from triggers.language.starters import Starter, starters

FMT_EXAMPLE = "Example: bank-triggers fmt ./my-triggers"

NEW_EXAMPLE = "Example: bank-triggers new --kind balance_drop --id big_fall --owner retail-deposits --dir ./my-triggers"
_OFFER = "call"

FilesArgument = Annotated[list[Path], typer.Argument(help="Rule files or folders of them.", show_default=False)]


def new(
    kind: Annotated[str | None, typer.Option("--kind", help="What wakes it; asked for where it is left out.")] = None,
    trigger_id: Annotated[str | None, typer.Option("--id", help="Its id, which is also the file's name.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Who answers for it.")] = None,
    offer: Annotated[str | None, typer.Option("--offer", help="What it offers; else one of offers.yaml.")] = None,
    folder: Annotated[Path, typer.Option("--dir", help="The folder of the file; made if missing.")] = Path(),
) -> None:
    """Writes a first trigger of a kind, with two cases, that passes check and test: a draft to be changed."""
    known = starters()
    try:
        starter = known[_kind(kind, known)]
        name = _id(trigger_id)
        owner = owner or typer.prompt("Who answers for it (a team)", err=True).strip()
    except typer.Abort:
        fail("no answer; give --kind, --id and --owner", Exit.USAGE)
    file = folder / f"{name}.yaml"
    there = next(iter(sorted(folder.rglob(file.name))), None) if folder.is_dir() else None
    if there is not None:
        fail(f"{there}: there is a trigger of this id; nothing is overwritten")
    beside = {role: data for role, data in find_files([file], ROLES).files.items() if role in ROLES}
    texts = {role: text for role, text in starter.fill_in_beside(owner).items() if role not in beside}
    text = starter.fill_in(name, owner, offer or _offer(load_documents({**beside, **texts})))
    loaded = load_documents({**beside, **texts, file.name: text})
    _refuse_where_wrong(loaded, file.name, starter, beside)
    modeline = f"# yaml-language-server: $schema={_schema_of(folder)}\n"
    for path, content in (*((folder / role, text) for role, text in texts.items()), (file, modeline + text)):
        _create(path, content)
        say(str(path))
    complain(f"change it to what you mean, then: bank-triggers check {folder} && bank-triggers test {folder}")


def _kind(given: str | None, known: Mapping[str, Starter]) -> str:
    if given is None:
        names = list(known)
        for number, starter in enumerate(known.values(), start=1):
            complain(f"{number:3} {starter.kind:<14} {starter.about}")
        given = typer.prompt("What should it react to (number or name)", err=True).strip()
        if given.isdecimal() and 1 <= int(given) <= len(names):
            return names[int(given) - 1]
    if given not in known:
        hint = suggest(given, known) or f"; there are {one_of(known)}"
        fail(f'there is no kind "{given}"{hint}', Exit.USAGE)
    return given


def _id(given: str | None) -> str:
    name: str = given or typer.prompt("Its id (such as big_fall)", err=True).strip()
    if not IDENTIFIER.fullmatch(name):
        fail(f'"{name}" is no id: small letters, digits and _, beginning with a letter', Exit.USAGE)
    return name


def _offer(loaded: Loaded) -> str:
    """An offer that the catalogue has, rather a service than a product; any name where there is none."""
    offers = (loaded.ruleset.offers if loaded.ruleset else None) or {}
    return next(iter(sorted(offers, key=lambda name: (offers[name].kind != "service", name))), _OFFER)


def _refuse_where_wrong(loaded: Loaded, name: str, starter: Starter, beside: Mapping[str, bytes]) -> None:
    """Ends the command where the file would not pass check and test among the files beside it."""
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    for problem in errors:
        complain(str(problem))
    for role, text in starter.beside.items():
        if errors and role in beside:
            complain(f"this kind needs in your {role} what is here:\n{text}")
    if loaded.ruleset is None:
        fail(f"{name} was not written: it would not pass check")
    failed = [
        case.name
        for trigger in loaded.ruleset.triggers
        for case in trigger.cases
        if not run_case(loaded.ruleset, trigger, case).passed
    ]
    if failed:
        fail(f"{name} was not written: under the policy and calendar beside it these cases fail: {one_of(failed)}")


def _schema_of(folder: Path) -> str:
    """The way from a folder to the schema of triggers: in the nearest folder above that has it, else in this one."""
    above = [folder.absolute(), *folder.absolute().parents]
    home = next((one for one in above if (one / SCHEMAS_FOLDER / TRIGGER_SCHEMA).is_file()), above[0])
    return Path("../" * above.index(home), SCHEMAS_FOLDER, TRIGGER_SCHEMA).as_posix()


def _create(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}")


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
