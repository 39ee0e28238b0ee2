"""E111: a step of a ladder uses a channel that does not exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.document import shorten
from triggers.language.draft import Draft
from triggers.language.grammar import CHANNELS
from triggers.language.reader import one_of, suggest

CODE = Code("E111", "a step of a ladder uses a channel that does not exist")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        for place, channel in draft.channels:
            if channel not in CHANNELS:
                hint = suggest(channel, CHANNELS) or f"; there are {one_of(CHANNELS)}"
                yield draft.problem(CODE, place, f'unknown channel "{shorten(channel)}"{hint}')


CHECK = Check(CODE, find)
