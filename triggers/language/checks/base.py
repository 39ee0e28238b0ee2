"""What a check is: a code and a function from all trigger files to problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from triggers.errors import Problem
from triggers.language.codes import Code
from triggers.language.document import shorten
from triggers.language.domains import Choices
from triggers.language.draft import Draft
from triggers.language.expressions import Checked
from triggers.language.model import OnEvent
from triggers.language.names import DETAILS
from triggers.language.outcomes import Facts, Finding, idle_parts
from triggers.language.shared import Shared
from triggers.language.tree import Term


@dataclass(frozen=True, slots=True)
class Check:
    """One code and how it is found. A check sees every file of the rule set, so that it may compare them."""

    code: Code
    find: Callable[[Sequence[Draft]], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class SharedCheck:
    """A check that compares the trigger files with the files beside them."""

    code: Code
    find: Callable[[Sequence[Draft], Shared], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class DatedCheck:
    """A check that depends on the day on which it is asked. It runs only where that is given: ``check`` gives it.

    It is not to be silenced: on another day there would be nothing to silence.
    """

    code: Code
    find: Callable[[Shared, date], Iterator[Problem]]


def idle_parts_of(draft: Draft) -> Sequence[tuple[Checked, Finding]]:
    """The parts of the conditions of a file that decide nothing; several checks ask, one looks."""
    if draft.idle is None:
        given, when = _given_by_wakes(draft), draft.fields.get("when")
        draft.idle = [
            (checked, found)
            for checked in draft.conditions
            for found in idle_parts(checked.term, given if checked.node is when else None)
        ]
    return draft.idle


def source_of(checked: Checked, term: Term) -> str:
    """A part of a condition as the author wrote it, for a message."""
    return shorten(" ".join(checked.node.text[term.begin : term.end].split()))


def _given_by_wakes(draft: Draft) -> Facts:
    """Which ``event.action`` or ``event.outcome`` there can be, where every event of ``on`` is narrowed to one."""
    events = [wake for wake in draft.on if isinstance(wake, OnEvent)]
    kinds, details = {wake.record_type for wake in events}, {wake.detail for wake in events}
    if len(events) < len(draft.on) or len(kinds) != 1 or None in details:
        return {}  # what the engine derives comes of events of any kind
    return {f"event.{DETAILS[kinds.pop()]}": Choices(frozenset(details))}
