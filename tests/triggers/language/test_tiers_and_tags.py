"""tiers.yaml and tags.yaml: what they give to expressions and to ``on``, and every mistake in them at its place."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.triggers.language.rule_texts import load, places, vary
from triggers.language.loader import Loaded
from triggers.language.model import OnDerived, RuleSet

TIERS = """\
features:
  aum_30d: {daily_mean: customer.aum, over: 30d}
tierings:
  tier:
    measure: aum_30d
    edges: {small: 0, large: 50000}
    margin: 0.1
  digital_tier:
    measure: customer.aum
    edges: {below_20w: 0, from_20w: 200000}
"""
TAGS = """\
features:
  peak: {max: customer.balance, over: 30d}
tags:
  rich: {when: customer.tier == "large"}
  risk: {title: At risk, owner: team, when: customer.balance < peak * 0.5, holds: 30d}
  both: {when: '"rich" in customer.tags and "risk" in customer.tags'}
"""
ON_TAGS = ("on: transaction", "on: [transaction, tag.added]")


def rules(tiers: str = TIERS, tags: str = TAGS, *changes: tuple[str, str]) -> RuleSet:
    """A rule set of these files and the good trigger, varied so that it reads every tag."""
    loaded = load({"good.yaml": vary(*(changes or (ON_TAGS,))), "tiers.yaml": tiers, "tags.yaml": tags})
    assert codes_of(loaded) <= {"W116"}
    assert loaded.ruleset is not None
    return loaded.ruleset


def codes_of(loaded: Loaded) -> set[str]:
    """The codes of every problem."""
    return {problem.code for problem in loaded.problems}


def problems_of(file: str, old: str, new: str) -> list[tuple[str, int, int, str]]:
    """The problems where one of the files is changed at one place."""
    files = {"tiers.yaml": TIERS, "tags.yaml": TAGS, "good.yaml": vary(ON_TAGS)}
    assert files[file].count(old) == 1, old
    files[file] = files[file].replace(old, new)
    return places(load(files))


def test_the_files_are_read_whole() -> None:
    """Tiers lowest first with their floors, tags in the order of the file, and which records touch them."""
    ruleset = rules()
    main, digital = ruleset.tierings
    assert (main.name, main.names, main.edges) == ("tier", ("small", "large"), (Decimal(0), Decimal(50_000)))
    assert main.floors == (Decimal(0), Decimal(45_000))
    assert digital.floors == digital.edges
    assert (main.touched_by, digital.touched_by) == (None, {"transaction", "maturity"})
    assert [tag.name for tag in ruleset.tags] == ["rich", "risk", "both"]
    assert ruleset.tags[1].holds_ms == 30 * 86_400_000
    assert (ruleset.tags[1].title, ruleset.tags[1].owner) == ("At risk", "team")
    assert ruleset.derived_hash


def test_what_may_change_without_an_event_is_always_looked_at() -> None:
    """Only an expression over the profile, or over accounts and holdings, waits for their records."""
    tags = """\
tags:
  staff: {when: customer.employee}
  idle: {when: customer.accounts == 0}
  several: {when: customer.product_kinds > 1}
  mixed: {when: '"staff" in customer.tags and "idle" in customer.tags'}
  old: {when: customer.age > 60}
  held: {when: customer.employee, holds: 7d}
