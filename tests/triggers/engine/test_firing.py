"""When a trigger fires, when it stays silent, and what it leaves on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, behaviour, decisions, feedback, profile, transaction
from tests.support.rules import DAY, HOUR, balance_series, expression, outflow_series, ruleset, trigger
from triggers.language.model import Cap, Feature, OnEvent, OnSilence, Policy, Step


def crossed(level: int) -> object:
    """Whether the balance went above a level with this event."""
    return lambda scope: scope.before.balance < level <= scope.customer.balance


def test_a_crossing_fires_again_only_after_it_was_rearmed() -> None:
    """Around the threshold nothing is repeated; below the lower mark it is armed again."""
    up = trigger(
        "up",
        crossed(50_000),  # type: ignore[arg-type]
        "before.balance",
        "customer.balance",
        rearm=lambda scope: scope.customer.balance < 45_000,
    )
    customer = Customer(ruleset(up))
    steps = [(49_000, 0), (50_000, 1), (49_500, 0), (50_500, 0), (44_999, 0), (50_000, 1)]
    previous = 48_000
    for number, (balance, fired) in enumerate(steps, start=1):
        outputs = customer.feed(transaction(f"t{number}", number, balance - previous, balance, occurred_at=at(number)))
        previous = balance
        assert len(actions(outputs)) == fired, balance
    assert ("suppressed", "not_rearmed") in decisions(customer.outputs)


def test_once_per_counts_from_the_last_firing() -> None:
    """Silent for less than the period, free at its very end."""
    customer = Customer(ruleset(trigger("any", once_per_ms=14 * DAY)))
    assert actions(customer.feed(transaction("t1", 1, 1, 1)))
    assert decisions(customer.feed(transaction("t2", 2, 1, 2, occurred_at=at(13.99)))) == [("suppressed", "once_per")]
    assert actions(customer.feed(transaction("t3", 3, 1, 3, occurred_at=at(14))))


def test_silence_fires_once_and_the_next_event_arms_it_again() -> None:
    """Ninety days after the last transaction, not before, not twice."""
    customer = Customer(ruleset(trigger("quiet", on=(OnSilence("transaction", None, 90 * DAY),))))
    customer.feed(transaction("t1", 1, 1, 1))
    assert customer.feed(transaction("t2", 2, 1, 2, occurred_at=at(80))) == []
    assert customer.run_to(at(169.9)) == []
    (first,) = actions(customer.run_to(at(170)))
    assert first.created_at == at(170)
    assert customer.run_to(at(900)) == []
    customer.feed(transaction("t3", 3, 1, 3, occurred_at=at(901)))
    assert len(actions(customer.run_to(at(2000)))) == 1


def test_a_late_event_does_not_shorten_the_silence() -> None:
    """Silence runs from the newest event, not from the latest arrival."""
    customer = Customer(ruleset(trigger("quiet", on=(OnSilence("transaction", None, 10 * DAY),))))
    customer.feed(transaction("t2", 2, 1, 2, occurred_at=at(3)))
    customer.feed(transaction("t1", 1, 1, 1, occurred_at=at(0)))
    (action,) = actions(customer.run_to(at(100)))
    assert action.created_at == at(13)


QUIET = trigger("quiet", on=(OnSilence("transaction", None, 10 * DAY),))


def silent_for_ten_days() -> Customer:
    """A customer whose silence has been told once."""
    customer = Customer(ruleset(QUIET))
    customer.feed(transaction("t1", 1, 1, 1))
    assert len(actions(customer.run_to(at(10)))) == 1
    return customer


def test_a_silence_that_was_told_is_not_told_again_after_a_late_event() -> None:
    """An older event of another account says nothing of the time since."""
    customer = silent_for_ten_days()
    assert customer.feed(transaction("b1", 1, 1, 1, account_id="a2", occurred_at=at(-2))) == []
    assert customer.run_to(at(300)) == []


def test_a_silence_that_was_told_is_not_told_again_after_a_reversal() -> None:
    """The reversed payment leads back to the silence before it; the customer has heard of that."""
    customer = silent_for_ten_days()
    customer.feed(transaction("t2", 2, 5, 6, occurred_at=at(11)))
    assert customer.feed(transaction("t3", 3, -5, 1, reversal_of="t2", occurred_at=at(12))) == []
    assert customer.run_to(at(300)) == []


def test_a_silence_that_was_told_is_not_told_again_under_another_rule_set() -> None:
    """A release does not remind every dormant customer anew."""
    customer = silent_for_ten_days()
    customer.rules = ruleset(QUIET, trigger("other", lambda _: False), name="next")
    assert customer.run_to(at(300)) == []
    customer.feed(behaviour("b1", "browse", occurred_at=at(301)))
    assert customer.run_to(at(600)) == []


def test_silence_of_one_kind_of_behaviour() -> None:
    """Browsing does not break the silence of logins."""
    customer = Customer(ruleset(trigger("quiet", on=(OnSilence("behaviour", "login", 10 * DAY),))))
    customer.feed(behaviour("b1", "login"))
    customer.feed(behaviour("b2", "browse", occurred_at=at(5)))
    (action,) = actions(customer.run_to(at(100)))
    assert action.created_at == at(10)


def test_a_window_slides_over_event_time() -> None:
    """A sample is in the window (now - over, now]: gone when exactly as old as the window."""
    rules = ruleset(
        trigger("sum", fields={"sum": lambda scope: scope.feature(0)}),
        series=(outflow_series(7 * DAY),),
        features=(Feature("sum", 0, 7 * DAY),),
    )
    customer = Customer(rules)
    seen = []
    for number, day in enumerate((0, 1, 7, 7.5, 8), start=1):
        (action,) = actions(customer.feed(transaction(f"t{number}", number, -(10**number), 0, occurred_at=at(day))))
        seen.append(action.fields["sum"])
    assert seen == ["10", "110", "1100", "11100", "111000"]


def test_own_account_transfers_fill_no_flow() -> None:
    """Moving money to oneself is no spending."""
    rules = ruleset(
        trigger("sum", fields={"sum": lambda scope: scope.feature(0)}),
        series=(outflow_series(),),
        features=(Feature("sum", 0, 7 * DAY),),
    )
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, -500, 500, own_account=True))
    (action,) = actions(customer.feed(transaction("t2", 2, -20, 480)))
    assert action.fields == {"sum": "20"}


@pytest.mark.parametrize("kind", ["purchase", "redemption"])
def test_what_goes_into_a_product_or_comes_out_fills_no_flow(kind: str) -> None:
    """Money that a customer puts elsewhere in the bank is not spent; who asks for the kind means it."""
    asked = replace(
        outflow_series(), id="asked", where=expression(lambda scope: scope.event.kind == kind, "event.kind")
    )
    rules = ruleset(
        trigger("sum", fields={"sum": lambda scope: scope.feature(0), "asked": lambda scope: scope.feature(1)}),
        series=(outflow_series(), asked),
        features=(Feature("sum", 0, 7 * DAY), Feature("sum", 1, 7 * DAY)),
    )
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, -500, 500, kind=kind))
    (action,) = actions(customer.feed(transaction("t2", 2, -20, 480)))
    assert action.fields == {"sum": "20", "asked": "500"}


def test_a_feature_by_account_sees_its_own_account_only() -> None:
    """Two accounts, two windows."""
    rules = ruleset(
        trigger("sum", fields={"sum": lambda scope: scope.feature(0)}),
        series=(outflow_series(by="account"),),
        features=(Feature("sum", 0, 7 * DAY),),
    )
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, -500, 500))
    (action,) = actions(customer.feed(transaction("b1", 1, -20, 480, account_id="a2")))
    assert action.fields == {"sum": "20"}


def test_a_feature_by_account_is_unknown_where_there_is_no_account() -> None:
    """Not nothing at all: a visit is of no account."""
    rules = ruleset(
        trigger("none", lambda scope: scope.feature(0) is None, on=(OnEvent("behaviour"),)),
        trigger("some", lambda scope: scope.feature(0) == 0, on=(OnEvent("behaviour"),)),
        series=(outflow_series(by="account"),),
        features=(Feature("sum", 0, 7 * DAY),),
    )
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, -500, 500))
    assert [action.trigger for action in actions(customer.feed(behaviour("b1", "login", occurred_at=at(1))))] == [
        "none"
    ]


def test_a_later_booking_with_an_older_time_holds_from_the_newest_on() -> None:
    """Its balance is the newest, whatever its clock says: 1000 for two days, 200 for one, and 900 never."""
    rules = ruleset(
        trigger("mean", on=(OnEvent("behaviour"),), fields={"mean": lambda scope: scope.feature(0)}),
        series=(balance_series(),),
        features=(Feature("daily_mean", 0, 10 * DAY),),
    )
    customer = Customer(rules)
    customer.feed(transaction("t1", 1, 0, 1000))
    customer.feed(transaction("t2", 2, -100, 900, occurred_at=at(2)))
    customer.feed(transaction("t3", 3, -700, 200, occurred_at=at(1)))
    (action,) = actions(customer.feed(behaviour("b1", "login", occurred_at=at(3))))
    assert Decimal(action.fields["mean"]).quantize(Decimal("0.1")) == Decimal("733.3")


def test_of_several_candidates_the_customer_hears_the_first_in_priority() -> None:
    """The others leave a decision that names the winner."""
    customer = Customer(ruleset(trigger("low", priority=10), trigger("high", priority=90)))
    outputs = customer.feed(transaction("t1", 1, 1, 1))
    (action,) = actions(outputs)
    assert action.trigger == "high"
    assert decisions(outputs) == [("sent", "sent"), ("suppressed", "outranked")]


def test_a_candidate_that_is_held_back_leaves_the_way_to_the_next() -> None:
    """The better one has fired already, so the other is said."""
    customer = Customer(ruleset(trigger("low", priority=10), trigger("high", priority=90, once_per_ms=DAY)))
    customer.feed(transaction("t1", 1, 1, 1))
    outputs = customer.feed(transaction("t2", 2, 1, 2))
    assert [action.trigger for action in actions(outputs)] == ["low"]


def test_unknown_does_not_fire() -> None:
    """A condition without a value is not true."""
    assert Customer(ruleset(trigger("none", lambda _: None))).feed(transaction("t1", 1, 1, 1)) == []


def shadows(outputs: list[object]) -> list[dict[str, str]]:
    """What the decisions on triggers in shadow say."""
    return [o.detail for o in outputs if isinstance(o, Decision) and o.reason == "shadow"]


def test_a_shadow_trigger_decides_and_sends_nothing() -> None:
    """Its decisions show what it would have done."""
    customer = Customer(ruleset(trigger("any", status="shadow")))
    outputs = customer.feed(transaction("t1", 1, 1, 1))
    assert actions(outputs) == []
    assert decisions(outputs) == [("suppressed", "shadow")]
    assert shadows(outputs) == [{"would": "sent"}]


def test_a_shadow_trigger_keeps_quiet_as_it_would_if_it_were_live() -> None:
    """``once_per`` and ``rearm`` count from when it would have been sent."""
    patient = trigger("patient", status="shadow", once_per_ms=14 * DAY)
    customer = Customer(ruleset(patient))
    customer.feed(transaction("t1", 1, 1, 1))
    outputs = customer.feed(transaction("t2", 2, 1, 2, occurred_at=at(13.99)))
    assert decisions(outputs) == [("suppressed", "once_per")]
    assert shadows(customer.feed(transaction("t3", 3, 1, 3, occurred_at=at(14)))) == [{"would": "sent"}]

    armed = trigger("armed", status="shadow", rearm=lambda scope: scope.customer.balance < 10)
    customer = Customer(ruleset(armed))
    outcomes = [
        decisions(customer.feed(transaction(f"t{n}", n, 1, balance))) for n, balance in enumerate((20, 30, 5), start=1)
    ]
    assert outcomes == [[("suppressed", "shadow")], [("suppressed", "not_rearmed")], [("suppressed", "shadow")]]


def test_a_shadow_trigger_stands_beside_what_is_live() -> None:
    """It takes nobody's place and no cap counts it; what would hold it back is on its decision."""
    policy = Policy(caps=(Cap(1, 7 * DAY),), consent=frozenset())
    high, low = trigger("high", status="shadow", priority=90), trigger("low", status="shadow", priority=10)
    customer = Customer(ruleset(high, trigger("live", priority=50), low, policy=policy))
    outputs = customer.feed(transaction("t1", 1, 1, 1))
    assert [action.trigger for action in actions(outputs)] == ["live"]
    assert shadows(outputs) == [
        {"score": "90", "would": "sent", "beside": "live"},
        {"score": "10", "would": "outranked", "beside": "live"},
    ]
    outputs = customer.feed(transaction("t2", 2, 1, 2, occurred_at=at(1)))
    assert actions(outputs) == []
    assert [found["would"] for found in shadows(outputs)] == ["capped"] * 2


