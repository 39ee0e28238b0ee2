"""Which offer goes out: the best that fits, by name where none is better, and none where none fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.actions import NextBestAction
from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, profile, transaction
from tests.support.rules import DAY, expression, ruleset, trigger
from triggers.language.model import Choice, Offer, OnEvent, RuleSet, Step

TIERS = ("potential", "effective", "mid", "high", "private")
TODAY = date(2026, 3, 2)


def _rules(offer: str | Choice, offers: Mapping[str, Offer] | None, **more: Any) -> RuleSet:
    one = trigger("one", **more)
    action = replace(one.action, offer=offer, complexity=None if isinstance(offer, Choice) else "simple")
    return replace(ruleset(replace(one, action=action)), offers=offers)


def _catalogue(*offers: Offer) -> dict[str, Offer]:
    complete = [offer if offer.complexity else replace(offer, complexity="medium") for offer in offers]
    return {offer.id: offer for offer in sorted(complete, key=lambda offer: offer.id)}


def _customer(rules: RuleSet, tier: str | None = None, moment: float = 0) -> tuple[Customer, list[Any]]:
    customer = Customer(rules)
    if tier is not None:
        customer.feed(profile("p1", 1, tier=tier, occurred_at=at(moment)))
    return customer, customer.feed(transaction("t1", 1, 100, 100, occurred_at=at(moment)))


def _sent(outputs: list[Any]) -> str | None:
    found = actions(outputs)
    return found[0].offer if found else None


def _reasons(outputs: list[Any]) -> list[tuple[str, dict[str, str]]]:
    return [
        (output.reason, output.detail)
        for output in outputs
        if isinstance(output, Decision) and output.outcome == "suppressed"
    ]


_YIELD = expression(lambda scope: scope.offer.expected_yield, "offer.expected_yield")
_SHORT = expression(
    lambda scope: None if scope.offer.term is None else scope.offer.term <= 90,
    "offer.term",
)

_days = st.none() | st.sampled_from([date(2026, 3, 1), TODAY, date(2026, 3, 3)])
_offers = st.lists(
    st.builds(
        Offer,
        id=st.sampled_from([f"o{number}" for number in range(12)]),
        kind=st.sampled_from(["deposit", "wealth", "fund"]),
        term=st.none() | st.sampled_from([30, 90, 91, 365]),
        expected_yield=st.none() | st.sampled_from([Decimal("0.01"), Decimal("0.010"), Decimal("0.02")]),
        complexity=st.sampled_from(["simple", "medium", "complex"]),
        tiers=st.none() | st.frozensets(st.sampled_from(TIERS), min_size=1),
        valid_from=_days,
        valid_until=_days,
    ),
    max_size=12,
    unique_by=lambda offer: offer.id,
)


def _naive(offers: list[Offer], kinds: tuple[str, ...], tier: str | None, *, short: bool, best: bool) -> Offer | None:
    """What should be chosen, worked out by sorting."""
    fitting = [
        offer
        for offer in offers
        if offer.kind in kinds
        and (offer.valid_from or date.min) <= TODAY <= (offer.valid_until or date.max)
        and (offer.tiers is None or tier in offer.tiers)
        and (not short or (offer.term is not None and offer.term <= 90))
    ]
    measure = (lambda offer: offer.expected_yield if offer.expected_yield is not None else -1) if best else lambda _: 0
    fitting.sort(key=lambda offer: (-measure(offer), offer.id))
    return fitting[0] if fitting else None


@settings(max_examples=400, deadline=None)
@given(
    _offers,
    st.sampled_from([("deposit",), ("wealth", "deposit"), ("fund",)]),
    st.none() | st.sampled_from(TIERS),
    st.booleans(),
    st.booleans(),
)
def test_the_choice_is_that_of_a_naive_implementation(
    offers: list[Offer], kinds: tuple[Any, ...], tier: str | None, short: bool, best: bool
) -> None:
    """Kind, day, tier, condition, then the greatest measure, then the name; its complexity goes with it."""
    choice = Choice(kinds, _SHORT if short else None, _YIELD if best else None)
    _, outputs = _customer(_rules(choice, _catalogue(*offers)), tier)
    expected = _naive(offers, kinds, tier, short=short, best=best)
    found = actions(outputs)
    if expected is None:
        assert found == []
        ((reason, detail),) = _reasons(outputs)
        assert reason == "no_offer"
        of_kinds = [offer for offer in offers if offer.kind in kinds]
        assert detail["kinds"] == ", ".join(kinds)
        assert detail["tier"] == (tier or "unknown")
        assert int(detail["offers"]) == len(of_kinds)
        assert sum(int(detail.get(why, 0)) for why in ("not_valid", "not_for_tier", "where")) == len(of_kinds)
    else:
        (action,) = found
        assert (action.offer, action.complexity) == (expected.id, expected.complexity)


def test_an_unknown_measure_loses_and_equal_ones_go_by_name() -> None:
    """Also where the unknown one comes first by name."""
    unknown, low, high, other = (
        Offer("a", "deposit"),
        Offer("d", "deposit", expected_yield=Decimal("0.01")),
        Offer("c", "deposit", expected_yield=Decimal("0.02")),
        Offer("b", "deposit", expected_yield=Decimal("0.02")),
    )
    choice = Choice(("deposit",), best=_YIELD)
    assert _sent(_customer(_rules(choice, _catalogue(unknown, low)))[1]) == "d"
    assert _sent(_customer(_rules(choice, _catalogue(unknown, low, high, other)))[1]) == "b"
    assert _sent(_customer(_rules(choice, _catalogue(unknown)))[1]) == "a"


def test_the_actions_expressions_see_the_chosen_offer() -> None:
    """Not the last one that was looked at."""
    offers = _catalogue(
        Offer("a", "deposit", expected_yield=Decimal("0.02"), complexity="complex"),
        Offer("b", "deposit", expected_yield=Decimal("0.01")),
    )
    rules = _rules(
        Choice(("deposit",), best=_YIELD),
        offers,
        value=lambda scope: 1000 * scope.offer.expected_yield,
        fields={"rate": lambda scope: scope.offer.expected_yield},
    )
    (action,) = actions(_customer(rules)[1])
    assert (action.offer, action.value, action.fields, action.complexity) == (
        "a",
        Decimal(20),
        {"rate": "0.02"},
        "complex",
    )


def test_a_named_offer_is_seen_where_the_catalogue_lists_it() -> None:
    """As the expressions of a file with an offers.yaml expect."""
    offers = _catalogue(Offer("call", "service", min_amount=Decimal(50)))
    rules = _rules("call", offers, value=lambda scope: scope.offer.min_amount)
    (action,) = actions(_customer(rules)[1])
    assert action.value == 50


def test_without_a_catalogue_any_name_goes_out() -> None:
    """Whatever the tier."""
    assert _sent(_customer(_rules("anything", None))[1]) == "anything"


def test_a_named_offer_waits_for_its_days_and_its_tiers() -> None:
    """Its first and its last day count in the bank's time zone; an unknown tier is not among the tiers."""
    offer = Offer("call", "service", tiers=frozenset({"mid"}), valid_from=TODAY, valid_until=date(2026, 3, 3))
    rules = _rules("call", _catalogue(offer))
    assert _sent(_customer(rules, "mid")[1]) == "call"
    for tier, moment, why, day in (
        ("high", 0, "not_for_tier", "2026-03-02"),
        (None, 0, "not_for_tier", "2026-03-02"),
        ("mid", -1, "not_valid", "2026-03-01"),
        ("mid", 2, "not_valid", "2026-03-04"),
    ):
        _, outputs = _customer(rules, tier, moment)
        detail = {"offer": "call", "why": why, "day": day, "tier": tier or "unknown"}
        assert _reasons(outputs) == [("no_offer", detail)]
        assert _sent(outputs) is None


