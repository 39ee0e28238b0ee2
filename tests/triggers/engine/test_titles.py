"""Titles by language travel with an action to the desks, where people read them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.actions import OUTREACH
from schemas.encode import encode
from tests.support.bank import Customer, actions, transaction
from tests.support.rules import expression, ruleset, trigger
from triggers.language.model import Offer, Step, Tag

TITLES = {"en": "A large amount came in", "zh": "大额资金转入"}
OFFERED = {"en": "A call from the manager", "zh": "客户经理致电"}


def _sent(channel: str, *, catalogue: bool = True) -> tuple[dict[str, str], dict[str, str]]:
    one = replace(trigger("one", ladder=(Step(channel),)), titles=TITLES)  # type: ignore[arg-type]
    offers = {"offer_one": Offer("offer_one", "service", titles=OFFERED)} if catalogue else None
    (sent,) = actions(Customer(replace(ruleset(one), offers=offers)).feed(transaction("t1", 1, 100, 100)))
    read = OUTREACH.validate_json(encode(sent))
    assert read == sent
    return sent.title, sent.offer_title  # type: ignore[return-value]  # the keys are the two languages


@pytest.mark.parametrize("channel", ["manager", "agent", "branch"])
def test_people_are_told_in_their_language(channel: str) -> None:
    """On the queues of people stand what brought the contact about and what is offered, in each language."""
    assert _sent(channel) == (TITLES, OFFERED)


@pytest.mark.parametrize("channel", ["push", "sms", "wechat", "email"])
def test_what_a_customer_gets_comes_of_its_template(channel: str) -> None:
    """Where a machine speaks there are no titles."""
    assert _sent(channel) == ({}, {})


ZH = {"rich": "富裕客户", "poor": "一般客户"}
RICH = Tag("rich", expression(lambda s: s.customer.balance >= 100), titles={"en": "Rich", "zh": ZH["rich"]})
PLAIN = Tag("plain", expression(lambda _: True))
POOR = Tag("poor", expression(lambda s: s.customer.balance < 100), titles={"en": "Poor", "zh": ZH["poor"]})


@pytest.mark.parametrize(("channel", "told"), [("manager", True), ("agent", True), ("push", False)])
def test_people_read_what_the_customer_is(channel: str, told: bool) -> None:
    """The titles of the tags that the customer has; a tag without one is for the rules alone."""
    rules = replace(ruleset(trigger("one", ladder=(Step(channel),))), tags=(PLAIN, POOR, RICH))
    (sent,) = actions(Customer(rules).feed(transaction("t1", 1, 100, 100)))
    assert sent.tag_titles == (({"en": "Rich", "zh": ZH["rich"]},) if told else ())
    assert OUTREACH.validate_json(encode(sent)) == sent


def test_without_a_catalogue_the_offer_has_no_title() -> None:
    """An offer that is a bare name says no more than that."""
    assert _sent("manager", catalogue=False) == (TITLES, {})