def test_a_trigger_that_goes_live_forgets_what_it_did_in_shadow() -> None:
    """Nobody heard of that; what it sent before it went into shadow still counts."""
    patient = trigger("patient", once_per_ms=14 * DAY)
    customer = Customer(ruleset(patient))
    customer.feed(transaction("t1", 1, 1, 1))
    customer.rules = ruleset(replace(patient, status="shadow"), name="second")
    assert shadows(customer.feed(transaction("t2", 2, 1, 2, occurred_at=at(1)))) == [{"would": "sent"}]
    customer.rules = ruleset(patient, name="third")
    outputs = customer.feed(transaction("t3", 3, 1, 3, occurred_at=at(13)))
    assert decisions(outputs) == [("suppressed", "once_per")]
    assert actions(customer.feed(transaction("t4", 4, 1, 4, occurred_at=at(14))))


@pytest.mark.parametrize("status", ["draft", "retired"])
def test_a_draft_or_retired_trigger_does_not_run(status: str) -> None:
    """It leaves no decision either."""
    assert Customer(ruleset(trigger("any", status=status))).feed(transaction("t1", 1, 1, 1)) == []


def test_caps_hold_over_all_triggers() -> None:
    """Two contacts a week, and the third has its reason; after the week the way is free."""
    policy = Policy(caps=(Cap(2, 7 * DAY),), consent=frozenset())
    customer = Customer(ruleset(trigger("any"), policy=policy))
    reasons = [
        decisions(customer.feed(transaction(f"t{number}", number, 1, number, occurred_at=at(day))))
        for number, day in enumerate((0, 1, 2, 7, 7.5), start=1)
    ]
    assert reasons == [[("sent", "sent")]] * 2 + [
        [("suppressed", "capped")],
        [("sent", "sent")],
        [("suppressed", "capped")],
    ]


