"""``tags.yaml``: live tags of a customer, in the order in which they are worked out.

features:
  peak_30d: {max: customer.balance, over: 30d}
tags:
  churn_risk:                             # "churn_risk" in customer.tags, tag.added.churn_risk
    title: The balance has fallen by half
    owner: retail-deposits
    when: customer.balance <= peak_30d * 0.5
    holds: 30d                            # optional: stays that long after it was last true
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from triggers.language import codes, grammar
from triggers.language.derived_file import named_entries, read_derived, read_head, read_suite, touched_by, union
from triggers.language.document import Document, Node, Place
from triggers.language.draft import Draft
from triggers.language.model import Suite, Tag
from triggers.language.reader import Reader
from triggers.language.shared import Shared
from triggers.language.vocabulary import MAIN_TIERING, Vocabulary

_MOST_TAGS: Final = 200


def read_tags(reader: Reader, document: Document, shared: Shared) -> Shared:
    """``shared`` with the tags of the file and ``customer.tags``."""
    root = document.root or Node({}, Place(1, 1, ""))
    draft = read_head(reader, root, grammar.TAGS, shared)
    if draft is None or "tags" not in draft.fields:
        return replace(shared, vocabulary=shared.vocabulary.with_tags(None))
    entries = named_entries(reader, draft.fields, "tags", "tag", shared.vocabulary.tierings or ())
    if len(entries) > _MOST_TAGS:
        reader.report(codes.OUT_OF_RANGE, draft.fields.key_place("tags"), f"expected at most {_MOST_TAGS} tags")
    vocabulary = shared.vocabulary.with_tags(tuple(entries))
    derived: dict[str, frozenset[str] | None] = {
        tiering.name: union([tiering.touched_by, frozenset({"profile"} if tiering.name == MAIN_TIERING else ())])
        for tiering in shared.tierings
    }
    tags: list[Tag] = []
    for position, (name, entry) in enumerate(entries.items()):
        tag = _tag(reader, draft, name, entry.value, _above(vocabulary, tuple(entries), position), derived)
        if tag is not None:
            tags.append(tag)
            derived["tags"] = union([derived.get("tags", frozenset()), tag.touched_by])
    extended = replace(
        shared,
        tags=tuple(tags),
        places={**shared.places, **{name: (draft, entry.place) for name, entry in entries.items()}},
        vocabulary=vocabulary,
        drafts=(*shared.drafts, draft),
    )
    suites: tuple[Suite, ...] = ()
    for name, entry in entries.items():
        happenings = {"tag": {what: (f"tag.{what}", name) for what in ("added", "removed")}}
        suites += read_suite(reader, entry.value, name, happenings, extended)
    return replace(extended, suites=(*extended.suites, *suites))


def _above(vocabulary: Vocabulary, names: tuple[str, ...], position: int) -> Vocabulary:
    """What a tag may read: of the tags only those above it."""
    if not position:
        return vocabulary.without({"tags": "a tag reads the tags above it, and this is the first"})
    asked = vocabulary.asked
    return replace(vocabulary.with_tags(names[:position]), asked=asked, later=names[position:])


def _tag(
    reader: Reader,
    draft: Draft,
    name: str,
    node: Node,
    vocabulary: Vocabulary,
    derived: dict[str, frozenset[str] | None],
) -> Tag | None:
    before = len(reader.problems)
    fields = reader.mapping(node, grammar.TAG)
    if fields is None:
        return None
    title = fields.title("title")
    owner = fields.text("owner")
    holds = fields.duration("holds")
    when_node = fields.get("when")
    when = read_derived(reader, draft, when_node, vocabulary, "flag") if when_node else None
    if when is None or len(reader.problems) > before:
        return None
    return Tag(
        name=name,
        when=when.expression,
        holds_ms=holds or 0,
        # A tag that holds on is looked at each time: how long it stays follows from when it was last true.
        touched_by=None if holds else touched_by(when, derived),
        title=title["en"] if title else name,
        owner=owner or "",
        titles=title or {},
    )
