"""Tiers and tags, worked out anew whenever a customer is touched: what holds now, and what has changed with it.

One pass in the order of the files: tierings, then tags. Every look is as of the newest event or timer that the
customer had, so that a late event changes what is known and not what time it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from triggers.engine.decisions import report_broken_name
from triggers.engine.derived_look import Look, look_of
from triggers.engine.plan import Plan
from triggers.engine.state import CustomerState, Holds
from triggers.language.derived_events import TAG_ADDED, TAG_REMOVED
from triggers.language.model import Expression, Tag, Tiering
from triggers.language.vocabulary import MAIN_TIERING

if TYPE_CHECKING:
    from triggers.engine.evaluation import Evaluation

TIMER: Final = "timer"
"""The kind of touch that is no record."""


class Change(NamedTuple):
    """A tier that moved (``tier.up``, into ``detail``) or a tag that came or went (``tag.added``, ``detail``)."""

    event: str
    detail: str


def look_before(run: Evaluation, occasion: str, *, opened: bool) -> None:
    """Before an event takes effect: what held already is no change.

    That is so where these definitions have not been looked at yet (a new customer, a new rule set), and where an
    account became known with its balance before the event.
    """
    state, plan = run.state, run.plan
    if state.derived == plan.derived_hash and not opened:
        return
    state.derived = plan.derived_hash
    held = (state.tier, state.tiers, state.tags)
    _look(run, plan.ruleset.tierings, plan.ruleset.tags, occasion, state.tier, 0, 0)
    if held != (state.tier, state.tiers, state.tags):
        run.sample_derived_levels(run.at - 1, 0)
    run.move_to(run.at)  # no feature keeps the value it had before the event


def look(run: Evaluation, kind: str, occasion: str, key: int, reversed_key: int = 0) -> list[Change]:
    """After an event or a timer: works out what it may have changed, and returns what did change.

    ``key`` is the event's, ``reversed_key`` that of the one it takes back (0: none).
    """
    state = run.state
    held = (state.tier, state.tiers, state.tags)
    touched = run.plan.touched(kind)
    if touched.look is None and touched.is_warm():
        touched.look = look_of(touched.tierings, touched.tags, run.plan.windows, _STEPS)
    changes = _look(run, touched.tierings, touched.tags, occasion, run.tier_before, key, reversed_key, touched.look)
    if held != (state.tier, state.tiers, state.tags):
        run.sample_derived_levels(run.at, key)
    return changes


def adopt_derived(state: CustomerState, plan: Plan) -> None:
    """Brings tiers and tags to another rule set: what it does not have goes silently, and so do its timers."""
    tierings = {tiering.name: tiering.names for tiering in plan.ruleset.tierings}
    state.tiers = {name: tier for name, tier in state.tiers.items() if tier in tierings.get(name, ())}
    tags = {tag.name for tag in plan.ruleset.tags}
    state.tags = {name: until for name, until in state.tags.items() if name in tags}
    state.tag_holds = {name: held for name, held in state.tag_holds.items() if name in tags}
    for name, until in state.tags.items():
        if until:
            state.timers[tag_timer(name)] = until
    settle_tier(state, plan)


def settle_tier(state: CustomerState, plan: Plan) -> None:
    """The main tier: the one worked out, else the profile's where the main tiering knows it."""
    tier = state.tiers.get(MAIN_TIERING)
    if tier is None:
        tier = state.profile_tier
        if plan.main_tiers is not None and tier not in plan.main_tiers:
            tier = None
    state.tier = tier


def tag_timer(name: str) -> str:
    """The name of the timer at which a tag that holds on is looked at again."""
    return f"g:{name}:"