def test_a_category_has_a_cap_of_its_own() -> None:
    """A full category leaves the others alone."""
    policy = Policy(caps=(Cap(1, 7 * DAY, "sales"),), consent=frozenset())
    sales = trigger("sales", on=(OnEvent("behaviour"),), category="sales")
    care = trigger("care", on=(OnEvent("transaction"),), category="care")
    customer = Customer(ruleset(sales, care, policy=policy))
    customer.feed(behaviour("b1", "browse"))
    assert decisions(customer.feed(behaviour("b2", "browse"))) == [("suppressed", "capped")]
    assert actions(customer.feed(transaction("t1", 1, 1, 1)))


def test_sms_needs_a_recorded_consent() -> None:
    """Unknown is no; a refusal closes any channel."""
    policy = Policy(caps=(), consent=frozenset({"sms"}))
    customer = Customer(ruleset(trigger("any", ladder=(Step("sms"),)), policy=policy))
    assert decisions(customer.feed(transaction("t1", 1, 1, 1))) == [("suppressed", "no_consent")]
    customer.feed(profile("p1", 1, consents={"sms": True}))
    assert actions(customer.feed(transaction("t2", 2, 1, 2)))
    customer.feed(profile("p2", 2, consents={"sms": False}))
    assert decisions(customer.feed(transaction("t3", 3, 1, 3))) == [("suppressed", "no_consent")]


