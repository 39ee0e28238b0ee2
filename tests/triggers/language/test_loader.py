"""From files to a rule set: all problems at once, one hash for one content, the shipped library without a problem."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import to_ms
from tests.triggers.language.rule_texts import GOOD, load, places, vary
from triggers.language.loader import InvalidRuleSet, from_document, load_documents, load_ruleset
from triggers.language.model import Cap, OnEvent, OnMaturity, OnSilence, OnWait, Policy, Step
from triggers.language.reader import DAY_MS, HOUR_MS

LIBRARY = Path(__file__).parents[3] / "triggers" / "library"

TWELVE_MISTAKES = """\
trigger: twelve
version: "1"
titel: Twelve mistakes in one file
owner: team
status: alive
on: [transaction, {maturity: 7 days before}]
features:
  peak_7d: {max: customer.ballance, over: 7d}
when: >-
  customer.tier in ["mid", "hihg"]
  and customer.balance <= peak_7d * 0.7
  and product.amount + event.direction > 1
once_per: 14 days
action:
  offer: retention_call
  category: retention
  complexity: medium
  priority: 1_0
  expires: 48h
  ladder: [push, {after: 2d, unless: opened, use: smss}]
tests:
  - name: fires
    events:
      - {at: "2026-02-30 10:00", transaction: {direction: debit, amuont: 60000}}
    expect:
      - {at: "2026-03-02 10:00", offer: retention_call}
  - name: silent
    events: []
    expect: []
