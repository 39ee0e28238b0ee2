"""The steps of a ladder: ``[push, {after: 2d, unless: opened, use: [sms, manager]}]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from triggers.language import codes, grammar
from triggers.language.clauses import Clause
from triggers.language.document import Node, Place, shorten
from triggers.language.model import Expression, Step
from triggers.language.reader import Fields, Reader

ReadUnless = Callable[[Node], tuple[str | None, Expression | None, Clause | None]]
"""Reads what keeps a step back: an outcome, or a condition with its clauses."""


def read_ladder(
    reader: Reader, node: Node, named: list[tuple[Place, str]], read_unless: ReadUnless
) -> list[tuple[Place, Step]]:
    """The steps that could be read, each with its place. Every channel they name goes to ``named``, whether or not it
    exists: who calls looks at that.
    """
    items = reader.items(node, "steps", grammar.MOST_STEPS)
    if items is not None and not items:
        reader.report(codes.OUT_OF_RANGE, node.place, "a ladder has at least one step, such as push")
    found = (_step(reader, item, named, read_unless, first=index == 0) for index, item in enumerate(items or ()))
    return [step for step in found if step is not None]


def read_ladders(reader: Reader, fields: Fields) -> Mapping[str, tuple[Step, ...]]:
    """``ladders`` of a policy: by name. Their steps wait for outcomes only."""
    node = fields.get("ladders")
    entries = reader.mapping(node, grammar.LADDERS) if node is not None else None
    found: dict[str, tuple[Step, ...]] = {}
    for name, entry in entries.entries.items() if entries is not None else ():
        before = len(reader.problems)
        reader.key("a ladder", name, entry.place)
        named: list[tuple[Place, str]] = []
        steps = read_ladder(
            reader, entry.value, named, lambda unless: (reader.choice(unless, grammar.ANSWERS), None, None)
        )
        for place, channel in named:
            reader.choice(Node(channel, place), grammar.CHANNELS)
        # One with a mistake is still known by name: naming it is no mistake too.
        found[name] = tuple(step for _, step in steps) if len(reader.problems) == before else ()
    return found


def _step(
    reader: Reader, node: Node, named: list[tuple[Place, str]], read_unless: ReadUnless, *, first: bool
) -> tuple[Place, Step] | None:
    if isinstance(node.value, str | list):
        if not first:
            written = node.value if isinstance(node.value, str) else "[push, sms]"
            message = f"a later step says when: {{after: 2d, use: {written}}}"
            reader.report(codes.MISSING_KEY, node.place.under("after"), message)
        channels = _channels(reader, node, named)
        return (node.place, Step(channels[0], instead=channels[1:])) if channels else None
    fields = reader.mapping(node, grammar.STEP)
    if fields is None:
        return None
    if first:
        reader.report(codes.CONTRADICTION, node.place, "the first step is sent at once: write its channel alone")
    after = fields.duration("after")
    unless, use = fields.get("unless"), fields.get("use")
    outcome, condition, clause = read_unless(unless) if unless is not None else (None, None, None)
    channels = _channels(reader, use, named) if use is not None else ()
    # A step with a mistake in its time still has a channel to look at.
    step = Step(channels[0], after or 0, outcome, condition, channels[1:], clause) if channels else None
    return (fields.entries["use"].value.place, step) if step else None


def _channels(reader: Reader, node: Node, named: list[tuple[Place, str]]) -> tuple[str, ...]:
    """The channels of a step: one, or a list in the order in which they are tried."""
    if isinstance(node.value, list) and not node.value:
        reader.report(codes.OUT_OF_RANGE, node.place, "a step has at least one channel, such as push")
    items = reader.items(node, "channels", len(grammar.CHANNELS)) if isinstance(node.value, list) else [node]
    found: dict[str, Place] = {}
    for item in items or ():
        channel = reader.text(item)
        if channel is None:
            continue
        if channel in found:
            reader.report(codes.CONTRADICTION, item.place, f'"{shorten(channel)}" stands in this step already')
        found.setdefault(channel, item.place)
    named += [(place, channel) for channel, place in found.items()]
    return tuple(found)
