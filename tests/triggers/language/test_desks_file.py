"""``desks.yaml``: what it says, and every mistake in it with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

import triggers
from tests.support.desk_world import TRIGGER
from triggers.language.loader import Loaded, load_documents
from triggers.language.reader import DAY_MS, HOUR_MS

TIERS = (Path(next(iter(triggers.__path__))) / "library" / "tiers.yaml").read_text(encoding="utf-8")
GOOD = "desks: {counter: {tiers: [mid]}, vip: {tiers: [private, high], capacity: 300}}\n"


def load(text: str) -> Loaded:
    return load_documents({"any_login.yaml": TRIGGER, "desks.yaml": text, "tiers.yaml": TIERS})


def test_what_is_left_out_has_its_default() -> None:
    """A thousand customers, a review on the 1st of the month, five and two days, no recall."""
    loaded = load(GOOD)
    assert loaded.ruleset is not None, loaded.problems
    desks = loaded.ruleset.policy.desks
    assert desks is not None
    assert [(rule.name, rule.tiers, rule.capacity) for rule in desks.desks] == [
        ("counter", ("mid",), 1000),
        ("vip", ("high", "private"), 300),
    ]
    assert (desks.review.period, desks.review.day, desks.review.at.hour) == ("month", 1, 8)
    assert (desks.handover.approve_ms, desks.handover.ask_ms, desks.handover.call_ms) == (
        5 * DAY_MS,
        HOUR_MS,
        2 * DAY_MS,
    )
    assert desks.recall is None
    assert desks.elsewhere is None
    assert (desks.rank("vip"), desks.rank("counter"), desks.rank("remote")) == (1, 0, -1)


def test_the_desks_are_part_of_the_rule_set() -> None:
    """Another capacity is another hash."""
    one, other = load(GOOD).ruleset, load(GOOD.replace("300", "301")).ruleset
    assert one is not None
    assert other is not None
    assert one.hash != other.hash


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("desks: {}", "1:8 E011", "at least one desk"),
        ("desks: {counter: {tiers: []}}", "1:19 E014", "at least one tier"),
        ("desks: {counter: {capacity: 5}}", "1:18 E011", 'missing key "tiers"'),
        ("desks: {counter: {tiers: [mid, mid]}}", "1:32 E018", "belongs to the desk counter already"),
        ("desks: {counter: {tiers: [middle]}}", "1:27 E013", "is not allowed"),
        ("desks: {counter: {tiers: [mid, high]}}", "1:1 E018", "private has no desk"),
        ("desks: {counter: {tiers: [mid, private]}, vip: {tiers: [high]}}", "1:1 E018", "do not stand together"),
        (GOOD + "elsewhere: {from: 200000, desk: private}", "2:27 E018", "there is no desk private"),
        (GOOD + "elsewhere: {from: -1, desk: counter}", "2:19 E014", "from 0"),
        (GOOD + "review: {every: day}", "2:17 E013", "week, month, quarter"),
        (GOOD + "handover: {approve: 27d}", "2:12 E018", "longer than a month"),
        (GOOD + "recall: {evaluate: year}", "2:9 E011", 'missing key "after"'),
        (GOOD + "lobby: 1", "2:1 E010", 'unknown key "lobby"'),
        (GOOD + 'tests: [{name: a, events: [{at: "2026-03-02 10:00"}], expect: []}]', "2:28 E018", "names a customer"),
        (
            GOOD + 'tests: [{name: a, events: [{at: "2026-03-02 10:00", customer: C1, tier: gold}], expect: []}]',
            "2:73 E013",
            "is not allowed",
        ),
        (
            GOOD + 'tests: [{name: a, events: [{at: "2026-03-03 10:00", manager: M}, {at: "2026-03-02 10:00", '
            "manager: M}], expect: []}]",
            "2:19 E018",
            "in the order of time",
        ),
    ],
)
def test_mistakes(text: str, place: str, says: str) -> None:
    """Each is one problem at its place that says what is wrong."""
    problems = load(text).problems
    assert [f"{one.line}:{one.column} {one.code}" for one in problems] == [place], problems
    assert says in problems[0].message
