"""Rule files → a rule set, or every problem in them at once.

``load_documents`` is pure: names and texts in, a rule set out. ``load_ruleset`` finds the files on disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Final

from triggers.errors import Problem
from triggers.language import codes
from triggers.language.calendar_file import read_calendar
from triggers.language.checks import ALL_CHECKS, ALL_CODES, DATED_CHECKS, OF_EXPRESSIONS, SHARED_CHECKS
from triggers.language.desks_file import read_desks
from triggers.language.document import Document, read_document
from triggers.language.draft import Draft
from triggers.language.model import RuleSet
from triggers.language.offers_file import read_offers
from triggers.language.policy_file import read_policy
from triggers.language.reader import Reader, TooManyProblems
from triggers.language.rule_files import file_problem, find_files
from triggers.language.shared import Named, Shared
from triggers.language.silencing import Silenced, silence
from triggers.language.tags_file import read_tags
from triggers.language.tiers_file import read_tiers
from triggers.language.trigger_file import read_trigger
from triggers.language.vocabulary import STANDARD

ROLES: Final[Mapping[str, Callable[[Reader, Document, Shared], Shared]]] = {
    "calendar.yaml": read_calendar,
    "tiers.yaml": read_tiers,
    "tags.yaml": read_tags,
    "desks.yaml": read_desks,
    "offers.yaml": read_offers,
    "policy.yaml": read_policy,
}
"""The files beside the triggers, of which a rule set has at most one each, in the order they are read: each may
build on those before it. They are known by name, in whatever folder."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading: ``ruleset`` is ``None`` where a problem is an error; warnings may stand beside it.

    ``sound`` has the triggers of the files without errors, for whoever tests those: ``None`` where there are none, or
    where a file that all triggers build on has errors. ``files`` maps each name in the rule set to the path it was
    found at. ``silenced`` are problems that comments in the files silence; they are not among the problems.
    """

    ruleset: RuleSet | None
    problems: list[Problem]
    sound: RuleSet | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    silenced: tuple[Silenced, ...] = ()

    @property
    def errors(self) -> list[Problem]:
        """The problems that are no warnings."""
        return [problem for problem in self.problems if problem.severity == "error"]


class InvalidRuleSet(Exception):
    """A stored rule set cannot be read by this program. ``problems`` say why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems[:10])))
        self.problems = tuple(problems)


def load_ruleset(paths: Sequence[Path], today: date | None = None) -> Loaded:
    """Reads every ``*.yaml`` under the paths (files or folders), with the files of ``ROLES``.

    Those are looked for under the paths and, where they are not there, beside and a few folders above.
    Problems name files as they were found; the rule set knows them by their place under the path given. What depends on
    the day is looked at where ``today`` is given.
    """
    found = find_files(paths, ROLES)
    loaded = _load(found.files, today)

    def shown(problem: Problem) -> Problem:
        return replace(problem, file=found.shown.get(problem.file, problem.file))

    problems = sorted([*found.problems, *map(shown, loaded.problems)])
    silenced = tuple(replace(one, problem=shown(one.problem)) for one in loaded.silenced)
    return Loaded(None if found.problems else loaded.ruleset, problems, loaded.sound, found.shown, silenced)


def load_documents(files: Mapping[str, str | bytes], today: date | None = None) -> Loaded:
    """Reads files given by name and content. The same content gives the same rule set, whatever order it comes in."""
    return _load(files, today)


def from_document(document: str) -> RuleSet:
    """The rule set of a ``RuleSet.document``. Raises ``InvalidRuleSet``."""
    try:
        files = json.loads(document)
    except (ValueError, RecursionError):
        files = None
    if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
        raise InvalidRuleSet([file_problem("document", codes.UNREADABLE, "expected JSON: file names and texts")])
    loaded = _load(files)
    if loaded.ruleset is None:
        raise InvalidRuleSet(loaded.problems)
    return loaded.ruleset


def _load(files: Mapping[str, str | bytes], today: date | None = None) -> Loaded:
    problems: list[Problem] = []
    documents: dict[str, Document] = {}
    for name in sorted(files):
        document, found = read_document(name, files[name])
        problems += found
        if document is not None:
            documents[name] = document
    unread = {_role(name) for name in files if name not in documents}
    shared = _shared(documents, unread, problems)
    drafts: list[Draft] = []
    of_cases: list[Named] = []
    for name, document in documents.items():
        if _role(name) in ROLES:
            continue
        reader = Reader(document)
        with suppress(TooManyProblems):
            draft = read_trigger(reader, document, shared)
            if draft is not None:
                drafts.append(draft)
        problems += reader.problems
        of_cases += reader.named
    shared = replace(shared, named=(*shared.named, *of_cases))
    for check in ALL_CHECKS:
        problems += check.find([*shared.drafts, *drafts] if check in OF_EXPRESSIONS else drafts)
    for shared_check in SHARED_CHECKS:
        problems += shared_check.find(drafts, shared)
    if today is not None:
        for dated_check in DATED_CHECKS:
            problems += dated_check.find(shared, today)
    problems, silenced = silence(documents, problems, ALL_CODES)
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
        tierings=shared.tierings,
        tags=shared.tags,
        derived_hash=_hash_of(documents, ("tiers.yaml", "tags.yaml")),
        suites=shared.suites,
    )
    sound = ruleset.triggers and not any(_role(name) in ROLES for name in wrong)
    return Loaded(None if wrong else ruleset, problems, ruleset if sound else None, silenced=tuple(silenced))


def _shared(documents: Mapping[str, Document], unread: set[str], problems: list[Problem]) -> Shared:
    """What the files beside the triggers give. Of one that cannot be read, what it says is not known."""
    shared = Shared(vocabulary=STANDARD.unknown(tiers="tiers.yaml" in unread, tags="tags.yaml" in unread))
    for role, read in ROLES.items():
        named = [name for name in documents if _role(name) == role]
        for name in named[1:]:
            message = f"the rule set has one {role}, and {named[0]} is read already"
            problems.append(file_problem(name, codes.SECOND_FILE, message))
        for name in named[:1]:
            reader = Reader(documents[name])
            with suppress(TooManyProblems):
                shared = read(reader, documents[name], shared)
            problems += reader.problems
            shared = replace(shared, named=(*shared.named, *reader.named))
    return shared


def _hash_of(documents: Mapping[str, Document], roles: Sequence[str]) -> str:
    """Names the content of these files; empty where there is none of them."""
    found = [document.text for name, document in documents.items() if _role(name) in roles]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:8] if found else ""


def _role(name: str) -> str:
    return PurePosixPath(name).name