def test_where_no_offer_fits_the_next_trigger_has_its_turn() -> None:
    """A trigger without an offer holds nobody back and stays armed."""
    picky = trigger("picky", priority=90, once_per_ms=30 * DAY)
    picky = replace(picky, action=replace(picky.action, offer=Choice(("bond",)), complexity=None))
    plain = trigger("plain", priority=10)
    plain = replace(plain, action=replace(plain.action, offer="call"))
    rules = replace(ruleset(picky, plain), offers=_catalogue(Offer("call", "service")))
    customer, outputs = _customer(rules)
    assert _sent(outputs) == "call"
    assert [reason for reason, _ in _reasons(outputs)] == ["no_offer"]
    again = customer.feed(transaction("t2", 2, 100, 200, occurred_at=at(1)))
    assert [reason for reason, _ in _reasons(again)] == ["no_offer"]


def test_a_trigger_in_shadow_tells_that_it_has_no_offer() -> None:
    """As the one that is live would be held back."""
    rules = _rules(Choice(("bond",)), _catalogue(Offer("call", "service")), status="shadow")
    assert _reasons(_customer(rules)[1]) == [("shadow", {"would": "no_offer"})]
    rules = _rules(Choice(("service",)), _catalogue(Offer("call", "service")), status="shadow")
    assert _reasons(_customer(rules)[1]) == [("shadow", {"would": "sent"})]


def _ladder(offers: Mapping[str, Offer]) -> RuleSet:
    return _rules(
        Choice(("deposit",), best=_YIELD), offers, ladder=(Step("push"), Step("sms", 2 * DAY)), on=(OnEvent("profile"),)
    )


def _start(rules: RuleSet, *, recode: bool = False) -> Customer:
    customer = Customer(rules, recode=recode)
    customer.feed(profile("p1", 1, tier="mid", occurred_at=at(0)))
    return customer


def _last(outputs: list[Any]) -> NextBestAction:
    return actions(outputs)[-1]


def test_a_later_step_carries_the_offer_that_was_chosen_first() -> None:
    """Also when a better one is there by then, and after the state was written and read again."""
    first = Offer("a", "deposit", expected_yield=Decimal("0.01"), complexity="complex")
    better = Offer("b", "deposit", expected_yield=Decimal("0.02"), valid_from=date(2026, 3, 3))
    customer = _start(_ladder(_catalogue(first, better)), recode=True)
    outputs = customer.run_to(at(5))
    assert (_last(outputs).offer, _last(outputs).complexity, _last(outputs).step) == ("a", "complex", 1)


def test_a_later_step_is_not_sent_once_its_offer_is_no_longer_to_be_had() -> None:
    """Ended, no longer for the customer's tier, or taken out of the catalogue."""
    offer = Offer("a", "deposit", complexity="simple")
    for now, why in (
        (replace(offer, valid_until=TODAY), "not_valid"),
        (replace(offer, tiers=frozenset({"high"})), "not_for_tier"),
        (None, "not_listed"),
    ):
        customer = _start(_ladder(_catalogue(offer)))
        customer.rules = replace(_ladder(_catalogue(now) if now else {}), hash="later")
        outputs = customer.run_to(at(5))
        assert actions(outputs) == []
        ((reason, detail),) = _reasons(outputs)
        assert (reason, detail["why"], detail["offer"]) == ("no_offer", why, "a")