@pytest.mark.parametrize("field", ["employee", "blacklisted"])
def test_employees_and_the_blacklist_are_excluded(field: str) -> None:
    """Neither hears from marketing, whatever the trigger."""
    customer = Customer(ruleset(trigger("any")))
    customer.feed(profile("p1", 1, **{field: True}))
    assert decisions(customer.feed(transaction("t1", 1, 1, 1))) == [("suppressed", "excluded")]


def test_an_older_profile_never_replaces_a_newer_one() -> None:
    """The publisher's sequence decides."""
    customer = Customer(ruleset())
    customer.feed(profile("p2", 2, tier="high"))
    customer.feed(profile("p1", 1, tier="mid"))
    assert customer.state.tier == "high"


LADDER = (Step("push"), Step("push", 2 * DAY, "opened"), Step("sms", 2 * DAY, "opened"))


def test_a_ladder_climbs_while_nothing_is_opened() -> None:
    """Push, push again after two days, SMS after two more; each with its own id and expiry."""
    customer = Customer(ruleset(trigger("any", ladder=LADDER)))
    customer.feed(transaction("t1", 1, 1, 1))
    customer.run_to(at(30))
    sent = actions(customer.outputs)
    assert [(action.channel, action.step, action.created_at) for action in sent] == [
        ("push", 0, at(0)),
        ("push", 1, at(2)),
        ("sms", 2, at(4)),
    ]
    assert len({action.action_id for action in sent}) == 3
    assert [action.expires_at for action in sent] == [at(2), at(4), at(6)]


