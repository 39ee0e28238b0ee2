"""The names that a rule set's expressions may use: the catalogue, with what its own tiers and tags add to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from triggers.language.names import CATALOGUE, Name, Type

MAIN_TIERING: Final = "tier"
"""The tiering whose value is ``customer.tier``."""

_NO_TAGS: Final = "the rule set has no tags.yaml"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """``catalogue`` has every name by its path. ``absent`` says why a path that could be a name is none.

    ``tierings`` and ``tags`` are those of the rule set; ``None`` where their file cannot be read, so that nothing is
    known of them. ``asked`` grows in place: the tags that some expression or trigger asks for.
    """

    catalogue: Mapping[str, Name] = field(default_factory=lambda: CATALOGUE)
    absent: Mapping[str, str] = field(
        default_factory=lambda: {"customer.tags": _NO_TAGS, "before.tags": _NO_TAGS},
    )
    tierings: Mapping[str, tuple[str, ...]] | None = field(default_factory=dict)
    tags: tuple[str, ...] | None = ()
    asked: set[str] = field(default_factory=set)
    later: tuple[str, ...] = ()
    """The tags further down in the file, while a tag is read."""

    def with_tierings(self, tierings: Mapping[str, tuple[str, ...]]) -> Vocabulary:
        """With ``customer.tier`` and a name for every further tiering, each an enum of its tiers."""
        catalogue = dict(self.catalogue)
        for tiering, tiers in tierings.items():
            kind = Type("enum", values=tiers)
            for part in ("customer", "before"):
                path = f"{part}.{tiering}"
                if tiering == MAIN_TIERING:
                    catalogue[path] = replace(catalogue[path], type=kind)
                else:
                    catalogue[path] = Name(path, part, "tiers", kind, key=tiering)
        return replace(self, catalogue=catalogue, tierings=tierings)

    def with_tags(self, tags: tuple[str, ...] | None) -> Vocabulary:
        """With ``customer.tags``, in which these can be; any, where they are not known."""
        kind = Type("texts", nullable=False, values=tags or ())
        named = {path: Name(path, path.partition(".")[0], "tags", kind) for path in ("customer.tags", "before.tags")}
        return replace(self, catalogue={**self.catalogue, **named}, absent={}, tags=tags, asked=set())

    def unknown(self, *, tiers: bool, tags: bool) -> Vocabulary:
        """Where the file of tiers or of tags cannot be read: whatever is said of them may be right."""
        found = self
        if tiers:
            any_tier = {
                path: replace(self.catalogue[path], type=Type("text")) for path in ("customer.tier", "before.tier")
            }
            found = replace(self, tierings=None, catalogue={**self.catalogue, **any_tier})
        return found.with_tags(None) if tags else found

    def without(self, names: Mapping[str, str]) -> Vocabulary:
        """Without these fields of the customer, each with the reason why."""
        gone = {f"{part}.{name}": reason for name, reason in names.items() for part in ("customer", "before")}
        catalogue = {path: name for path, name in self.catalogue.items() if path not in gone}
        return replace(self, catalogue=catalogue, absent={**self.absent, **gone})


STANDARD: Final = Vocabulary()
"""That of a rule set without tiers and tags of its own."""
