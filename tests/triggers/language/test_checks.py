"""Every code has an example here that gives exactly it, where it should; and no two codes are the same."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping

import pytest

from tests.triggers.language.rule_texts import GOOD, found_in, load, places, vary
from triggers.language import checks
from triggers.language.checks import ALL_CHECKS, ALL_CODES, DATED_CHECKS, SHARED_CHECKS
from triggers.language.document import MAX_DEPTH

Change = tuple[str, str]
Example = tuple[tuple[Change, ...], list[tuple[int, int, str]]]

EXAMPLES: Mapping[str, list[Example]] = {
    "E001": [((("A good trigger", "A \x07"),), [(3, 10, "E001")])],
    "E002": [((("status: live", "\tstatus: live"),), [(5, 1, "E002")])],
    "E003": [((("owner: team", "owner: team\nversion: 1"),), [(5, 1, "E003")])],
    "E004": [((("owner: team", "owner: &x team"),), [(4, 8, "E004")])],
    "E005": [((("A good trigger", "[" * (MAX_DEPTH + 1)),), [(3, 28, "E005")])],
    "E010": [
        ((("once_per", "one_per"),), [(10, 1, "E010")]),
        ((("category:", "categoy:"),), [(13, 3, "E010")]),
        ((("owner:", "onwer:"),), [(4, 1, "E010")]),
        ((("expires:", "expire:"),), [(17, 3, "E010")]),
        ((("tests:", "test:"),), [(20, 1, "E010")]),
        ((("amount: 60000", "amout: 60000"),), [(24, 66, "E010")]),
        ((("direction: debit", "customer_id: c1"),), [(24, 48, "E010")]),
        ((("balance: 200000", "balanse: 200000"),), [(22, 16, "E010")]),
        ((("offer: call, channel", "ofer: call, channel"),), [(26, 34, "E010")]),
    ],
    "E011": [
        ((("status: live\n", ""),), [(1, 1, "E011")]),
        (((", over: 7d", ""),), [(8, 9, "E011")]),
        ((("{template: good-v1, drop", "{drop"),), [(19, 12, "E011")]),
        (((", {after: 2d, unless: opened, use: sms}", ", sms"),), [(18, 18, "E011")]),
        ((("  - name: silent\n    events", "  - events"),), [(27, 5, "E011")]),
    ],
    "E012": [
        ((("title: A good trigger", "title: 7"),), [(3, 8, "E012")]),
        ((("version: 1", "version: one"),), [(2, 10, "E012")]),
        ((("[push, {after: 2d, unless: opened, use: sms}]", "push"),), [(18, 11, "E012")]),
        ((("amount: 60000", "amount: 1.23456"),), [(24, 74, "E012")]),
        ((("balance: 200000", "balance: lots"),), [(22, 25, "E012")]),
        ((("{balance: 200000}", "{segments: vip}"),), [(22, 26, "E012")]),
    ],
    "E013": [
        ((("status: live", "status: alive"),), [(5, 9, "E013")]),
        ((("on: transaction", "on: transactions"),), [(6, 5, "E013")]),
        ((("on: transaction", "on: [transaction, behaviour.brows]"),), [(6, 19, "E013")]),
        ((("on: transaction", "on: [transaction, tier.up]"),), [(6, 19, "E013")]),
        ((("on: transaction", "on: [transaction, tag.added]"),), [(6, 19, "E013")]),
        ((("on: transaction", "on: [transaction, action.exausted]"),), [(6, 19, "E013")]),
        ((("direction: debit", "direction: debt"),), [(24, 59, "E013")]),
        ((("unless: opened", "unless: opend"),), [(18, 38, "E013")]),
        ((("{balance: 200000}", "{balance: 200000, tier: hihg}"),), [(22, 39, "E013")]),
        ((("channel: push}", "channel: pusch}"),), [(26, 56, "E013")]),
    ],
    "E014": [
        ((("priority: 80", "priority: 800"),), [(15, 13, "E014")]),
        ((("offer: call\n", "offer: The Call\n"),), [(12, 10, "E014")]),
        ((("title: A good trigger", 'title: ""'),), [(3, 8, "E014")]),
        ((("good-v1", '"a good one"'),), [(19, 23, "E014")]),
        ((("on: transaction", "on: []"),), [(6, 5, "E014")]),
        ((("[push, {after: 2d, unless: opened, use: sms}]", "[]"),), [(18, 11, "E014")]),
    ],
    "E015": [
        ((("once_per: 14d", "once_per: 14 days"),), [(10, 11, "E015")]),
        ((("expires: 48h", "expires: 48"),), [(17, 12, "E015")]),
        ((("on: transaction", "on: [transaction, {maturity: 7 days}]"),), [(6, 30, "E015")]),
        ((("on: transaction", "on: [transaction, {maturity: 0d before}]"),), [(6, 30, "E015")]),
    ],
    "E016": [
        ((('    events:\n      - {at: "2026-03-02', '    events:\n      - {at: "2026-02-30'),), [(24, 14, "E016")])
    ],
    "E018": [
        ((("[push, {", "[{after: 1d, use: push}, {"),), [(18, 12, "E018")]),
        ((("name: silent", "name: fires"),), [(27, 5, "E018")]),
        ((("on: transaction", "on: [transaction, transaction]"),), [(6, 19, "E018")]),
        ((("channel: push}", "channel: push, reason: reversed}"),), [(26, 62, "E018")]),
        ((("transaction: {direction: debit, amount: 60000}}", "profile: {}, feedback: {}}"),), [(24, 9, "E018")]),
    ],
    "E020": [((("owner: team", "owner: team  # noqa: E104"),), [(4, 14, "E020")])],
    "E021": [((("owner: team", "owner: team  # noqa: E031 the name will come"),), [(4, 14, "E021")])],
    "W022": [((("owner: team", "owner: team  # noqa: E104 there is one case only"),), [(4, 14, "W022")])],
    "E030": [((("peak * 0.7", "peak * 0.7 ("),), [(9, 38, "E030")])],
    "E031": [((("customer.balance <=", "customer.ballance <="),), [(9, 7, "E031")])],
    "E032": [((("customer.balance <=", "customer.tier <="),), [(9, 7, "E032")])],
    "E033": [((("customer.balance <=", 'customer.tier == "hihg" and customer.balance <='),), [(9, 24, "E033")])],
    "E034": [((("peak * 0.7", "peak ** 2"),), [(9, 32, "E034")])],
    "E035": [((("peak * 0.7", "peak * 0.70000000000000000001"),), [(9, 34, "E035")])],
    "E036": [((("peak * 0.7", "max(peak)"),), [(9, 27, "E036")])],
    "E037": [
        ((("peak * 0.7", "product.amount"),), [(9, 27, "E037")]),
        (
            (("on: transaction", "on: {silence: transaction, for: 90d}"), ("customer.balance <=", "event.amount <=")),
            [(9, 7, "E037")],
        ),
        ((("once_per: 14d", "rearm: event.amount > 1"),), [(10, 8, "E037")]),
        ((("once_per: 14d", 'rearm: action.channel == "push"'),), [(10, 8, "E037")]),
        ((("once_per: 14d", "rearm: \"'vip' in customer.tags\""),), [(10, 18, "E037")]),
        ((("unless: opened", "unless: event.amount > 1"),), [(18, 38, "E037")]),
        ((("peak * 0.7", "offer.min_amount"),), [(9, 27, "E037")]),
        ((("drop: peak", "drop: offer.min_amount + peak"),), [(19, 38, "E037")]),
    ],
    "E038": [((("offer: call\n", "offer: {choose: deposit}\n"),), [(12, 19, "E038")])],
    "E102": [((("trigger: good", "trigger: better"),), [(1, 10, "E102")])],
    "E103": [
        (((GOOD[GOOD.index("tests:") :], ""),), [(1, 1, "E103")]),
        (((GOOD[GOOD.index("tests:") :], "tests: []\n"),), [(20, 1, "E103")]),
        (((GOOD[GOOD.index("  - name: fires") : GOOD.index("  - name: silent")], ""),), [(20, 1, "E103")]),
        ((("offer: call, channel: push", "cancelled: true"),), [(20, 1, "E103")]),
    ],
    "E104": [((("  - name: silent\n    events: []\n    expect: []\n", ""),), [(20, 1, "E104")])],
    "E105": [((("owner: team\n", ""),), [(1, 1, "E105")])],
    "E106": [((("  expires: 48h\n", ""),), [(11, 1, "E106")])],
    "W107": [((("when:", "  other: {min: customer.balance, over: 7d}\nwhen:"),), [(9, 3, "W107")])],
    "E108": [
        ((("when:", "  min: {min: customer.balance, over: 7d}\nwhen:"), ("peak * 0.7", "min * 0.7")), [(9, 3, "E108")]),
    ],
    "E109": [
        ((("drop: peak", "Drop: peak"),), [(19, 32, "E109")]),
        ((("drop: peak - customer.balance", "drop: 1 / 0"),), [(19, 38, "E109")]),
        ((("drop: peak - customer.balance", "drop: "),), [(19, 38, "E109")]),
        ((("drop: peak", ", ".join(f"f{i}: 1" for i in range(20)) + ", drop: peak"),), [(19, 12, "E109")]),
    ],
    "E110": [
        ((("when: customer.balance", "when: 2 > 1 and customer.balance"),), [(9, 7, "E110")]),
        ((("peak * 0.7", "peak * 0.7 and (1 > 2 or false)"),), [(9, 43, "E110")]),
        ((("peak * 0.7", "peak * 0.7 or true"),), [(9, 7, "E110")]),
        ((("peak * 0.7", "peak * 0.7 and 1 / 0 > 1"),), [(9, 42, "E110")]),
        ((("once_per: 14d", "rearm: true"),), [(10, 8, "E110")]),
        ((("peak * 0.7", "peak * 0.7 and event.amount < 0"),), [(9, 42, "E110")]),
        ((("peak * 0.7", "peak * 0.7 and (event.amount < 0 or customer.age > 60)"),), [(9, 43, "E110")]),
        ((("peak * 0.7", "peak * 0.7 and customer.accounts >= 0"),), [(9, 42, "E110")]),
        ((("once_per: 14d", "rearm: not (customer.balance < 5 or customer.balance >= 5)"),), [(10, 8, "E110")]),
        ((("peak * 0.7", "peak * 0.7 and customer.age < customer.age"),), [(9, 42, "E110")]),
        ((("over: 7d}", "over: 7d, where: customer.accounts < 0}"),), [(8, 50, "E110")]),
    ],
    "E111": [
        ((("[push,", "[pusch,"),), [(18, 12, "E111")]),
        ((("use: sms", "use: fax"),), [(18, 51, "E111")]),
    ],
    "E112": [
        (
            (("customer.balance <=", "customer.age > 60 and customer.age < 18 and customer.balance <="),),
            [(9, 29, "E112")],
        ),
        ((("peak * 0.7", 'peak * 0.7 and customer.tier == "mid" and customer.tier == "high"'),), [(9, 69, "E112")]),
        ((("peak * 0.7", "peak * 0.7 and customer.balance > peak"),), []),
        ((("peak * 0.7", "peak * 0.7 and customer.balance > peak * 0.7"),), [(9, 42, "E112")]),
        ((("peak * 0.7", "peak * 0.7 or 18 > customer.age > 60"),), [(9, 46, "E112")]),
    ],
    "W113": [
        ((("use: sms}]", "use: sms}, {after: 1d, use: sms}, {after: 1d, use: sms}]"),), [(18, 97, "W113")]),
    ],
    "W114": [
        ((("peak * 0.7", "peak * 0.7 and (customer.age < 18 or customer.age >= 18)"),), [(9, 43, "W114")]),
        ((("peak * 0.7", "peak * 0.7 and event.amount == event.amount"),), [(9, 42, "W114")]),
    ],
    "W117": [
        ((("on: transaction", "on: [transaction, {silence: behaviour.login, for: 6d}]"),), [(6, 19, "W117")]),
        (
            (("on: transaction", "on: [transaction, {after: behaviour.browse, unless: product.opened, within: 24h}]"),),
            [(6, 19, "W117")],
        ),
    ],
    "E118": [
        (
            (("on: transaction", "on: {maturity: 31d before}"), ("peak * 0.7", "peak and product.term_days <= 30")),
            [(6, 5, "E118")],
        ),
        (
            (("on: transaction", "on: [{maturity: 7d before}]"), ("peak * 0.7", "peak and 1 < product.term_days < 7")),
            [(6, 6, "E118")],
        ),
        (
            (("on: transaction", "on: {maturity: 9d before}"), ("peak * 0.7", "peak and product.term_days in [7, 8]")),
            [(6, 5, "E118")],
        ),
        (
            (("on: transaction", "on: {maturity: 9d before}"), ("peak * 0.7", "peak and 8 == product.term_days")),
            [(6, 5, "E118")],
        ),
        (
            (("on: transaction", "on: {maturity: 31d before}"), ("peak * 0.7", "peak and 30 >= product.term_days")),
            [(6, 5, "E118")],
        ),
    ],
    "W119": [
        ((("on: transaction", "on: {maturity: 3 business days before}"),), [(6, 5, "W119")]),
        ((("on: transaction", "on: [transaction, {maturity: 7d before, roll: previous}]"),), [(6, 19, "W119")]),
        (
            (
                ("on: transaction", "on: [maturity]"),
                ("peak * 0.7", "peak and business_days_until(product.matures_on) < 3"),
            ),
            [(9, 36, "W119")],
        ),
        ((("drop: peak", "times: slots(2), drop: peak"),), [(19, 39, "W119")]),
    ],
    "E120": [
        (
            (
                ("on: transaction", 'on: {every: day, at: "09:00", roll: none}'),
                ("    events: []", '    until: "2026-03-02 10:00"\n    events: []'),
                ("    customer: {balance: 200000}", '    until: "2026-04-02 10:00"\n    customer: {balance: 200000}'),
            ),
            [(28, 5, "E120")],
        ),
        (
            (
                ("on: transaction", 'on: {every: day, at: "09:00", roll: none}'),
                ("    events: []", '    from: "2026-03-01 10:00"\n    until: "2026-03-02 10:00"\n    events: []'),
            ),
            [(21, 5, "E120")],
        ),
    ],
}
_OF_SEVERAL_FILES = {"W115", "W116", "E019", "E101"}
_OF_THE_POLICY = {"W121", "W122", "W123", "W124", "W125", "W126", "E127", "W128", "E129"}
"""In ``test_policy_checks``."""


@pytest.mark.parametrize(
    ("changes", "expected"), [example for examples in EXAMPLES.values() for example in examples], ids=str
)
def test_a_mistake_gives_its_code_at_its_place(
    changes: tuple[Change, ...], expected: list[tuple[int, int, str]]
) -> None:
    """One mistake in a good trigger is one problem, at the line and column where it is."""
    assert found_in(*changes) == expected


def test_what_wakes_the_trigger_counts_as_a_clause() -> None:
    """Only what is woken by can be asked for; in a list the kinds of all its events."""
    wakes = ("on: transaction", "on: [behaviour.browse, behaviour.login]")
    asks = 'when: event.action == "{}" and '
    found = [found_in(wakes, ("when: ", asks.format(action))) for action in ("browse", "search")]
    assert found == [[], [(9, 7, "E110")]]


def test_a_cap_of_zero_holds_back_the_first_step() -> None:
    """Then the trigger never says anything."""
    policy = "caps: [{at_most: 0, per: 7d, category: retention}]"
    loaded = load({"good.yaml": GOOD, "policy.yaml": policy})
    assert places(loaded) == [("good.yaml", 18, 12, "W113")]
    other = load({"good.yaml": GOOD, "policy.yaml": policy.replace("retention", "growth")})
    assert places(other) == []


def test_a_step_as_far_away_as_the_cap_is_long_is_reached() -> None:
    """The window of a cap does not hold its own beginning: only the third step comes too early."""
    ladder = ("use: sms}]", "use: sms}, {after: 47h, use: sms}]")
    for per, column in (("49h", 51), ("2d", 75)):
        loaded = load({"good.yaml": vary(ladder), "policy.yaml": f"caps: [{{at_most: 1, per: {per}}}]"})
        assert places(loaded) == [("good.yaml", 18, column, "W113")]


def test_a_cap_on_a_channel_holds_back_the_steps_on_that_channel() -> None:
    """The first step is a push, the second an SMS. One by the calendar may begin anew between two steps."""
    ladder = ("use: sms}]", "use: sms}, {after: 1d, use: push}]")
    caps = (("7d, channel: push", [74]), ("7d, channel: sms", []), ("week", []))
    for per, columns in caps:
        loaded = load({"good.yaml": vary(ladder), "policy.yaml": f"caps: [{{at_most: 1, per: {per}}}]"})
        assert places(loaded) == [("good.yaml", 18, column, "W113") for column in columns]


_OF_THE_FILE = {"E001", "E002"}


@pytest.mark.parametrize("code", sorted(set(EXAMPLES) - _OF_THE_FILE))
def test_every_problem_has_its_key_path(code: str) -> None:
    """But what keeps a file from being read at all."""
    for changes, _ in EXAMPLES[code]:
        for problem in load({"good.yaml": vary(*changes)}).problems:
            assert problem.path, str(problem)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("status: live\n", ""), "status"),
        ((", over: 7d", ""), "features.peak.over"),
        (("owner: team\n", ""), "owner"),
        (("  expires: 48h\n", ""), "action.expires"),
        ((GOOD[GOOD.index("tests:") :], ""), "tests"),
        (("{template: good-v1, drop", "{drop"), "action.message.template"),
    ],
)
def test_a_missing_key_is_named_as_if_it_stood_there(change: Change, path: str) -> None:
    """The position is that of the mapping that lacks it."""
    assert [problem.path for problem in load({"good.yaml": vary(change)}).problems] == [path]


def test_the_good_trigger_has_no_problem() -> None:
    """Else the examples would prove nothing."""
    assert found_in() == []


@pytest.mark.parametrize(
    "changes",
    [
        (("on: transaction", "on: [transaction, {silence: behaviour.login, for: 7d}]"),),
        (("on: transaction", "on: {maturity: 30d before}"), ("peak * 0.7", "peak and product.term_days <= 30")),
        (("on: transaction", "on: {maturity: 9d before}"), ("peak * 0.7", "peak and product.term_days in [8, 90]")),
        (("on: transaction", "on: {maturity: 9d before}"), ("peak * 0.7", "peak and not product.term_days <= 8")),
        (("on: transaction", "on: {maturity: 9d before}"), ("peak * 0.7", "peak and product.term_days > 5")),
        (("on: transaction", "on: [transaction, {maturity: 7d before, roll: none}]"),),
    ],
    ids=str,
)
def test_what_only_looks_like_a_mistake_of_time_is_none(changes: tuple[Change, ...]) -> None:
    """At the very bound, and where nothing is known of the term, there is nothing to say."""
    assert found_in(*changes) == []


def test_a_calendar_that_covers_a_year_is_enough_for_business_days() -> None:
    """Which year a trigger will run in no check can know."""
    text = vary(("on: transaction", "on: {maturity: 3 business days before}"))
    assert places(load({"good.yaml": text, "calendar.yaml": "holidays: [2026-01-01]"})) == []
    assert places(load({"good.yaml": text, "calendar.yaml": "covers: [2026]"})) == []
    assert [place[3] for place in places(load({"good.yaml": text, "calendar.yaml": "holidays: []"}))] == ["W119"]


def test_two_files_with_one_id_are_refused() -> None:
    """The second of them is pointed at."""
    loaded = load({"a/good.yaml": GOOD, "b/good.yaml": GOOD})
    assert places(loaded) == [("b/good.yaml", 1, 10, "E101")]
    assert "a/good.yaml" in loaded.problems[0].message


def test_two_policies_are_refused() -> None:
    """The rule set has one."""
    loaded = load({"good.yaml": GOOD, "policy.yaml": "{}", "x/policy.yaml": "{}"})
    assert places(loaded) == [("x/policy.yaml", 1, 1, "E019")]


def test_every_code_has_an_example() -> None:
    """A code without a test fails here."""
    assert {code.id for code in ALL_CODES} == set(EXAMPLES) | _OF_SEVERAL_FILES | _OF_THE_POLICY


def test_every_example_is_of_its_code() -> None:
    """What stands under a code gives that code and no other."""
    for code, examples in EXAMPLES.items():
        assert all([found[2] for found in expected] in ([code], []) for _, expected in examples)


def test_no_code_is_used_twice() -> None:
    """Each has one meaning, one line about it, and the letter of its severity."""
    ids = [code.id for code in ALL_CODES]
    assert len(set(ids)) == len(ids)
    for code in ALL_CODES:
        assert re.fullmatch(r"[EW]\d{3}", code.id)
        assert code.about
        assert "\n" not in code.about
        assert code.severity == ("warning" if code.id[0] == "W" else "error")


def test_every_check_has_a_file_of_its_own_and_is_listed() -> None:
    """A file under checks/ that the list forgets would never run."""
    modules = {module.name for module in pkgutil.iter_modules(checks.__path__) if not module.ispkg} - {"base"}
    found = [importlib.import_module(f"triggers.language.checks.{name}").CHECK for name in sorted(modules)]
    assert sorted(check.code.id for check in found) == sorted(
        check.code.id for check in (*ALL_CHECKS, *SHARED_CHECKS, *DATED_CHECKS)
    )


def test_a_warning_does_not_stop_the_rule_set() -> None:
    """A feature that nothing reads is told, and the trigger runs."""
    loaded = load({"good.yaml": vary(("when:", "  other: {min: customer.balance, over: 7d}\nwhen:"))})
    assert [problem.severity for problem in loaded.problems] == ["warning"]
    assert loaded.ruleset is not None


def test_a_feature_is_not_called_unused_while_an_expression_is_broken() -> None:
    """The broken one may be its reader."""
    broken = ("peak * 0.7", "peak * * 0.7")
    found = found_in(broken, ("value: peak - ", "value: "), ("drop: peak - ", "drop: "))
    assert [code for _, _, code in found] == ["E030"]
