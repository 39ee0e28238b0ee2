"""A ladder that another rule set has cut while it was under way."""

from __future__ import annotations

from schemas.decisions import Decision
from tests.support.bank import Customer, at, cancellations, transaction
from tests.support.rules import DAY, ruleset, trigger
from triggers.language.model import Step


def test_what_went_out_on_a_step_that_is_gone_can_be_taken_back() -> None:
    """The withdrawal goes to the queue that had the action, and its decision names that channel and step."""
    long = trigger("any", lambda scope: scope.event.amount == 5, ladder=(Step("push"), Step("sms", after_ms=DAY)))
    short = trigger("any", lambda scope: scope.event.amount == 5)
    customer = Customer(ruleset(long, name="long"), recode=True)
    customer.feed(transaction("t1", 1, -5, 10))
    customer.run_to(at(1.5))
    customer.rules = ruleset(short, name="short")
    outputs = customer.feed(transaction("t2", 2, 5, 15, occurred_at=at(1.6), reversal_of="t1"))
    assert [one.channel for one in cancellations(outputs)] == ["push", "sms"]
    (decision,) = [one for one in outputs if isinstance(one, Decision)]
    assert (decision.outcome, decision.step, decision.channel) == ("cancelled", 1, "sms")
