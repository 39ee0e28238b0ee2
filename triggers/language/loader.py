"""Rule files → a rule set, or every problem in them at once.

``load_documents`` is pure: names and texts in, a rule set out. ``load_ruleset`` finds the files on disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from triggers.errors import Problem
from triggers.language import codes
from triggers.language.checks import ALL_CHECKS
from triggers.language.codes import Code
from triggers.language.document import MAX_BYTES, Document, read_document
from triggers.language.draft import Draft
from triggers.language.model import RuleSet
from triggers.language.offers_file import read_offers
from triggers.language.policy_file import read_calendar, read_policy
from triggers.language.reader import Reader
from triggers.language.shared import Shared
from triggers.language.trigger_file import read_trigger

ROLES: Final[Mapping[str, Callable[[Reader, Document, Shared], Shared]]] = {
    "policy.yaml": read_policy,
    "calendar.yaml": read_calendar,
    "offers.yaml": read_offers,
}
"""The files beside the triggers, of which a rule set has at most one each, in the order they are read: each may
build on those before it. They are known by name, in whatever folder."""
_LATER: Final = frozenset({"tiers.yaml", "tags.yaml", "desks.yaml"})
_MOST_FILES: Final = 5_000
_LOOK_UP: Final = 3
"""How many folders above a path are searched for the files beside the triggers."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading: ``ruleset`` is ``None`` where a problem is an error; warnings may stand beside it.

    ``sound`` has the triggers of the files without errors, for whoever tests those: ``None`` where there are none, or
    where a file that all triggers build on has errors. ``files`` maps each name in the rule set to the path it was
    found at.
    """

    ruleset: RuleSet | None
    problems: list[Problem]
    sound: RuleSet | None = None
    files: Mapping[str, str] = field(default_factory=dict)


class InvalidRuleSet(Exception):
    """A stored rule set cannot be read by this program. ``problems`` say why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems[:10])))
        self.problems = tuple(problems)


def load_ruleset(paths: Sequence[Path]) -> Loaded:
    """Reads every ``*.yaml`` under the paths (files or folders), with the files of ``ROLES``.

    Those are looked for under the paths and, where they are not there, beside and a few folders above.
    Problems name files as they were found; the rule set knows them by their place under the path given.
    """
    found = _Found({}, {}, [])
    for path in paths:
        _collect(path, found)
    given = {_role(name) for name in found.files}
    for role in ROLES:
        if role not in given:
            _look_up(role, paths, found)
    if not found.problems and given <= set(ROLES):
        where = ", ".join(map(str, paths)) or "no path given"
        found.problems.append(_file_problem(where, codes.UNREADABLE, "no trigger file (*.yaml) found"))
    loaded = _load(found.files)
    problems = [replace(problem, file=found.shown.get(problem.file, problem.file)) for problem in loaded.problems]
    problems = sorted([*found.problems, *problems])
    return Loaded(None if found.problems else loaded.ruleset, problems, loaded.sound, found.shown)


def load_documents(files: Mapping[str, str]) -> Loaded:
    """Reads files given by name and text. The same content gives the same rule set, whatever order it comes in."""
    return _load(files)


def from_document(document: str) -> RuleSet:
    """The rule set of a ``RuleSet.document``. Raises ``InvalidRuleSet``."""
    try:
        files = json.loads(document)
    except (ValueError, RecursionError):
        files = None
    if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
        raise InvalidRuleSet([_file_problem("document", codes.UNREADABLE, "expected JSON: file names and texts")])
    loaded = _load(files)
    if loaded.ruleset is None:
        raise InvalidRuleSet(loaded.problems)
    return loaded.ruleset


def _load(files: Mapping[str, str | bytes]) -> Loaded:
    problems: list[Problem] = []
    documents: dict[str, Document] = {}
    for name in sorted(files):
        document, found = read_document(name, files[name])
        problems += found
        if document is not None:
            documents[name] = document
    shared = _shared(documents, problems)
    drafts: list[Draft] = []
    for name, document in documents.items():
        if _role(name) in ROLES:
            continue
        if _role(name) in _LATER:
            problems.append(_file_problem(name, codes.NOT_SUPPORTED, f"{_role(name)} is not supported yet"))
            continue
        reader = Reader(document)
        draft = read_trigger(reader, document, shared)
        problems += reader.problems
        if draft is not None:
            drafts.append(draft)
    for check in ALL_CHECKS:
        problems += check.find(drafts)
    problems.sort()
    wrong = {problem.file for problem in problems if problem.severity == "error"}
    text = json.dumps({name: document.text for name, document in documents.items()}, sort_keys=True)
    ruleset = RuleSet(
        hash=hashlib.sha256(text.encode()).hexdigest()[:16],
        triggers=tuple(draft.trigger for draft in drafts if draft.trigger and draft.file not in wrong),
        series=shared.table.series,
        features=shared.table.features,
        policy=shared.policy,
        document=text,
        offers=shared.offers,
    )
    sound = ruleset.triggers and not any(_role(name) in ROLES for name in wrong)
    return Loaded(None if wrong else ruleset, problems, ruleset if sound else None)


def _shared(documents: Mapping[str, Document], problems: list[Problem]) -> Shared:
    shared = Shared()
    for role, read in ROLES.items():
        named = [name for name in documents if _role(name) == role]
        for name in named[1:]:
            message = f"the rule set has one {role}, and {named[0]} is read already"
            problems.append(_file_problem(name, codes.SECOND_FILE, message))
        for name in named[:1]:
            reader = Reader(documents[name])
            shared = read(reader, documents[name], shared)
            problems += reader.problems
    return shared


def _role(name: str) -> str:
    return PurePosixPath(name).name


@dataclass(slots=True)
class _Found:
    """Files by their name in the rule set, and how each is shown to its author."""

    files: dict[str, bytes]
    shown: dict[str, str]
    problems: list[Problem]


def _collect(path: Path, found: _Found) -> None:
    if not path.is_dir():
        _read(path, path.name, found)
        return
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if any(part.startswith(".") for part in relative.parts) or not file.is_file():
            continue
        if file.suffix == ".yml":
            message = "rule files end in .yaml: rename it, or it is never read"
            found.problems.append(_file_problem(str(file), codes.UNREADABLE, message))
        elif file.suffix == ".yaml":
            _read(file, relative.as_posix(), found)
        if len(found.files) > _MOST_FILES:
            message = f"more than {_MOST_FILES} files"
            found.problems.append(_file_problem(str(path), codes.TOO_BIG, message))
            return


def _read(file: Path, name: str, found: _Found) -> None:
    shown = str(file)
    if found.shown.get(name) == shown:
        return
    if name in found.files:
        message = f"the rule set has a file {name} already: {found.shown[name]}"
        found.problems.append(_file_problem(shown, codes.SECOND_FILE, message))
        return
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror or 'an input error'}"
        found.problems.append(_file_problem(shown, codes.UNREADABLE, message))
        return
    found.files[name] = data
    found.shown[name] = shown


def _look_up(name: str, paths: Sequence[Path], found: _Found) -> None:
    for path in paths:
        for folder in list(path.absolute().parents)[:_LOOK_UP]:
            if (folder / name).is_file():
                _read(folder / name, name, found)
                return


def _file_problem(file: str, code: Code, message: str) -> Problem:
    return Problem(file, 1, 1, code.id, message)