"""


def test_twelve_mistakes_are_twelve_located_errors_in_one_run() -> None:
    """Every one of them, in order, and nothing else."""
    loaded = load({"retention/twelve.yaml": TWELVE_MISTAKES})
    assert loaded.ruleset is None
    assert [(line, column, code) for _, line, column, code in places(loaded)] == [
        (2, 10, "E012"),
        (3, 1, "E010"),
        (5, 9, "E013"),
        (6, 30, "E015"),
        (8, 18, "E031"),
        (10, 28, "E033"),
        (12, 24, "E032"),
        (13, 11, "E015"),
        (18, 13, "E012"),
        (20, 51, "E111"),
        (24, 14, "E016"),
        (24, 66, "E010"),
    ]
    assert str(loaded.problems[4]) == (
        'retention/twelve.yaml:8:18 E031 unknown name "customer.ballance": did you mean "customer.balance"? '
        "(features.peak_7d.max)"
    )


def test_mistakes_of_all_files_come_together_sorted() -> None:
    """Policy and calendar included; one broken file does not hide another."""
    loaded = load(
        {
            "b.yaml": vary(("trigger: good", "trigger: b"), ("version: 1", "version: 0")),
            "a.yaml": "- x",
            "policy.yaml": "caps: [{at_most: yes, per: 7d}]\ncurrency: RMB\nconsent: [fax]",
            "calendar.yaml": "timezone: Asia/Shangai\nremind_at: 9:00",
            "tiers.yaml": "{}",
        }
    )
    assert places(loaded) == [
        ("a.yaml", 1, 1, "E012"),
        ("b.yaml", 2, 10, "E014"),
        ("calendar.yaml", 1, 11, "E013"),
        ("calendar.yaml", 2, 12, "E016"),
        ("policy.yaml", 1, 18, "E012"),
        ("policy.yaml", 2, 11, "E013"),
        ("policy.yaml", 3, 11, "E013"),
        ("tiers.yaml", 1, 1, "E011"),
    ]


def test_an_empty_file_is_told_what_it_lacks() -> None:
    """Its keys are missing at its first line."""
    assert {(line, column) for _, line, column, _ in places(load({"x.yaml": ""}))} == {(1, 1)}


def test_a_trigger_is_read_whole() -> None:
    """Every key of the good trigger arrives in the compiled rule set."""
    ruleset = load({"good.yaml": GOOD}).ruleset
    assert ruleset is not None
    (trigger,) = ruleset.triggers
    assert (trigger.id, trigger.version, trigger.title, trigger.owner) == ("good", 1, "A good trigger", "team")
    assert (trigger.status, trigger.on, trigger.on_change) == ("live", (OnEvent("transaction"),), "carry")
    assert trigger.when is not None
    assert trigger.when.source == "customer.balance <= peak * 0.7"
    assert trigger.when.names == {"customer.balance", "peak"}
    assert trigger.once_per_ms == 14 * DAY_MS
    action = trigger.action
    assert (action.offer, action.category, action.complexity, action.priority) == ("call", "retention", "simple", 80)
    assert action.ladder == (Step("push"), Step("sms", 2 * DAY_MS, "opened"))
    assert (action.expires_ms, action.template, list(action.fields)) == (48 * HOUR_MS, "good-v1", ["drop"])
    fires, silent = trigger.cases
    assert fires.customer == {"balance": Decimal(200000)}
    assert fires.events[0].fields == {"direction": "debit", "amount": Decimal(60000)}
    assert (fires.events[0].record_type, fires.events[0].line) == ("transaction", 24)
    assert fires.expect[0].fields == {"offer": "call", "channel": "push"}
    assert (silent.events, silent.expect, silent.line) == ((), (), 27)


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("maturity", (OnEvent("maturity"),)),
        ("[behaviour.browse, feedback.opened]", (OnEvent("behaviour", "browse"), OnEvent("feedback", "opened"))),
        ("{maturity: 7d before}", (OnMaturity(7),)),
        ("{maturity: 3 business days before}", (OnMaturity(3, business=True),)),
        ("{maturity: on the day}", (OnMaturity(0),)),
        ("{silence: transaction, for: 90d}", (OnSilence("transaction", None, 90 * DAY_MS),)),
        ("{silence: behaviour.login, for: 2w}", (OnSilence("behaviour", "login", 14 * DAY_MS),)),
        ("[profile, {maturity: 1d before}]", (OnEvent("profile"), OnMaturity(1))),
        (
            "[transaction.salary, maturity.redeemed]",
            (OnEvent("transaction", "salary"), OnEvent("maturity", "redeemed")),
        ),
        ("[product.opened, product.closed]", (OnEvent("maturity", "purchased"), OnEvent("maturity", "redeemed"))),
        ("{silence: product.opened, for: 90d}", (OnSilence("maturity", "purchased", 90 * DAY_MS),)),
        ("{maturity: 7d before, roll: previous}", (OnMaturity(7, roll="previous"),)),
        ("{maturity: on the day, roll: next}", (OnMaturity(0, roll="next"),)),
        (
            "{after: behaviour.browse, unless: product.opened, within: 24h}",
            (OnWait(OnEvent("behaviour", "browse"), OnEvent("maturity", "purchased"), DAY_MS),),
        ),
    ],
)
def test_forms_of_on(on: str, expected: object) -> None:
    """Events, lists, lead times, silence."""
    ruleset = load({"good.yaml": vary(("on: transaction", f"on: {on}"))}).ruleset
    assert ruleset is not None
    assert ruleset.triggers[0].on == expected


def test_policy_and_calendar_set_what_they_say_and_leave_the_rest() -> None:
    """Times of cases without an offset are in the calendar's time zone."""
    files = {
        "good.yaml": GOOD,
        "policy.yaml": "currency: EUR\nlateness: 2d\nskew: 10m\nconsent: []\n"
        "caps: [{at_most: 1, per: 1d, category: x}]\nsamples: 800",
        "calendar.yaml": 'timezone: Europe/Berlin\nremind_at: "08:30"',
    }
    ruleset = load(files).ruleset
    assert ruleset is not None
    assert ruleset.policy == Policy(
        currency="EUR",
        timezone=ZoneInfo("Europe/Berlin"),
        remind_at=time(8, 30),
        lateness_ms=2 * DAY_MS,
        skew_ms=600_000,
        consent=frozenset(),
        caps=(Cap(1, DAY_MS, "x"),),
        samples=800,
    )
    expected = to_ms(datetime.fromisoformat("2026-03-02T10:00:00+01:00"))
    assert ruleset.triggers[0].cases[0].events[0].at_ms == expected
    plain = load({"good.yaml": GOOD}).ruleset
    assert plain is not None
    assert plain.policy == Policy()


def test_how_long_behaviour_is_held_must_fit_the_lateness_rule() -> None:
    """The default gives way; what a file says is an error where it could come too late, at the key that did it."""
    ruleset = load(
        {"good.yaml": GOOD, "policy.yaml": "lateness: 2d\nskew: 1h\nidentity: {hold: 47h, at_most: 7}"}
    ).ruleset
    assert ruleset is not None
    assert (ruleset.policy.held_ms, ruleset.policy.hold_at_most) == (47 * 3_600_000, 7)
    ruleset = load({"good.yaml": GOOD, "policy.yaml": "lateness: 1d\nidentity: {at_most: 9}"}).ruleset
    assert ruleset is not None
    assert (ruleset.policy.held_ms, ruleset.policy.hold_at_most) == (23 * 3_600_000, 9)
    (problem,) = load({"good.yaml": GOOD, "policy.yaml": "lateness: 2d\nidentity: {hold: 2d}"}).problems
    assert (problem.code, problem.line, problem.column) == ("E018", 2, 1)
    assert "expected identity.hold of at most lateness less skew, 47h" in problem.message


