"""What the triggers of a rule set have in common, as it is gathered from the files beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from triggers.errors import Problem
from triggers.language.codes import Code
from triggers.language.document import Place
from triggers.language.draft import Draft
from triggers.language.features import FeatureTable
from triggers.language.model import Offer, Policy, Suite, Tag, Tiering
from triggers.language.vocabulary import STANDARD, Vocabulary


class Spot(NamedTuple):
    """A place in a file."""

    file: str
    place: Place

    def problem(self, code: Code, message: str) -> Problem:
        place = self.place
        return Problem(self.file, place.line, place.column, code.id, message, place.path, code.severity)


class Named(NamedTuple):
    """A name of another file as the policy uses it."""

    kind: Literal["trigger", "category"]
    name: str
    spot: Spot


@dataclass(frozen=True, slots=True)
class Shared:
    """What every file may build on. Each role's reader gives the next file an extended copy.

    ``table`` is one for the whole rule set and grows in place: features that are the same are kept once.
    """

    policy: Policy = field(default_factory=Policy)
    table: FeatureTable = field(default_factory=FeatureTable)
    offers: Mapping[str, Offer] | None = None
    """The catalogue by name; ``None`` where there is none, and any name will do."""
    offers_read: bool = True
    """Whether the catalogue is without mistakes: only then is a choice held against it."""
    vocabulary: Vocabulary = STANDARD
    tierings: tuple[Tiering, ...] = ()
    tags: tuple[Tag, ...] = ()
    places: Mapping[str, tuple[Draft, Place]] = field(default_factory=dict)
    """Where each tiering and each tag stands: the file and the place."""
    spots: Mapping[str, Spot] = field(default_factory=dict)
    """Where other things stand: caps (``caps[0]`` …), suitabilities, offers (``offers.name``), ``covers`` …"""
    named: tuple[Named, ...] = ()
    """The triggers and categories that the policy names."""
    suites: tuple[Suite, ...] = ()
    drafts: tuple[Draft, ...] = ()
    """The files among these that have features and conditions."""