"""
    found = {tag.name: tag.touched_by for tag in rules(tags=tags).tags}
    assert found == {
        "staff": {"profile"},
        "idle": {"transaction", "maturity"},
        "several": {"transaction", "maturity"},
        "mixed": {"profile", "transaction", "maturity"},
        "old": None,
        "held": None,
    }


def test_derived_events_wake_triggers() -> None:
    """By their names, and a tag narrows them."""
    on = "on: [tier.up, digital_tier.down, tag.added.risk, tag.removed, action.exhausted]"
    (trigger,) = rules(TIERS, TAGS, ("on: transaction", on)).triggers
    assert trigger.on == (
        OnDerived("tier.up"),
        OnDerived("digital_tier.down"),
        OnDerived("tag.added", "risk"),
        OnDerived("tag.removed"),
        OnDerived("action.exhausted"),
    )


@pytest.mark.parametrize(
    "condition",
    [
        'customer.tier == "large" and before.tier == "small"',
        'customer.digital_tier in ["from_20w"] and before.digital_tier != customer.digital_tier',
        '"risk" in customer.tags and "risk" not in before.tags',
    ],
)
def test_a_trigger_reads_tiers_and_tags(condition: str) -> None:
    """Now and before the event, also where only what is derived wakes it."""
    for on in ("transaction", "[tier.up, tag.added]"):
        loaded = load(
            {
                "good.yaml": vary(
                    ("on: transaction", f"on: {on}"), ("when: customer.balance <= peak * 0.7", f"when: '{condition}'")
                ),
                "tiers.yaml": TIERS,
                "tags.yaml": TAGS,
            }
        )
        assert [problem for problem in loaded.problems if problem.severity == "error"] == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ('customer.tier == "high"', 'customer.tier is never "high"; it is one of small, large'),
        ('customer.digital_tier == "from_20"', 'customer.digital_tier is never "from_20": did you mean "from_20w"?'),
        ('"risc" in customer.tags', 'customer.tags never has "risc": did you mean "risk"?'),
        ("customer.district in customer.tags", 'customer.tags is asked for one by its name: "rich" in customer.tags'),
        ("customer.digitaltier == 1", 'unknown name "customer.digitaltier": did you mean "customer.digital_tier"?'),
    ],
)
def test_names_that_do_not_exist_are_pointed_at(condition: str, message: str) -> None:
    """With what was probably meant."""
    files = {"tiers.yaml": TIERS, "tags.yaml": TAGS}
    text = vary(ON_TAGS, ("when: customer.balance <= peak * 0.7", f"when: '{condition}'"))
    (found, *_) = load({"good.yaml": text, **files}).problems
    assert (found.file, found.line, found.message) == ("good.yaml", 9, message)


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("teir.up", 'the rule set has no tiering "teir": did you mean "tier"?'),
        ("tier.upp", 'there is no event "tier.upp": did you mean "tier.up"?'),
        ("tier", 'there is no event "tier": did you mean "tier.up"?'),
        ("tag.added.risc", 'there is no tag "risc": did you mean "risk"?'),
        ("tag.changed", 'there is no event "tag.changed"'),
        ("action.sent", 'there is no event "action.sent": did you mean "action.exhausted"?'),
    ],
)
def test_events_that_do_not_exist_are_pointed_at(on: str, message: str) -> None:
    """Each where it stands under ``on``."""
    text = vary(("on: transaction", f"on: [transaction, {on}]"))
    found = load({"good.yaml": text, "tiers.yaml": TIERS, "tags.yaml": TAGS}).problems[0]
    assert (found.line, found.column, found.code) == (6, 19, "E013")
    assert found.message.startswith(message)


def test_a_derived_event_has_no_event_to_read() -> None:
    """What the record was is not known to a trigger that only derived events wake; what was before is."""
    text = vary(("on: transaction", "on: tier.up"), ("when: customer.balance <= peak", "when: event.amount <= peak"))
    (found, *_) = load({"good.yaml": text, "tiers.yaml": TIERS}).problems
    assert (found.line, found.column, found.code) == (9, 7, "E037")
    assert "what the engine derives wakes the trigger" in found.message


def test_without_the_files_their_names_say_why() -> None:
    """A missing file is told as such."""
    for change, message in (
        (("when: customer.balance", 'when: "rich" in customer.tags and customer.balance'), "has no tags.yaml"),
        (("on: transaction", "on: [transaction, tag.added]"), "has no tags.yaml"),
        (("on: transaction", "on: [transaction, tier.up]"), "has no tiers.yaml"),
    ):
        text = vary(change).replace('when: "rich" in customer.tags and', "when: >-\n  'rich' in customer.tags and")
        assert message in load({"good.yaml": text}).problems[0].message


def test_a_file_that_cannot_be_read_causes_no_further_mistakes() -> None:
    """Whatever is said of tags may be right while their file is broken."""
    text = vary(("on: transaction", "on: [transaction, tag.added.any, tier.up]"))
    text = text.replace("when: customer.balance", "when: >-\n  'any' in customer.tags and customer.balance")
    text = text.replace("once_per: 14d", "rearm: customer.tier == 'any'")
    for tags, tiers in (("tags: [", "\t"), ("tag: {}", "tiers: {}"), ("- x", "- x")):
        found = load({"good.yaml": text, "tags.yaml": tags, "tiers.yaml": tiers})
        assert {place[0] for place in places(found)} == {"tags.yaml", "tiers.yaml"}


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("tiers.yaml", "small: 0, large: 50000", "small: 50000, large: 0", [(6, 34, "E018")]),
        ("tiers.yaml", "small: 0, large: 50000", "small: 0, large: 0", [(6, 30, "E018")]),
        ("tiers.yaml", "{small: 0, large: 50000}", "{small: 0}", [(6, 12, "E014")]),
        ("tiers.yaml", "{small: 0, large: 50000}", "[0, 50000]", [(6, 12, "E012")]),
        ("tiers.yaml", "large: 50000", "large: 5w", [(6, 30, "E012")]),
        ("tiers.yaml", "small: 0, large", "small: 0, Large", [(6, 23, "E014")]),
        ("tiers.yaml", "margin: 0.1", "margin: 5", [(7, 13, "E014")]),
        ("tiers.yaml", "measure: aum_30d", "measure: customer.sex", [(5, 14, "E032")]),
        ("tiers.yaml", "measure: aum_30d", "measure: event.amount", [(5, 14, "E037")]),
        ("tiers.yaml", "measure: customer.aum", "measure: customer.aumm", [(9, 14, "E031")]),
        ("tiers.yaml", "    measure: customer.aum\n", "", [(9, 5, "E011")]),
        ("tiers.yaml", "tierings:", "tiering:", [(3, 1, "E010")]),
        ("tiers.yaml", "digital_tier:", "balance:", [(8, 3, "E018")]),
        ("tiers.yaml", "digital_tier:", "tag:", [(8, 3, "E018")]),
        ("tiers.yaml", "daily_mean: customer.aum", "daily_mean: customer.tier", [(2, 25, "E037")]),
        ("tags.yaml", "customer.balance < peak", "customer.balance < peek", [(5, 64, "E031")]),
        ("tags.yaml", "holds: 30d", "holds: long", [(5, 83, "E015")]),
        ("tags.yaml", "owner: team", "ower: team", [(5, 26, "E010")]),
        ("tags.yaml", 'customer.tier == "large"', "customer.balance", [(4, 16, "E032")]),
        ("tags.yaml", 'customer.tier == "large"', "event.amount > 1", [(4, 16, "E037")]),
        ("tags.yaml", 'customer.tier == "large"', "before.balance > 1", [(4, 16, "E037")]),
        ("tags.yaml", 'customer.tier == "large"', "true", [(4, 16, "E110")]),
        (
            "tags.yaml",
            "max: customer.balance",
            "max: customer.balance, where: customer.tier == 'small'",
            [(2, 40, "E037")],
        ),
        ("tags.yaml", "rich:", "Rich:", [(4, 3, "E014"), (6, 17, "E033")]),
    ],
)
def test_a_mistake_in_them_is_located(file: str, old: str, new: str, expected: list[tuple[int, int, str]]) -> None:
    """Each with its code at its line and column."""
    found = [place[1:] for place in problems_of(file, old, new) if place[0] == file and place[3] != "W116"]
    assert sorted(found) == sorted(expected)


def test_a_tag_reads_only_those_above_it() -> None:
    """So that one pass in the order of the file is enough, and no two wait for each other."""
    tags = """\
