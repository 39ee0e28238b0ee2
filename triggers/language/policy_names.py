"""The names of triggers and of categories that ``policy.yaml`` uses, each with its place.

The policy is read before the triggers, so that the names are held against them when all is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from triggers.language.document import Entry, Node
from triggers.language.reader import IDENTIFIER, Fields
from triggers.language.shared import Named, Spot

_LISTS: Final = ("seasons", "objectives")
"""What has ``categories`` in each of its entries."""


def named_in(file: str, policy: Fields) -> Iterator[Named]:
    """Every such name, in the order of the keys below. What is none at all was reported when it was read."""
    for name, entry in _entries(_entries(policy.get("holdout")).get("triggers")).items():
        yield Named("trigger", name, Spot(file, entry.place))
    categories: list[Node | None] = []
    for cap in _items(policy.get("caps")):
        categories += [_value(cap, "category"), *_items(_value(cap, "except"))]
    for key in ("attempts", "holdout"):
        spared = _entries(policy.get(key)).get("except")
        categories += _items(spared.value if spared is not None else None)
    for key in _LISTS:
        for weighed in _items(policy.get(key)):
            categories += _items(_value(weighed, "categories"))
    for node in categories:
        if node is not None and IDENTIFIER.fullmatch(node.text):
            yield Named("category", node.text, Spot(file, node.place))


def _entries(node: Entry | Node | None) -> Mapping[str, Entry]:
    value = node.value.value if isinstance(node, Entry) else node.value if node is not None else None
    return value if isinstance(value, dict) else {}


def _items(node: Node | None) -> Sequence[Node]:
    return node.value if node is not None and isinstance(node.value, list) else ()


def _value(node: Node, key: str) -> Node | None:
    entry = _entries(node).get(key)
    return entry.value if entry is not None else None