def test_titles_may_be_by_language() -> None:
    """Each language has one: what is told in one only stands for both."""
    for title, titles in (
        ("{zh: 中, en: E}", {"en": "E", "zh": "中"}),
        ("{zh: 中}", {"en": "中", "zh": "中"}),
        ("{en: E}", {"en": "E", "zh": "E"}),
        ("E", {"en": "E", "zh": "E"}),
    ):
        ruleset = load({"good.yaml": vary(("title: A good trigger", f"title: {title}"))}).ruleset
        assert ruleset is not None
        assert ruleset.triggers[0].titles == titles
        assert ruleset.triggers[0].title == titles["en"]


def test_features_are_shared_across_files() -> None:
    """Two triggers with the same peak have one series and one feature."""
    other = vary(("trigger: good", "trigger: other"))
    ruleset = load({"good.yaml": GOOD, "other.yaml": other}).ruleset
    assert ruleset is not None
    assert (len(ruleset.triggers), len(ruleset.series), len(ruleset.features)) == (2, 1, 1)


def test_the_same_content_has_the_same_hash(tmp_path: Path) -> None:
    """Wherever the folder lies, in whatever order files come, with Windows line ends or a byte order mark."""
    files = {"x/good.yaml": GOOD, "policy.yaml": "currency: CNY\n"}
    expected = load(files).ruleset
    assert expected is not None
    assert re.fullmatch(r"[0-9a-f]{16}", expected.hash)
    turned = load(dict(reversed(files.items()))).ruleset
    assert turned is not None
    assert (turned.hash, turned.document) == (expected.hash, expected.document)
    for folder, change in (("a", lambda text: text), ("b/c", lambda text: "\ufeff" + text.replace("\n", "\r\n"))):
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(change(text).encode())
        loaded = load_ruleset([tmp_path / folder])
        assert not loaded.problems
        assert loaded.ruleset is not None
        assert loaded.ruleset.hash == expected.hash
        assert loaded.ruleset.document == expected.document
    changed = load({**files, "x/good.yaml": GOOD + "# a note\n"}).ruleset
    assert changed is not None
    assert changed.hash != expected.hash


def test_a_rule_set_can_be_built_again_from_its_document() -> None:
    """What is stored is enough."""
    ruleset = load_ruleset([LIBRARY]).ruleset
    assert ruleset is not None
    again = from_document(ruleset.document)
    assert again.hash == ruleset.hash
    assert [trigger.id for trigger in again.triggers] == [trigger.id for trigger in ruleset.triggers]
    assert [series.id for series in again.series] == [series.id for series in ruleset.series]
    assert set(json.loads(ruleset.document)) >= {"policy.yaml", "calendar.yaml", "retention/balance_drop.yaml"}


@pytest.mark.parametrize("document", ["", "[]", "{", '{"a.yaml": 1}', '{"a.yaml": "- x"}', "[" * 100_000])
def test_a_damaged_document_is_refused(document: str) -> None:
    """With its problems."""
    with pytest.raises(InvalidRuleSet) as raised:
        from_document(document)
    assert raised.value.problems


def test_problems_name_files_as_they_were_found(tmp_path: Path) -> None:
    """So that an editor can open them."""
    bad = tmp_path / "rules" / "x" / "good.yaml"
    bad.parent.mkdir(parents=True)
    bad.write_text(vary(("version: 1", "version: 0")))
    loaded = load_ruleset([tmp_path / "rules"])
    assert [str(problem).partition(" ")[0] for problem in loaded.problems] == [f"{bad}:2:10"]