tags:
  first: {when: '"second" in customer.tags'}
  second: {when: '"first" in customer.tags and "third" in customer.tags'}
  third: {when: '"third" in customer.tags'}
"""
    found = load({"good.yaml": vary(), "tags.yaml": tags}).problems
    assert [(problem.line, problem.code) for problem in found if problem.code != "W116"] == [
        (2, "E037"),
        (3, "E033"),
        (4, "E033"),
    ]
    assert [problem.message for problem in found if problem.code == "E033"] == [
        'the tag "third" is not above this one: a tag reads only those above it'
    ] * 2


def test_a_tag_that_nothing_reads_is_told() -> None:
    """A trigger's ``on`` or any expression is a reader, a tag below it too."""
    files = {"tags.yaml": TAGS, "tiers.yaml": TIERS}
    read = ("on: transaction", "on: [transaction, tag.added.both]")
    assert codes_of(load({"good.yaml": vary(read), **files})) == {"W116"}
    found = load({"good.yaml": vary(), **files})
    assert [place for place in places(found) if place[3] == "W115"] == [("tags.yaml", 6, 3, "W115")]
    assert found.ruleset is not None


def test_tiers_and_tags_without_tests_are_told() -> None:
    """A case that expects nothing shows nothing of what it does."""
    shown = "tests: [{name: x, events: [], expect: [{at: 2026-03-02 10:00, tag: added}]}]"
    silent = "tests: [{name: x, events: [], expect: []}]"
    for tests, told in ((shown, False), (silent, True)):
        tags = f"tags:\n  rich:\n    when: customer.balance > 1\n    {tests}\n"
        loaded = load({"good.yaml": vary(ON_TAGS), "tags.yaml": tags})
        assert places(loaded) == ([("tags.yaml", 2, 3, "W116")] if told else [])
        assert loaded.ruleset is not None
        assert [suite.name for suite in loaded.ruleset.suites] == ["rich"]


