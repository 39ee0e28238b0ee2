"""What ``check`` finds in a policy that contradicts itself, its triggers, its offers or the day."""

from __future__ import annotations

import re
from datetime import date

import pytest

from tests.triggers.language.rule_texts import GOOD
from triggers.language.loader import load_documents

OLD_ONLY = """\
routing:
  - {complexity: [simple], when: customer.age > 60, channels: [push]}
  - {complexity: [simple], channels: []}
"""
PUSH = re.sub(r"ladder: .*", "ladder: [push]", GOOD)
OFFERS = "offers: {call: {kind: service, complexity: simple}, trust: {kind: wealth, complexity: complex}}"


def found(today: date | None = None, good: str = GOOD, **files: str) -> list[tuple[str, int, int, str]]:
    """File, line, column and code of each problem."""
    named = {f"{name}.yaml": text for name, text in files.items()}
    problems = load_documents({"good.yaml": good, **named}, today).problems
    return [(problem.file, problem.line, problem.column, problem.code) for problem in problems]


@pytest.mark.parametrize(
    ("wide", "narrow", "idle"),
    [
        ("at_most: 3, per: 7d", "at_most: 3, per: 7d, channel: sms", True),
        ("at_most: 3, per: 7d", "at_most: 2, per: 7d, channel: sms", False),
        ("at_most: 3, per: 7d", "at_most: 3, per: 6d", True),
        ("at_most: 3, per: 7d", "at_most: 4, per: 8d", False),
        ("at_most: 3, per: 7d, channel: push", "at_most: 3, per: 7d, channel: sms", False),
        ("at_most: 3, per: 7d, channel: sms", "at_most: 4, per: 7d, channel: sms, category: care", True),
        ("at_most: 3, per: 7d, category: sales", "at_most: 4, per: 7d, channel: sms, category: care", False),
        ("at_most: 3, per: 7d, except: [desk]", "at_most: 3, per: 7d, channel: sms", False),
        ("at_most: 3, per: 7d, except: [desk]", "at_most: 3, per: 7d, category: desk", False),
        ("at_most: 3, per: 7d, except: [desk]", "at_most: 3, per: 7d, category: care", True),
        ("at_most: 3, per: 7d, except: [desk]", "at_most: 3, per: 7d, channel: sms, except: [desk, care]", True),
        ("at_most: 2, per: week", "at_most: 2, per: day", True),
        ("at_most: 2, per: month", "at_most: 2, per: day", True),
        ("at_most: 2, per: month", "at_most: 2, per: week", False),
        ("at_most: 2, per: week", "at_most: 2, per: 1d", False),
        ("at_most: 2, per: 25h", "at_most: 2, per: day", True),
        ("at_most: 2, per: 24h", "at_most: 2, per: day", False),
    ],
)
def test_a_cap_that_a_wider_one_makes_idle_is_found(wide: str, narrow: str, idle: bool) -> None:
    """Whatever their order; a day on which the clocks are put back has 25 hours, and a week may lie in two months."""
    for first, second, line in ((wide, narrow, 3), (narrow, wide, 2)):
        policy = f"caps:\n  - {{{first}}}\n  - {{{second}}}\n"
        assert found(policy=policy) == ([("policy.yaml", line, 5, "W121")] if idle else [])


@pytest.mark.parametrize(
    ("policy", "closed"),
    [
        ("routing: [{complexity: [simple], channels: [sms]}]", True),
        ("routing: [{complexity: [simple], channels: [push]}]", False),
        ("routing: [{complexity: [complex], channels: [branch]}]", False),
        ("routing: [{complexity: [simple], when: customer.age > 60, channels: [sms]}]", False),
        (OLD_ONLY, False),
        ("routing: [{complexity: [simple], channels: []}, {complexity: [simple, complex], channels: [push]}]", True),
    ],
)
def test_a_channel_that_no_one_can_be_reached_on_is_found(policy: str, closed: bool) -> None:
    """By the routes for its complexity, as far as one decides for everybody."""
    codes = [(file, code) for file, _, _, code in found(good=PUSH, policy=policy)]
    assert codes == ([("good.yaml", "W122")] if closed else [])


@pytest.mark.parametrize(
    ("cap", "full"),
    [
        ("at_most: 0, per: 7d, channel: push", True),
        ("at_most: 0, per: month, channel: push", True),
        ("at_most: 1, per: month, channel: push", False),
        ("at_most: 0, per: month, channel: sms", False),
        ("at_most: 0, per: week, category: other", False),
        ("at_most: 0, per: week, except: [retention]", False),
        ("at_most: 0, per: week, except: [other]", True),
        ("at_most: 0, per: week", True),
    ],
)
def test_a_cap_of_none_holds_every_step_back(cap: str, full: bool) -> None:
    """Also one by the calendar, which else holds a step back at times only."""
    codes = [code for *_, code in found(good=PUSH, policy=f"caps: [{{{cap}}}]")]
    assert codes == (["W113"] if full else [])


