"""A trigger file as read, with every place that a check may want to point at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from triggers.errors import Problem
from triggers.language.codes import Code
from triggers.language.document import Place
from triggers.language.expressions import Checked, FeatureName
from triggers.language.model import Case, Policy, Step, Trigger, Wake
from triggers.language.outcomes import Finding
from triggers.language.reader import Fields

MOST_FIELDS: Final = 20
"""How many fields a message may have."""


@dataclass(slots=True)
class Draft:
    """What is known of one trigger file after reading; ``trigger`` is ``None`` where reading found a mistake."""

    file: str
    fields: Fields
    policy: Policy
    id: str | None = None
    features: dict[str, FeatureName] = field(default_factory=dict)
    feature_places: dict[str, Place] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    on: tuple[Wake, ...] = ()
    """What wakes the trigger, as far as it could be read."""
    ladder: list[tuple[Place, Step]] = field(default_factory=list)
    """The steps of the ladder that could be read, each with the place of its channel."""
    channels: list[tuple[Place, str]] = field(default_factory=list)
    """Every channel that a step names."""
    action: Fields | None = None
    message: Fields | None = None
    message_fields: dict[str, Checked] = field(default_factory=dict)
    cases: tuple[Case, ...] = ()
    idle: list[tuple[Checked, Finding]] | None = None
    """The parts of the conditions that decide nothing, once they were looked for."""
    complete: bool = True
    """Whether every expression could be read: only then is a feature without a use a mistake of its own."""
    trigger: Trigger | None = None

    @property
    def conditions(self) -> list[Checked]:
        """Every condition of the file, where it is without mistakes."""
        return self.fields.reader.conditions

    def problem(self, code: Code, place: Place, message: str) -> Problem:
        return Problem(self.file, place.line, place.column, code.id, message, place.path, code.severity)

    def top(self, key: str) -> Place:
        """The place of a top-level key; of the file's first value where it is missing."""
        return self.fields.key_place(key) if key in self.fields else self.fields.node.place.under(key)
