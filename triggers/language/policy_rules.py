"""The parts of ``policy.yaml`` that say who is contacted where and when: suitability, routing, quiet hours, holdout."""

from __future__ import annotations

from typing import Final, Literal, cast

from triggers.language import codes, grammar
from triggers.language.calendar import Calendar
from triggers.language.document import Node, Place
from triggers.language.expressions import Checked, Context, read_expression
from triggers.language.model import Exclusion, Holdout, Quiet, Route, Suitability
from triggers.language.reader import Fields, Reader
from triggers.language.vocabulary import Vocabulary

DAY_MINUTES: Final = 24 * 60
_NOT_A_CUSTOMER: Final = "the policy is the same for every event, and looks at the customer alone"
CUSTOMER_ONLY: Final = dict.fromkeys(("event", "account", "product", "before", "offer", "action"), _NOT_A_CUSTOMER)
"""Why an expression of the policy has none of the other names."""


def read_suitability(
    reader: Reader, fields: Fields, vocabulary: Vocabulary
) -> tuple[tuple[Suitability, ...], list[Place]]:
    """``suitability``: a list of channels with a condition each, and the place of each entry."""
    found, places = [], []
    for item in fields.items("suitability", "conditions"):
        entry = reader.mapping(item, grammar.SUITABILITY)
        if entry is None:
            continue
        channels = read_channels(reader, entry)
        condition = read_condition(reader, entry, vocabulary)
        unknown = entry.choice("unknown")
        if condition is not None:
            clauses = tuple(expression for expression, _ in condition.clauses)
            found.append(Suitability(frozenset(channels), clauses, unknown == "refuse"))
            places.append(item.place)
    return tuple(found), places


def read_routing(reader: Reader, fields: Fields, vocabulary: Vocabulary) -> tuple[Route, ...]:
    """``routing``: a table of complexities, conditions and channels, of which the first row that fits counts."""
    found: list[Route] = []
    for item in fields.items("routing", "routes"):
        entry = reader.mapping(item, grammar.ROUTE)
        if entry is None:
            continue
        complexities = {reader.choice(each, grammar.COMPLEXITIES) for each in entry.items("complexity", "complexities")}
        channels = read_channels(reader, entry)
        condition = read_condition(reader, entry, vocabulary)
        route = Route(
            frozenset(filter(None, complexities)), tuple(channels), condition.expression if condition else None
        )
        # One whose condition is broken decides nothing, so that it hides nothing either.
        if "when" not in entry or condition is not None:
            _report_hidden(reader, item, route, found)
            found.append(route)
    return tuple(found)


def read_quiet(reader: Reader, fields: Fields, calendar: Calendar) -> tuple[Quiet, ...]:
    """``quiet``: the hours and days in which channels are not used."""
    found: list[Quiet] = []
    for item in fields.items("quiet", "quiet hours"):
        entry = reader.mapping(item, grammar.QUIET)
        quiet = _quiet(reader, entry) if entry is not None else None
        if quiet is None:
            continue
        found.append(quiet)
        silent = [
            name for name in grammar.CHANNELS if name in quiet.channels and not _leaves_an_hour(found, name, calendar)
        ]
        if silent:
            message = f"with this, no hour of any day is left for {', '.join(silent)}"
            reader.report(codes.CONTRADICTION, item.place, message)
            found.pop()
    return tuple(found)


def _quiet(reader: Reader, entry: Fields) -> Quiet | None:
    channels = frozenset(read_channels(reader, entry))
    days = cast("Literal['open', 'closed'] | None", entry.choice("days"))
    if "days" in entry and "from" not in entry and "to" not in entry:
        return Quiet(channels, 0, DAY_MINUTES, days) if days is not None else None
    begin, end = entry.clock("from"), entry.clock("to")
    for key in ("from", "to"):
        if entry.lacks(key):
            message = f'missing key "{key}" in quiet hours: they have from and to, or days alone for whole days'
            reader.report(codes.MISSING_KEY, entry.node.place.under(key), message)
    if begin is None or end is None:
        return None
    quiet = Quiet(channels, begin.hour * 60 + begin.minute, end.hour * 60 + end.minute, days or "all")
    if quiet.begin == quiet.end:
        message = "from and to are the same time: that is no hour, or all day"
        reader.report(codes.CONTRADICTION, entry.node.place, message)
        return None
    return quiet


def _leaves_an_hour(hours: list[Quiet], channel: str, calendar: Calendar) -> bool:
    """Whether there are days on which a channel is used at all."""
    kinds = ["open", "closed"] if calendar.weekend or calendar.holidays else ["open"]
    return any(len(_minutes(hours, channel, days)) < DAY_MINUTES for days in kinds)


def _minutes(hours: list[Quiet], channel: str, days: str) -> set[int]:
    """The minutes in which a channel is quiet, on such a day after others of its kind."""
    quiet: set[int] = set()
    for each in hours:
        if channel in each.channels and each.days in ("all", days):
            end = each.end if each.begin < each.end else each.end + DAY_MINUTES
            quiet.update(minute % DAY_MINUTES for minute in range(each.begin, end))
    return quiet


def read_holdout(reader: Reader, node: Node) -> Holdout | None:
    """``holdout``: the share of customers who are left alone."""
    fields = reader.mapping(node, grammar.HOLDOUT)
    if fields is None:
        return None
    salt = fields.text("salt")
    percent = fields.integer("percent")
    shares: dict[str, int] = {}
    listed = fields.get("triggers")
    if listed is not None:
        by_trigger = reader.mapping(listed, grammar.HELD_OUT)
        for name in by_trigger.entries if by_trigger is not None else ():
            share = by_trigger.integer(name) if by_trigger else None
            if share is not None:
                shares[name] = share
    spared = frozenset(filter(None, (reader.identifier(item) for item in fields.items("except", "categories"))))
    return Holdout(salt, percent or 0, shares, spared) if salt is not None else None


def read_exclusion(reader: Reader, node: Node) -> Exclusion | None:
    """``exclusion``: when the exclusion lists count as complete."""
    fields = reader.mapping(node, grammar.EXCLUSION)
    if fields is None:
        return None
    version = fields.integer("version")
    unconfirmed, unversioned = fields.choice("unconfirmed"), fields.choice("unversioned")
    return Exclusion(version, unconfirmed != "allow", unversioned == "hold")


def read_channels(reader: Reader, fields: Fields) -> list[str]:
    """The channels of an entry, as written."""
    named = [reader.choice(item, grammar.CHANNELS) for item in fields.items("channels", "channels")]
    return [channel for channel in dict.fromkeys(named) if channel]


def read_condition(reader: Reader, fields: Fields, vocabulary: Vocabulary) -> Checked | None:
    """``when``: a condition on the customer."""
    node = fields.get("when")
    context = Context(absent=CUSTOMER_ONLY, vocabulary=vocabulary)
    return read_expression(reader, node, context, expect="flag") if node else None


def _report_hidden(reader: Reader, node: Node, route: Route, before: list[Route]) -> None:
    """A route after one without a condition for the same complexities is never asked."""
    decided = {name for earlier in before if earlier.when is None for name in earlier.complexities}
    if route.complexities and route.complexities <= decided:
        names = ", ".join(sorted(route.complexities))
        message = f"this route is never asked: one above it decides for every customer ({names})"
        reader.report(codes.CONTRADICTION, node.place, message)