@pytest.mark.parametrize("outcome", ["opened", "clicked", "answered"])
def test_feedback_ends_the_ladder(outcome: str) -> None:
    """Opened, or anything beyond it: no further step, and the reason on record."""
    customer = Customer(ruleset(trigger("any", ladder=LADDER)))
    (first,) = actions(customer.feed(transaction("t1", 1, 1, 1)))
    customer.feed(feedback("f1", first, outcome, occurred_at=at(1)))
    assert decisions(customer.run_to(at(30))) == [("suppressed", "answered")]


def test_delivery_alone_does_not_end_the_ladder() -> None:
    """Delivered is not opened; a weaker outcome after a stronger one takes nothing back."""
    customer = Customer(ruleset(trigger("any", ladder=LADDER)))
    (first,) = actions(customer.feed(transaction("t1", 1, 1, 1)))
    customer.feed(feedback("f1", first, "delivered", occurred_at=at(1)))
    assert len(actions(customer.run_to(at(2)))) == 1
    customer.feed(feedback("f2", first, "opened", occurred_at=at(2.5)))
    customer.feed(feedback("f3", first, "failed", occurred_at=at(2.6)))
    assert actions(customer.run_to(at(30))) == []


def test_every_step_passes_the_gate_again() -> None:
    """Consent withdrawn between the steps closes the channel; the ladder goes on by the others."""
    customer = Customer(ruleset(trigger("any", ladder=LADDER)))
    customer.feed(transaction("t1", 1, 1, 1))
    customer.feed(profile("p1", 1, consents={"push": False}, occurred_at=at(1)))
    outputs = customer.run_to(at(30))
    assert decisions(outputs) == [("suppressed", "no_consent"), ("sent", "sent")]
    assert [(action.channel, action.created_at) for action in actions(outputs)] == [("sms", at(4))]


def test_the_same_cause_has_the_same_action_id() -> None:
    """Two runs name the same action alike; another customer's, trigger's or event's differ."""
    rules = ruleset(trigger("any"))
    first, again = Customer(rules), Customer(rules)
    (one,) = actions(first.feed(transaction("t1", 1, 1, 1)))
    (two,) = actions(again.feed(transaction("t1", 1, 1, 1)))
    assert one == two
    (other,) = actions(again.feed(transaction("t2", 2, 1, 2)))
    assert other.action_id != one.action_id


def test_on_the_wall_clock_an_action_is_made_now() -> None:
    """Windows end at the event's own time; the action counts from when the system acts."""
    customer = Customer(ruleset(trigger("any", expires_ms=HOUR)))
    now = int(at(hours=5).timestamp() * 1000)
    (action,) = actions(customer.feed(transaction("t1", 1, 1, 1), now))
    assert (action.created_at, action.expires_at) == (at(hours=5), at(hours=6))


def test_the_value_of_an_action_is_exact_to_a_ten_thousandth() -> None:
    """A longer fraction is rounded half to even; beyond the range of an amount it is left out."""
    rules = ruleset(trigger("any", value=lambda scope: scope.event.amount / 3))
    (action,) = actions(Customer(rules).feed(transaction("t1", 1, 10, 10)))
    assert action.value == Decimal("3.3333")
    huge = ruleset(trigger("any", value=lambda _: Decimal(10) ** 20))
    (action,) = actions(Customer(huge).feed(transaction("t1", 1, 10, 10)))
    assert action.value is None


def test_age_is_counted_to_the_day_of_the_event() -> None:
    """Full years in the bank's time zone."""
    rules = ruleset(trigger("adult", lambda scope: scope.customer.age == 30, "customer.age"))
    customer = Customer(rules)
    customer.feed(profile("p1", 1, birth_date=date(1996, 3, 3)))
    assert customer.feed(transaction("t1", 1, 1, 1)) == []
    # 00:30 on 3 March in Shanghai, still 2 March in UTC.
    assert actions(customer.feed(transaction("t2", 2, 1, 2, occurred_at=at(hours=14.5))))


def test_a_broken_rule_is_skipped_and_on_record() -> None:
    """Its failure costs neither the record nor the other triggers."""
    broken = trigger("broken", lambda scope: scope.nothing, priority=90)
    unsaid = trigger("unsaid", fields={"x": lambda scope: scope.nothing}, priority=80)
    outputs = Customer(ruleset(broken, unsaid, trigger("sound"))).feed(transaction("t1", 1, 1, 1))
    assert [action.trigger for action in actions(outputs)] == ["sound"]
    assert decisions(outputs) == [("suppressed", "broken"), ("suppressed", "broken"), ("sent", "sent")]