def test_each_of_several_channels_is_looked_at() -> None:
    """At its own place in the list."""
    good = PUSH.replace("ladder: [push]", "ladder: [[push, branch]]")
    places = found(good=good, policy="routing: [{complexity: [simple], channels: [push, sms, manager]}]")
    assert [code for *_, code in places] == ["W122"]
    line = next(number for number, text in enumerate(good.splitlines(), 1) if "branch" in text)
    assert places[0][1:3] == (line, good.splitlines()[line - 1].index("branch") + 1)


@pytest.mark.parametrize(("channels", "idle"), [("[]", True), ("[branch]", False)])
def test_an_offer_that_no_channel_may_carry_is_found(channels: str, idle: bool) -> None:
    """At its name in the catalogue."""
    policy = f"routing: [{{complexity: [complex], channels: {channels}}}]"
    assert found(policy=policy, offers=OFFERS) == ([("offers.yaml", 1, 53, "W123")] if idle else [])


@pytest.mark.parametrize(("today", "ended"), [(date(2026, 3, 31), False), (date(2026, 4, 1), True)])
def test_an_offer_is_to_be_had_on_its_last_day(today: date, ended: bool) -> None:
    """Both sides of the day."""
    offers = "offers: {call: {kind: service, complexity: simple, valid: {from: 2026-01-01, until: 2026-03-31}}}"
    assert found(today, offers=offers) == ([("offers.yaml", 1, 10, "W124")] if ended else [])
    assert found(None, offers=offers) == []


@pytest.mark.parametrize(
    ("today", "ends"),
    [
        (date(2026, 11, 1), False),
        (date(2026, 11, 2), True),
        (date(2026, 12, 31), True),
        (date(2027, 1, 1), True),
        (date(2024, 12, 31), True),
        (date(2025, 12, 31), False),
    ],
)
def test_a_calendar_that_ends_within_sixty_days_is_found(today: date, ends: bool) -> None:
    """From the day on which less than sixty are left; a year that follows without a gap counts on."""
    calendar = "timezone: Asia/Shanghai\ncovers: [2025, 2026]\nholidays: [2025-01-01, 2026-01-01]\n"
    assert found(today, calendar=calendar) == ([("calendar.yaml", 2, 1, "W125")] if ends else [])
    assert found(None, calendar=calendar) == []
    assert found(today, calendar="timezone: Asia/Shanghai\n") == []


@pytest.mark.parametrize(("window", "short"), [("47h", False), ("48h", True), ("none", False)])
def test_an_action_that_ends_with_the_window_is_found(window: str, short: bool) -> None:
    """An action of 48 hours can wait for less than that."""
    codes = [code for *_, code in found(policy=f"arbitration: {{window: {window}}}")]
    assert codes == (["W126"] if short else [])


def test_tiers_leave_no_gap_and_do_not_overlap() -> None:
    """Each has its lower edge alone, lowest first: what is not in order is a mistake."""
    tiers = "tierings:\n  tier:\n    measure: customer.aum\n    edges: {low: 0, mid: 50000, high: 50000}\n"
    assert ("tiers.yaml", 4, 39, "E018") in found(tiers=tiers)


def said(good: str = GOOD, **files: str) -> list[str]:
    """The message of each problem."""
    named = {f"{name}.yaml": text for name, text in files.items()}
    return [problem.message for problem in load_documents({"good.yaml": good, **named}).problems]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("good", None),
        ("goood", ': did you mean "good"?'),
        ("Good", ': did you mean "good"?'),
        ("balance_drop", "; expected the id of one of its files"),
    ],
)
def test_a_holdout_of_a_trigger_that_is_not_there_is_found(name: str, hint: str | None) -> None:
    """At the name, with the one that it may stand for; otherwise nobody would be held out and nobody would notice."""
    policy = f"holdout:\n  salt: a\n  triggers: {{{name}: 10}}\n"
    assert found(policy=policy) == ([("policy.yaml", 3, 14, "E127")] if hint else [])
    assert said(policy=policy) == ([f'no trigger of the rule set is called "{name}"{hint}'] if hint else [])


def test_a_trigger_with_a_mistake_is_known_all_the_same() -> None:
    """By its id, and by the name of its file where the id cannot be read."""
    policy = "holdout: {salt: a, triggers: {good: 10}}"
    for mistake in (("owner: team", "owner: 7"), ("trigger: good", "trigger: 7")):
        broken = GOOD.replace(*mistake)
        assert broken != GOOD
        assert {code for *_, code in found(good=broken, policy=policy)} == {"E012"}


