"""``desks.yaml``: which desk owns which customers, what is asked of its managers, and when customers change hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from decimal import Decimal
from typing import Final, cast

from triggers.language import codes, grammar
from triggers.language.desk_cases import SUITE, read_desk_cases
from triggers.language.desk_model import DeskRule, Desks, Elsewhere, Handover, Recall
from triggers.language.document import Document, Node, Place
from triggers.language.model import OnEvery, Period, Suite
from triggers.language.reader import DAY_MS, HOUR_MS, Fields, Reader, show_duration
from triggers.language.shared import Shared

_LENGTHS: Final = {"week": 7, "month": 28, "quarter": 90, "year": 365}
"""The shortest that each period can be, in days."""


def read_desks(reader: Reader, document: Document, shared: Shared) -> Shared:
    """The policy with the desks of the file, where it has no mistake."""
    fields = reader.mapping(document.root or Node({}, Place(1, 1, "")), grammar.DESKS_FILE)
    if fields is None:
        return shared
    before = len(reader.problems)
    tiers = shared.vocabulary.catalogue["customer.tier"].type.values
    tests = fields.get("tests")
    cases = read_desk_cases(reader, tests, shared.policy.timezone, tiers) if tests else ()
    rules = _rules(reader, fields, tiers)
    review, at = _review(reader, fields)
    elsewhere = _elsewhere(reader, fields, rules)
    handover = _handover(reader, fields, review)
    recall = _recall(reader, fields, rules, review, at)
    if len(reader.problems) > before or not rules:
        return shared
    by_tier = {tier: rule.name for rule in rules for tier in rule.tiers}
    ranked = sorted(rules, key=lambda rule: tiers.index(rule.tiers[0]) if tiers else 0)
    desks = Desks(tuple(ranked), review, handover, elsewhere, recall, by_tier)
    suites = (*shared.suites, Suite(SUITE, document.file, cases)) if cases else shared.suites
    return replace(shared, policy=replace(shared.policy, desks=desks), suites=suites)


def _rules(reader: Reader, fields: Fields, tiers: Sequence[str]) -> list[DeskRule]:
    node = fields.get("desks")
    table = reader.mapping(node, grammar.DESK_TABLE) if node else None
    if table is None or node is None:
        return []
    if not table.entries:
        if not node.value:
            reader.report(codes.MISSING_KEY, node.place, "expected at least one desk")
        return []
    before = len(reader.problems)
    rules = []
    owned: dict[str, str] = {}
    for name, entry in table.entries.items():
        rule = _rule(reader, name, entry.value, tiers, owned)
        if rule is not None:
            rules.append(rule)
    if tiers and owned and len(reader.problems) == before:
        _check_gaps(reader, fields.key_place("desks"), tiers, owned)
    return rules


def _rule(reader: Reader, name: str, node: Node, known: Sequence[str], owned: dict[str, str]) -> DeskRule | None:
    fields = reader.mapping(node, grammar.DESK)
    if fields is None:
        return None
    tiers: list[str] = []
    for item in fields.items("tiers", "tiers"):
        # Where tiers.yaml has a mistake, whatever stands here may be right.
        tier = reader.choice(item, known) if known else reader.text(item)
        if tier is None:
            continue
        if tier in owned:
            message = f"{tier} belongs to the desk {owned[tier]} already: each tier has one desk"
            reader.report(codes.CONTRADICTION, item.place, message)
            continue
        owned[tier] = name
        tiers.append(tier)
    if known:
        tiers.sort(key=known.index)
    capacity = fields.integer("capacity")
    contact = fields.duration("contact")
    if not tiers:
        if "tiers" in fields and not fields.items("tiers", "tiers"):
            reader.report(codes.OUT_OF_RANGE, fields.key_place("tiers"), "a desk owns at least one tier")
        return None
    return DeskRule(name, tuple(tiers), 1000 if capacity is None else capacity, contact)


def _check_gaps(reader: Reader, place: Place, tiers: Sequence[str], owned: dict[str, str]) -> None:
    """From the lowest tier that has a desk upwards every tier has one, and each desk has its own together."""
    lowest = min(tiers.index(tier) for tier in owned)
    last = ""
    seen: set[str] = set()
    for tier in tiers[lowest:]:
        desk = owned.get(tier)
        if desk is None:
            message = f"{tier} has no desk, and the lower tier {tiers[lowest]} has one: name it with a desk"
            reader.report(codes.CONTRADICTION, place, message)
            continue
        if desk != last and desk in seen:
            message = f"the tiers of the desk {desk} do not stand together: {last} has some between them"
            reader.report(codes.CONTRADICTION, place, message)
        seen.add(desk)
        last = desk


def _review(reader: Reader, fields: Fields) -> tuple[OnEvery, time]:
    node = fields.get("review")
    found = reader.mapping(node, grammar.REVIEW) if node else None
    period = cast("Period", (found.choice("every") if found else None) or "month")
    day = (found.integer("on_day") if found else None) or 1
    at = (found.clock("at") if found else None) or time(8)
    if found is not None and period == "week" and "on_day" in found:
        message = "a review each week is on Monday: leave on_day out"
        reader.report(codes.CONTRADICTION, found.key_place("on_day"), message)
    return OnEvery(period, at, 0 if period == "week" else day, spread_ms=0), at


def _elsewhere(reader: Reader, fields: Fields, rules: Sequence[DeskRule]) -> Elsewhere | None:
    node = fields.get("elsewhere")
    found = reader.mapping(node, grammar.ELSEWHERE) if node else None
    if found is None:
        return None
    least, desk = found.decimal("from"), found.choice("desk")
    if least is None or desk is None:
        return None
    if all(rule.name != desk for rule in rules):
        message = f"there is no desk {desk} above: name one of those that own tiers"
        reader.report(codes.CONTRADICTION, found.key_place("desk"), message)
    return Elsewhere(Decimal(least), desk)


def _handover(reader: Reader, fields: Fields, review: OnEvery) -> Handover:
    node = fields.get("handover")
    found = reader.mapping(node, grammar.HANDOVER) if node else None
    approve = (found.duration("approve") if found else None) or 5 * DAY_MS
    ask = (found.duration("ask") if found else None) or HOUR_MS
    call = (found.duration("call") if found else None) or 2 * DAY_MS
    if found is not None and ask >= call:
        message = f"the new manager is asked {show_duration(ask)} after approval, and must have called by then"
        reader.report(codes.CONTRADICTION, found.key_place("ask" if "ask" in found else "call"), message)
    longest = _LENGTHS[review.period] * DAY_MS
    if found is not None and approve + call > longest:
        message = f"approval and call take longer than a {review.period}: the next review would come before the end"
        reader.report(codes.CONTRADICTION, found.key_place("approve" if "approve" in found else "call"), message)
    return Handover(approve, ask, call)


def _recall(reader: Reader, fields: Fields, rules: Sequence[DeskRule], review: OnEvery, at: time) -> Recall | None:
    node = fields.get("recall")
    found = reader.mapping(node, grammar.RECALL) if node else None
    if found is None:
        return None
    after = found.duration("after")
    evaluate = cast("Period", found.choice("evaluate") or "quarter")
    if after is not None:
        for rule in rules:
            if rule.contact_ms is not None and after < rule.contact_ms:
                message = (
                    f"customers of the desk {rule.name} would be recalled after {show_duration(after)}, before the "
                    f"contact promised within {show_duration(rule.contact_ms)}"
                )
                reader.report(codes.CONTRADICTION, found.key_place("after"), message)
    if _LENGTHS[evaluate] < _LENGTHS[review.period]:
        message = f"evaluated each {evaluate}, but reviewed each {review.period}: some periods would have no recall"
        reader.report(codes.CONTRADICTION, found.key_place("evaluate"), message)
    day = 0 if evaluate == "week" else review.day if review.period != "week" else 1
    return Recall(after, OnEvery(evaluate, at, day, spread_ms=0)) if after is not None else None
