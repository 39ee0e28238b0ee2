"""``new`` and ``fmt``: what an author of rule files begins with and ends with, without a broker."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

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
_OWNER: Final = re.compile(r"[^\W\d_][\w .&/@-]*")

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
    for wrong in (kind and _wrong_kind(kind, known), trigger_id and _wrong_id(trigger_id)):
        if wrong:
            fail(wrong, Exit.USAGE)
    if trigger_id and (taken := _taken(trigger_id, folder)):
        fail(taken)
    starter = known[kind or _ask_kind(known)]
    name = trigger_id or _ask("Its id (such as big_fall)", lambda id_: _wrong_id(id_) or _taken(id_, folder))
    owner = owner or _ask("Who answers for it (a team)", _wrong_owner)
    file = folder / f"{name}.yaml"
    beside = {role: data for role, data in find_files([file], ROLES).files.items() if role in ROLES}
    texts = {role: text for role, text in starter.fill_in_beside(owner).items() if role not in beside}
    text = starter.fill_in(name, owner, offer or _offer(load_documents({**beside, **texts})))
    loaded = load_documents({**beside, **texts, file.name: text})
    _refuse_where_wrong(loaded, file.name, starter, beside)
    schema = _schema_of(folder)
    modeline = "" if schema is None else f"# yaml-language-server: $schema={schema}\n"
    for path, content in (*((folder / role, text) for role, text in texts.items()), (file, modeline + text)):
        _create(path, content)
        say(str(path))
    if schema is None:
        complain(f"for help in an editor: bank-triggers schemas editor {folder / SCHEMAS_FOLDER}")
    complain(f"change it to what you mean, then: bank-triggers check {folder} && bank-triggers test {folder}")


def _ask(question: str, wrong: Callable[[str], str]) -> str:
    """Asks until the answer is right, each time with what was wrong; the end of the input ends the command."""
    while True:
        answer = _answer(question)
        if answer is None:
            fail("no answer; give --kind, --id and --owner", Exit.USAGE)
        reason = wrong(answer) if answer else "an answer is needed"
        if not reason:
            return answer
        complain(reason)


def _answer(question: str) -> str | None:
    """One answer; ``None`` where there is no more. A question whose answer nobody types is a line of its own."""
    if not sys.stdin.isatty():
        complain(f"{question}:")
        line = sys.stdin.readline()
        return line.strip() if line else None
    try:
        return str(typer.prompt(question, default="", show_default=False, err=True)).strip()
    except typer.Abort:
        complain("")
        return None


def _ask_kind(known: Mapping[str, Starter]) -> str:
    by_number = {str(number): kind for number, kind in enumerate(known, start=1)}
    for number, kind in by_number.items():
        complain(f"{number:>3} {kind:<14} {known[kind].about}")
    answer = _ask(
        "What should it react to (number or name)",
        lambda given: "" if given in by_number else _wrong_kind(given, known),
    )
    return by_number.get(answer, answer)


def _wrong_kind(given: str, known: Mapping[str, Starter]) -> str:
    if given in known:
        return ""
    return f'there is no kind "{given}"{suggest(given, known) or f"; there are {one_of(known)}"}'


def _wrong_id(given: str) -> str:
    if IDENTIFIER.fullmatch(given):
        return ""
    return f'"{given}" is no id: small letters, digits and _, beginning with a letter'


def _wrong_owner(given: str) -> str:
    if _OWNER.fullmatch(given):
        return ""
    return f'"{given}" is no team: letters, digits, spaces and . & / @ _ -, beginning with a letter'


def _taken(trigger_id: str, folder: Path) -> str:
    """Where a trigger of this id stands in the folder or below."""
    there = next(iter(sorted(folder.rglob(f"{trigger_id}.yaml"))), None) if folder.is_dir() else None
    return "" if there is None else f"{there}: there is a trigger of this id; nothing is overwritten"


def _offer(loaded: Loaded) -> str:
    """An offer that the catalogue has, rather a service than a product; any name where there is none."""
    offers = (loaded.ruleset.offers if loaded.ruleset else None) or {}
    return next(iter(sorted(offers, key=lambda name: (offers[name].kind != "service", name))), _OFFER)


def _refuse_where_wrong(loaded: Loaded, name: str, starter: Starter, beside: Mapping[str, bytes]) -> None:
    """Ends the command where the file would not pass check and test among the files beside it."""
    errors = loaded.errors
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


def _schema_of(folder: Path) -> str | None:
    """The way from a folder to the schema of triggers in the nearest folder above that has it, if one has."""
    here = folder.resolve()
    above = [here, *here.parents]
    home = next((one for one in above if (one / SCHEMAS_FOLDER / TRIGGER_SCHEMA).is_file()), None)
    if home is None:
        return None
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