def _look(
    run: Evaluation,
    tierings: Iterable[Tiering],
    tags: Iterable[Tag],
    occasion: str,
    tier_before: str | None,
    key: int,
    reversed_key: int,
    steps: Look | None = None,
) -> list[Change]:
    """``steps`` is the function of these tierings and tags, where there is one."""
    state = run.state
    at = run.at
    if state.looked > at:
        run.move_to(state.looked)
    state.looked = run.at
    changes: list[Change] = []
    if steps is not None and not reversed_key:
        changes = steps(run, run.scope, state.series, run.at, tier_before, key, occasion)
        tierings = tags = ()
    for tiering in tierings:
        value = _value(run, tiering.measure, tiering.name, occasion)
        change = _set_tier(state, run.plan, tiering, value, tier_before)
        if change is not None:
            changes.append(change)
    for tag in tags:
        holds = _value(run, tag.when, tag.name, occasion) is True
        if reversed_key and tag.holds_ms:
            _take_back(state, tag, reversed_key, still=holds)
        change = _set_tag(state, tag, holds, run.at, key)
        if change is not None:
            changes.append(change)
    if run.at != at:
        run.move_to(at)
    return changes


def _value(run: Evaluation, expression: Expression, name: str, occasion: str) -> Any:
    try:
        return expression.evaluate(run.scope)
    except Exception as error:  # noqa: BLE001  # a broken rule counts as unknown for this record, and is reported
        report_broken_name(run, name, occasion, error)
        return None


def _set_tier(
    state: CustomerState, plan: Plan, tiering: Tiering, value: Decimal | None, tier_before: str | None
) -> Change | None:
    name, held = tiering.name, state.tiers.get(tiering.name)
    tier = None if value is None else _tier(tiering, value, held)
    if tier != held:
        # A new mapping: whoever looks at the customer before the event still has the former one.
        state.tiers = {known: there for known, there in state.tiers.items() if known != name}
        if tier is not None:
            state.tiers[name] = tier
    if name == MAIN_TIERING:
        settle_tier(state, plan)
        if held is None and tier is None:
            # The profile's word counts, and the profile may have changed.
            held, tier = tier_before, state.tier
    if held is None or tier is None or held == tier:
        return None
    up = tiering.names.index(tier) > tiering.names.index(held)
    return Change(f"{name}.{'up' if up else 'down'}", tier)


def _tier(tiering: Tiering, value: Decimal, held: str | None) -> str:
    """The tier of a value: one that was reached is left downwards only below its floor."""
    index = max(bisect_right(tiering.edges, value) - 1, 0)
    if held in tiering.names:
        for kept in range(tiering.names.index(held), index, -1):
            if value >= tiering.floors[kept]:
                return tiering.names[kept]
    return tiering.names[index]


def _take_back(state: CustomerState, tag: Tag, reversed_key: int, *, still: bool) -> None:
    """A tag that stays for a time stays no longer than it would have without the reversed event."""
    held = state.tag_holds.get(tag.name)
    if held is not None and held.take_back(reversed_key, still=still):
        until = held.rows[-1][0] + tag.holds_ms if held.rows else 0
        state.tags = {**state.tags, tag.name: until}
        state.timers[tag_timer(tag.name)] = until


def _set_tag(state: CustomerState, tag: Tag, holds: bool, at: int, key: int) -> Change | None:
    name, until = tag.name, state.tags.get(tag.name)
    if holds:
        expires = at + tag.holds_ms if tag.holds_ms else 0
        if tag.holds_ms:
            state.timers[tag_timer(name)] = expires
            if name not in state.tag_holds:
                # What it had already is owed to no event.
                state.tag_holds[name] = Holds([(until - tag.holds_ms, 0, True)] if until else [])
            state.tag_holds[name].note(at, key)
        if until is None:
            state.tags = {**state.tags, name: expires}
            return Change(TAG_ADDED, name)
        state.tags[name] = expires
        return None
    if tag.holds_ms and name in state.tag_holds:
        state.tag_holds[name].lasts = False
    if until is None or (tag.holds_ms and until > at):
        return None
    state.tags = {known: there for known, there in state.tags.items() if known != name}
    state.timers.pop(tag_timer(name), None)
    state.tag_holds.pop(name, None)
    return Change(TAG_REMOVED, name)


_STEPS: Final[Mapping[str, Callable[..., Any]]] = {
    "set_tier": _set_tier,
    "set_tag": _set_tag,
    "broken": report_broken_name,
}