def test_policy_and_calendar_are_found_above_a_part_of_the_library(tmp_path: Path) -> None:
    """One trigger or one folder is read under the same policy as the whole."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "good.yaml").write_text(GOOD)
    (tmp_path / "policy.yaml").write_text("currency: EUR")
    for path in (tmp_path, tmp_path / "x", tmp_path / "x" / "good.yaml"):
        loaded = load_ruleset([path])
        assert loaded.ruleset is not None
        assert loaded.ruleset.policy.currency == "EUR"
    (tmp_path / "x" / "policy.yaml").write_text("currency: USD")
    nearest = load_ruleset([tmp_path / "x" / "good.yaml"]).ruleset
    assert nearest is not None
    assert nearest.policy.currency == "USD"


def test_what_cannot_be_found_is_a_problem(tmp_path: Path) -> None:
    """A missing path, an empty folder, a file with another ending, two files of one name."""
    assert load_ruleset([tmp_path / "none.yaml"]).problems[0].code == "E001"
    assert "no trigger file" in str(load_ruleset([tmp_path]).problems[0])
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "good.yaml").write_text(GOOD)
    (tmp_path / "a" / "good.yml").write_text(GOOD)
    loaded = load_ruleset([tmp_path / "a"])
    assert loaded.ruleset is None
    assert "rename it" in loaded.problems[0].message
    (tmp_path / "a" / "good.yml").unlink()
    (tmp_path / "b" / "good.yaml").write_text(GOOD)
    assert [problem.code for problem in load_ruleset([tmp_path / "a", tmp_path / "b"]).problems] == ["E019"]


def test_the_shipped_library_has_no_problem() -> None:
    """Not even a warning; every objective has a trigger."""
    loaded = load_ruleset([LIBRARY])
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.ruleset is not None
    assert {trigger.id for trigger in loaded.ruleset.triggers} >= {
        "balance_drop",
        "maturity_due",
        "threshold_up",
        "threshold_down",
        "dormancy",
        "large_inflow",
    }


def test_the_example_of_the_language_loads() -> None:
    """The trigger that documents the language, word for word."""
    example = (LIBRARY / "retention" / "balance_drop.yaml").read_text()
    loaded = load({"balance_drop.yaml": example})
    assert loaded.ruleset is not None
    (trigger,) = loaded.ruleset.triggers
    assert [clause.source for clause in trigger.clauses] == [
        'customer.tier in ["mid", "high"]',
        "customer.balance + bought_7d <= peak_7d * 0.7",
        "peak_7d - customer.balance - bought_7d >= 50000",
        "not event.own_account",
    ]


_LINES = GOOD.split("\n")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(_LINES), max_size=40).map("\n".join)
    | st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 30), st.text(max_size=6)).map(
        lambda cut: GOOD[: cut[0]] + cut[2] + GOOD[cut[0] + cut[1] :]
    )
)
def test_any_file_is_a_rule_set_or_located_problems(text: str) -> None:
    """Shuffled and damaged trigger files never give an exception."""
    loaded = load_documents({"good.yaml": text, "policy.yaml": text, "calendar.yaml": text})
    assert loaded.ruleset is not None or loaded.problems
    last = text.count("\n") + 1
    for problem in loaded.problems:
        assert 1 <= problem.line <= last
        assert problem.column >= 1


def _codes(files: Mapping[str, str]) -> list[str]:
    return [problem.code for problem in load(files).problems]


@pytest.mark.parametrize("word", ["carry", "reset", "warm"])
def test_a_trigger_says_what_becomes_of_its_memory(word: str) -> None:
    """Each word arrives in the trigger; without the key its memory is carried."""
    said = load({"good.yaml": vary(("on: transaction", f"on: transaction\non_change: {word}"))}).ruleset
    silent = load({"good.yaml": GOOD}).ruleset
    assert said is not None
    assert silent is not None
    assert (said.triggers[0].on_change, silent.triggers[0].on_change) == (word, "carry")


def test_an_unknown_word_for_what_becomes_of_memory_is_told_the_right_one() -> None:
    """Where it stands, with the nearest."""
    loaded = load({"good.yaml": vary(("on: transaction", "on: transaction\non_change: wram"))})
    assert places(loaded) == [("good.yaml", 7, 12, "E013")]
    assert "warm" in loaded.problems[0].message.partition("did you mean")[2], loaded.problems[0].message


def test_the_number_of_problems_does_not_depend_on_other_files() -> None:
    """A broken policy does not make a good trigger bad."""
    assert _codes({"good.yaml": GOOD, "policy.yaml": "currency: RMB"}) == ["E013"]


def test_files_without_errors_are_sound_beside_one_with() -> None:
    """Whoever tests triggers goes on with them; nobody else is given a rule set."""
    broken = vary(("customer.balance <= peak", "customer.balanse <= peak"), ("trigger: good", "trigger: bad"))
    loaded = load({"good.yaml": vary(), "bad.yaml": broken})
    assert loaded.ruleset is None
    assert loaded.sound is not None
    assert [trigger.id for trigger in loaded.sound.triggers] == ["good"]


def test_a_file_that_only_a_check_refuses_is_not_sound() -> None:
    """Its trigger could be read, and may not run."""
    nobody = vary(("owner: team\n", ""), ("trigger: good", "trigger: bad"))
    loaded = load({"good.yaml": vary(), "bad.yaml": nobody})
    assert [problem.code for problem in loaded.problems] == ["E105"]
    assert loaded.sound is not None
    assert [trigger.id for trigger in loaded.sound.triggers] == ["good"]


@pytest.mark.parametrize(
    "files",
    [
        {"good.yaml": vary(), "policy.yaml": "caps: 7"},
        {"good.yaml": vary(("owner: team", "ower: team"))},
        {"good.yaml": "a: [", "policy.yaml": ""},
    ],
    ids=["a file that all build on", "the only trigger", "not YAML"],
)
def test_nothing_is_sound_where_all_depends_on_a_mistake(files: dict[str, str]) -> None:
    """A policy with a mistake is that of every trigger."""
    loaded = load(files)
    assert (loaded.ruleset, loaded.sound) == (None, None)


def test_a_rule_set_without_errors_is_sound_itself() -> None:
    """The same one."""
    loaded = load({"good.yaml": vary()})
    assert loaded.ruleset is not None
    assert loaded.sound is loaded.ruleset
