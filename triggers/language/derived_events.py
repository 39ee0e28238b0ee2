"""The events that the engine derives, as ``on`` names them: tiers moving, tags coming and going, ladders run out."""

from __future__ import annotations

from typing import Final

from triggers.language import codes
from triggers.language.document import Node, shorten
from triggers.language.model import OnDerived
from triggers.language.reader import Reader, one_of, suggest
from triggers.language.vocabulary import MAIN_TIERING, Vocabulary

TAG_ADDED: Final = "tag.added"
TAG_REMOVED: Final = "tag.removed"
EXHAUSTED: Final = "action.exhausted"
_DIRECTIONS: Final = ("up", "down")


def is_derived(text: str, vocabulary: Vocabulary) -> bool:
    """Whether a name under ``on`` is meant to be one of these."""
    name, _, rest = text.partition(".")
    return name in (MAIN_TIERING, "tag", "action", *(vocabulary.tierings or ())) or rest in _DIRECTIONS


def read_derived_event(reader: Reader, node: Node, vocabulary: Vocabulary) -> OnDerived | None:
    """``tier.up``, ``tag.added``, ``tag.added.churn_risk`` or ``action.exhausted``; mistakes are reported."""
    text = node.text
    name, _, rest = text.partition(".")
    if name == "action":
        return _one(reader, node, rest, {"exhausted": EXHAUSTED})
    if name == "tag":
        return _tag(reader, node, rest, vocabulary)
    tierings = vocabulary.tierings
    if tierings is not None and name not in tierings:
        hint = suggest(name, tierings) or (f"; there are {one_of(tierings)}" if tierings else ": it has no tiers.yaml")
        reader.report(codes.BAD_CHOICE, node.place, f'the rule set has no tiering "{shorten(name)}"{hint}')
        return None
    return _one(reader, node, rest, {direction: f"{name}.{direction}" for direction in _DIRECTIONS})


def _one(reader: Reader, node: Node, rest: str, events: dict[str, str]) -> OnDerived | None:
    if rest in events:
        return OnDerived(events[rest])
    wanted = tuple(events.values())
    hint = suggest(node.text, wanted) or f"; there is {one_of(wanted)}"
    reader.report(codes.BAD_CHOICE, node.place, f'there is no event "{shorten(node.text)}"{hint}')
    return None


def _tag(reader: Reader, node: Node, rest: str, vocabulary: Vocabulary) -> OnDerived | None:
    what, dot, tag = rest.partition(".")
    found = _one(reader, node, what, {"added": TAG_ADDED, "removed": TAG_REMOVED})
    if found is None:
        return None
    tags = vocabulary.tags
    if tags == ():
        reader.report(codes.BAD_CHOICE, node.place, "the rule set has no tags: it has no tags.yaml")
        return None
    if not dot:
        vocabulary.asked.update(tags or ())
        return found
    if tags is not None and tag not in tags:
        hint = suggest(tag, tags) or f"; there are {one_of(tags)}"
        reader.report(codes.BAD_CHOICE, node.place, f'there is no tag "{shorten(tag)}"{hint}')
        return None
    vocabulary.asked.add(tag)
    return OnDerived(found.event, tag)