@pytest.mark.parametrize(
    ("expect", "code"),
    [
        ("{at: 2026-03-02 10:00}", "E018"),
        ("{at: 2026-03-02 10:00, tag: gone}", "E013"),
        ("{at: 2026-03-02 10:00, up: large}", "E010"),
        ("{at: 2026-03-32 10:00, tag: added}", "E016"),
    ],
)
def test_what_a_case_of_a_tag_may_expect(expect: str, code: str) -> None:
    """That it was added or removed, at a time."""
    tests = f"tests: [{{name: x, events: [], expect: [{expect}]}}]"
    tags = f"tags:\n  rich:\n    when: customer.balance > 1\n    {tests}\n"
    assert codes_of(load({"good.yaml": vary(ON_TAGS), "tags.yaml": tags})) - {"W116"} == {code}


def test_a_case_may_give_tags_that_there_are() -> None:
    """By their names; a rule set without tags has none to give."""
    given = ("customer: {balance: 200000}", "customer: {balance: 200000, tags: [risk, risc]}")
    found = load({"good.yaml": vary(ON_TAGS, given), "tags.yaml": TAGS, "tiers.yaml": TIERS})
    assert [place for place in places(found) if place[3] != "W116"] == [("good.yaml", 22, 46, "E013")]
    assert places(load({"good.yaml": vary(given)})) == [("good.yaml", 22, 33, "E018")]


def test_a_ladder_step_waits_on_a_condition() -> None:
    """An outcome by its name stays what it was; anything longer is an expression over what holds then."""
    text = vary(("unless: opened", 'unless: action.outcome == "opened" or customer.balance > 50000'))
    loaded = load({"good.yaml": text})
    assert loaded.ruleset is not None
    step = loaded.ruleset.triggers[0].action.ladder[1]
    assert step.unless is None
    assert step.unless_true is not None
    assert step.unless_true.names == {"action.outcome", "customer.balance"}


def test_what_actions_were_is_known_to_who_hears_of_them() -> None:
    """Feedback and exhaustion have an action; a transaction has none."""
    change = ("when: customer.balance <= peak * 0.7", 'when: action.trigger == "good" and action.step >= 0')
    for on, codes in (("feedback", []), ("action.exhausted", []), ("transaction", ["E037", "E037"])):
        loaded = load(
            {
                "good.yaml": vary(
                    ("on: transaction", f"on: {on}"), change, ("value: peak - ", "value: "), ("drop: peak - ", "drop: ")
                )
            }
        )
        assert [problem.code for problem in loaded.problems if problem.code != "W107"] == codes