@pytest.mark.parametrize(
    ("policy", "column"),
    [
        ("caps: [{at_most: 2, per: 7d, category: CATEGORY}]", 40),
        ("caps: [{at_most: 2, per: 7d, except: [CATEGORY]}]", 39),
        ("attempts: {at_most: 5, pause: 90d, except: [CATEGORY]}", 45),
        ("seasons: [{months: [1], categories: [CATEGORY], times: 2}]", 38),
        ("objectives: [{when: customer.app_user, categories: [CATEGORY], times: 2}]", 53),
        ("holdout: {salt: s, percent: 5, except: [CATEGORY]}", 41),
    ],
)
def test_a_category_that_no_action_has_is_found(policy: str, column: int) -> None:
    """A warning, wherever the policy names one that is nearly one in use; another may be for triggers to come."""
    for right in ("retention", "referral", "attention"):
        assert found(policy=policy.replace("CATEGORY", right)) == []
    text = policy.replace("CATEGORY", "retenton")
    assert found(policy=text) == [("policy.yaml", 1, column, "W128")]
    assert said(policy=text) == ['no action of the rule set has the category "retenton": did you mean "retention"?']
    assert load_documents({"good.yaml": GOOD, "policy.yaml": text}).ruleset is not None
    # The file with a mistake may be the one that has it.
    assert {code for *_, code in found(good=GOOD.replace("version: 1", "version: x"), policy=text)} == {"E012"}


@pytest.mark.parametrize(
    ("policy", "column", "code"),
    [
        ("{holdout: {salt: a, triggers: {goood: 10}}}", 44, "E127"),
        ("{attempts: {at_most: 5, pause: 90d, except: [retenton]}}", 58, "W128"),
        ("{holdout: {salt: a, triggers: {good: 10}}, attempts: {at_most: 5, pause: 90d, except: [retention]}}", 0, ""),
    ],
)
@pytest.mark.parametrize("shared", [None, "caps: []"])
def test_what_the_policy_of_a_case_names_is_looked_at(policy: str, column: int, code: str, shared: str | None) -> None:
    """In its file, at its place: such a case would show what no policy does. Beside a policy file, or without one."""
    good = GOOD.replace("    expect: []", f"    policy: {policy}\n    expect: []", 1)
    line = next(number for number, text in enumerate(good.splitlines(), 1) if "policy:" in text)
    beside = {} if shared is None else {"policy": shared}
    assert found(good=good, **beside) == ([("good.yaml", line, column, code)] if code else [])


def test_the_policy_of_a_tag_s_case_is_looked_at() -> None:
    """The files beside the triggers have cases as well."""
    tags = """\
tags:
  rich:
    when: customer.balance >= 1000
    tests:
      - name: comes
        policy: {holdout: {salt: a, triggers: {goood: 10}}}
        events: [{at: "2026-03-02 10:00", transaction: {amount: 1000, balance_after: 1000}}]
        expect: [{at: "2026-03-02 10:00", tag: added}]
"""
    assert ("tags.yaml", 6, 48, "E127") in found(tags=tags)


def test_each_name_of_several_is_looked_at() -> None:
    """The wrong one among right ones, at its own place."""
    policy = "seasons:\n  - {months: [1], categories: [retention, retenton], times: 2}\n  - {months: [2], times: 2}\n"
    assert found(policy=policy) == [("policy.yaml", 2, 43, "W128")]


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ("suitability: [{channels: [push], when: customer.age >= 50 and customer.age <= 20}]", (1, 63, "E112")),
        ("suitability: [{channels: [push], when: customer.age >= 20 and customer.age <= 20}]", None),
        ("suitability: [{channels: [push], when: customer.accounts < 0}]", (1, 40, "E110")),
        ("routing: [{complexity: [simple], channels: [], when: customer.accounts < 0}]", (1, 54, "E110")),
        ('objectives: [{when: customer.tier == "mid" and customer.tier == "high", times: 2}]', (1, 48, "E112")),
        ('objectives: [{when: customer.tier == "mid" or customer.tier == "high", times: 2}]', None),
    ],
)
def test_a_condition_of_the_policy_that_is_never_true_is_found(policy: str, place: tuple[int, int, str] | None) -> None:
    """As one of a trigger is: at the part that contradicts, and not at the bound."""
    assert found(policy=policy) == ([("policy.yaml", *place)] if place else [])


@pytest.mark.parametrize(
    ("first", "second", "closed"),
    [
        ("[push]: customer.age >= 50", "[push, sms]: customer.age <= 20", "push"),
        ("[sms, push]: customer.age >= 50", "[push, sms]: customer.age <= 20", "push, sms"),
        ("[push]: customer.age >= 50", "[sms]: customer.age <= 20", ""),
        ("[push]: customer.age >= 20", "[push]: customer.age <= 20", ""),
        ("[push]: customer.app_user", "[push]: not customer.app_user", "push"),
    ],
)
def test_a_channel_that_suits_nobody_is_found(first: str, second: str, closed: str) -> None:
    """Over all entries for it, at the one from which on nobody is left."""
    lines = [line.replace("[", "  - {channels: [", 1).replace("]:", "], when:") + "}" for line in (first, second)]
    policy = "\n".join(["suitability:", "  - {channels: [wechat], when: customer.mobile_valid}", *lines])
    assert found(policy=policy) == ([("policy.yaml", 4, 5, "E129")] if closed else [])
    assert all(message.endswith(f": {closed} suits nobody") for message in said(policy=policy))
