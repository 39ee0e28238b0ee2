"""The catalogue of offers and what an action takes from it: what is read, and every mistake at its place."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.triggers.language.rule_texts import GOOD, load, places, vary
from triggers.language.loader import Loaded, from_document
from triggers.language.model import ActionSpec, Choice, Offer

CATALOGUE = """\
offers:
  call: {kind: service, complexity: simple}
  short: {kind: deposit, term: 30, expected_yield: 0.011, complexity: simple, min_amount: 50}
  long: {kind: deposit, term: 365, expected_yield: 0.0145, min_amount: 50.5}
"""
FULL = """\
offers:
  certificate:
    kind: deposit
    title: {zh: 大额存单, en: A certificate}
    product_id: CD-3Y
    term: 1095
    expected_yield: 0.019
    complexity: medium
    tiers: [mid, high]
    valid: {from: 2026-01-01, until: 2026-12-31}
    min_amount: 200000
  call: {kind: service}
"""


def _with(catalogue: str, *changes: tuple[str, str]) -> Loaded:
    return load({"good.yaml": vary(*changes), "offers.yaml": catalogue})


def _found(catalogue: str, *changes: tuple[str, str]) -> list[tuple[str, int, int, str]]:
    return places(_with(catalogue, *changes))


def _action(catalogue: str, *changes: tuple[str, str]) -> ActionSpec:
    loaded = _with(catalogue, *changes)
    assert loaded.ruleset is not None, [str(problem) for problem in loaded.problems]
    return loaded.ruleset.triggers[0].action


def test_an_offer_is_read_whole() -> None:
    """Every key, and nothing where a key is left out; the rule set keeps the offers in the order of their names."""
    loaded = _with(FULL)
    assert loaded.ruleset is not None
    assert loaded.ruleset.offers == {
        "call": Offer("call", "service"),
        "certificate": Offer(
            id="certificate",
            kind="deposit",
            titles={"en": "A certificate", "zh": "大额存单"},
            product_id="CD-3Y",
            term=1095,
            expected_yield=Decimal("0.019"),
            complexity="medium",
            min_amount=Decimal(200_000),
            tiers=frozenset({"mid", "high"}),
            valid_from=date(2026, 1, 1),
            valid_until=date(2026, 12, 31),
        ),
    }
    assert list(loaded.ruleset.offers) == ["call", "certificate"]


def test_the_catalogue_is_part_of_the_rule_set() -> None:
    """It changes the hash, and the rule set built from the document again has it."""
    loaded, other = _with(CATALOGUE), _with(CATALOGUE.replace("0.011", "0.012"))
    assert loaded.ruleset is not None
    assert other.ruleset is not None
    assert loaded.ruleset.hash != other.ruleset.hash
    assert from_document(loaded.ruleset.document).offers == loaded.ruleset.offers


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "code", "says"),
    [
        ("kind: deposit", "kind: deposite", 3, 11, "E013", 'did you mean "deposit"?'),
        ("    term: 1095", "    terms: 1095", 6, 5, "E010", 'did you mean "term"?'),
        ("    kind: deposit\n", "", 3, 5, "E011", 'missing key "kind"'),
        ("0.019", "2.1%", 7, 21, "E012", "write 0.021"),
        ("0.019", "1.9", 7, 21, "E014", "a number from 0 to 1, found 1.9"),
        ("0.019", "0.01911", 7, 21, "E014", "at most 4 decimals"),
        ("0.019", '"0.019"', 7, 21, "E012", "a number from 0 to 1"),
        ("1095", "3y", 6, 11, "E012", "a whole number"),
        ("1095", "0", 6, 11, "E014", "from 1"),
        ("[mid, high]", "[mid, hihg]", 9, 18, "E013", 'did you mean "high"?'),
        ("[mid, high]", "[]", 9, 12, "E014", "an offer for nobody"),
        ("[mid, high]", "mid", 9, 12, "E012", "a list of tiers"),
        ("2026-12-31", "2026-02-30", 10, 38, "E016", "does not exist"),
        ("2026-12-31", "next year", 10, 38, "E016", "a day such as 2026-03-02"),
        ("2026-12-31", "2025-12-31", 10, 12, "E018", "never valid"),
        ("until", "untill", 10, 31, "E010", 'did you mean "until"?'),
        ("200000", "-1", 11, 17, "E014", "a number from 0"),
        ("medium", "middling", 8, 17, "E013", "expected one of simple, medium, complex"),
        ("certificate:", "Big-One:", 2, 3, "E014", "an offer's name has small letters"),
        ("  call: {kind: service}", "  call: a call", 12, 9, "E012", "the keys of an offer"),
        ("  call: {kind: service}\n", "other: 1\n", 12, 1, "E010", 'unknown key "other"'),
    ],
)
def test_a_mistake_in_the_catalogue_is_located(
    old: str, new: str, line: int, column: int, code: str, says: str
) -> None:
    """At its line and column, with what would be right; the triggers that use the offer get no error of their own."""
    text = FULL.replace(old, new, 1)
    assert text != FULL
    loaded = load({"good.yaml": vary(("  offer: call", "  offer: {choose: deposit}")), "offers.yaml": text})
    assert places(loaded) == [("offers.yaml", line, column, code)]
    assert says in loaded.problems[0].message


@pytest.mark.parametrize("text", ["", "offers:", "offers: []", "[]", "other: {}"])
def test_a_catalogue_of_another_form_is_refused(text: str) -> None:
    """A file without offers by name is one error, whatever triggers choose from it."""
    found = _found(text, ("  offer: call", "  offer: {choose: deposit}"))
    assert {file for file, *_ in found} == {"offers.yaml"}
    assert found


def test_an_empty_catalogue_lists_nothing() -> None:
    """Which is not the same as none."""
    assert _found("offers: {}") == [("good.yaml", 12, 10, "E038")]
    assert load({"good.yaml": GOOD}).ruleset is not None


def test_there_is_one_catalogue() -> None:
    """A second one is refused."""
    loaded = load({"good.yaml": GOOD, "a/offers.yaml": CATALOGUE, "b/offers.yaml": CATALOGUE})
    assert places(loaded) == [("b/offers.yaml", 1, 1, "E019")]


def test_a_named_offer_must_be_listed_where_there_is_a_catalogue() -> None:
    """Else any name will do."""
    loaded = _with(CATALOGUE.replace("call:", "cal_l:"))
    assert places(loaded) == [("good.yaml", 12, 10, "E038")]
    assert loaded.problems[0].message == 'offers.yaml lists no offer "call": did you mean "cal_l"?'


def test_a_named_offer_gives_its_complexity() -> None:
    """Where the action says none; an offer without one, or no catalogue, makes it a missing key."""
    without = ("  complexity: simple\n", "")
    assert _action(CATALOGUE, without).complexity == "simple"
    assert _action(CATALOGUE.replace("simple}", "complex}"), without).complexity == "complex"
    assert _action(CATALOGUE.replace("simple}", "complex}")).complexity == "simple"
    missing = _with(CATALOGUE, without, ("offer: call\n", "offer: long\n"))
    assert places(missing) == [("good.yaml", 12, 3, "E011")]
    assert missing.problems[0].message == (
        'missing key "complexity" in an action: the offer "long" in offers.yaml has none either'
    )
    assert places(load({"good.yaml": vary(without)})) == [("good.yaml", 12, 3, "E011")]


def test_a_choice_takes_the_complexity_of_its_offer() -> None:
    """So every offer that can be chosen must have one, where the action says none."""
    choose = ("offer: call\n", "offer: {choose: deposit}\n")
    without = ("  complexity: simple\n", "")
    missing = _with(CATALOGUE, choose, without)
    assert places(missing) == [("good.yaml", 12, 3, "E011")]
    assert '"long"' in missing.problems[0].message
    short = ("offer: call\n", "offer: {choose: deposit, where: offer.term <= 90}\n")
    assert _action(CATALOGUE, short, without).complexity is None
    assert _action(CATALOGUE, choose).complexity == "simple"


def test_a_choice_is_read_with_its_conditions() -> None:
    """One kind or several, a condition, a measure, and offer.* also in the value and the message."""
    action = _action(
        CATALOGUE,
        (
            "offer: call\n",
            "offer: {choose: [deposit, service], where: offer.term <= 90, best: offer.expected_yield}\n",
        ),
        ("value: peak - customer.balance", "value: peak * offer.expected_yield"),
        ("drop: peak - customer.balance", "drop: offer.id"),
    )
    assert isinstance(action.offer, Choice)
    assert action.offer.kinds == ("deposit", "service")
    assert action.offer.where is not None
    assert action.offer.where.source == "offer.term <= 90"
    assert action.offer.best is not None
    assert action.offer.best.names == {"offer.expected_yield"}
    assert action.fields["drop"].names == {"offer.id"}


@pytest.mark.parametrize(
    ("choice", "column", "code", "says"),
    [
        ("{choose: bond}", 19, "E038", "offers.yaml lists no bond; it has deposit, service"),
        ("{choose: [deposit, bond]}", 29, "E038", "lists no bond"),
        ("{choose: depsit}", 19, "E013", 'did you mean "deposit"?'),
        ("{choose: []}", 19, "E014", "at least one of"),
        ("{chose: deposit}", 11, "E010", 'did you mean "choose"?'),
        ("{where: offer.term > 1}", 10, "E011", 'missing key "choose"'),
        (
            "{choose: deposit, where: offer.term <= 10}",
            35,
            "E038",
            'no deposit in offers.yaml meets "offer.term <= 10"',
        ),
        (
            '{choose: deposit, where: customer.tier == "mid" and offer.expected_yield > 0.5}',
            35,
            "E038",
            "no deposit in offers.yaml meets",
        ),
        ("{choose: deposit, where: offer.terms <= 90}", 35, "E031", 'did you mean "offer.term"?'),
        ("{choose: deposit, where: offer.term}", 35, "E032", "expected a condition"),
        ('{choose: deposit, where: offer.kind == "depot"}', 49, "E033", 'is never "depot"'),
        ("{choose: deposit, where: 1 > 2}", 35, "E110", "never true"),
        ("{choose: deposit, best: offer.id}", 34, "E032", "expected a number or money"),
        ("{choose: deposit, best: offer.term > 3}", 34, "E032", "expected a number or money"),
        ("{choose: deposit, best: offer.rate}", 34, "E031", "unknown name"),
        ("{choose: deposit, best: product.amount}", 34, "E037", "no value here"),
        ("[deposit]", 10, "E012", "expected text"),
    ],
)
def test_a_mistake_in_a_choice_is_located(choice: str, column: int, code: str, says: str) -> None:
    """Kinds that are not listed and conditions that no listed offer meets are mistakes like any other."""
    loaded = _with(CATALOGUE, ("offer: call\n", f"offer: {choice}\n"))
    assert places(loaded) == [("good.yaml", 12, column, code)]
    assert says in loaded.problems[0].message


def test_a_condition_on_the_day_is_left_to_the_day() -> None:
    """What depends on more than the catalogue is not tried when the file is read."""
    for condition in (
        'offer.term <= days_until("2026-06-01")',
        "offer.term <= customer.age",
        "offer.min_amount <= peak",
        "offer.min_amount <= event.amount",
    ):
        choice = f"offer: {{choose: deposit, where: '{condition}'}}\n"
        assert isinstance(_action(CATALOGUE, ("offer: call\n", choice)).offer, Choice)


def test_a_feature_that_only_a_choice_reads_is_used() -> None:
    """W107 is for those that nothing reads."""
    found = _found(
        CATALOGUE,
        ("offer: call\n", "offer: {choose: deposit, where: offer.min_amount <= peak, best: offer.term + visits}\n"),
        ("once_per: 14d\n", ""),
        ("when: customer.balance <= peak * 0.7", "  visits: {count: true, over: 7d}\nwhen: customer.balance <= 7"),
        ("value: peak - customer.balance", "value: customer.balance"),
        ("drop: peak - customer.balance", "drop: customer.balance"),
    )
    assert found == []


def test_the_offer_is_the_actions_alone() -> None:
    """When a trigger wakes, none is chosen yet."""
    found = _found(CATALOGUE, ("peak * 0.7", "offer.min_amount"))
    assert found == [("good.yaml", 9, 27, "E037")]
