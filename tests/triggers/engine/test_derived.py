"""Tiers that move, tags that come and go, and the triggers that they wake."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from schemas.decisions import Decision
from tests.support.bank import (
    Customer,
    actions,
    at,
    behaviour,
    cancellations,
    decisions,
    feedback,
    maturity,
    profile,
    transaction,
)
from triggers.engine.state import Holds
from triggers.language.loader import load_documents
from triggers.language.model import RuleSet

TIERS = """\
tierings:
  tier: {measure: customer.aum, edges: {potential: 0, effective: 10000, mid: 50000}}
  digital_tier: {measure: customer.balance, edges: {below: 0, above: 20000}, margin: 0.1}
"""
TAGS = """\
features:
  peak: {max: customer.balance, over: 10d}
  spent: {count: true, where: event.direction == "debit", over: 10d}
tags:
  fallen: {when: customer.balance <= peak * 0.5, holds: 5d}
  busy: {when: spent >= 3}
  both: {when: '"fallen" in customer.tags and "busy" in customer.tags'}
"""


def trigger(name: str, on: str, when: str = "", priority: int = 50, more: str = "", ladder: str = "[push]") -> str:
    """A trigger file."""
    return f"""\
trigger: {name}
version: 1
title: {name}
owner: tests
status: live
on: {on}
{f"when: >-{chr(10)}  {when}" if when else ""}
{more}
action:
  offer: offer_{name}
  category: test
  complexity: simple
  priority: {priority}
  expires: 1d
  ladder: {ladder}
tests: [{{name: x, events: [], expect: [{{at: "2026-03-02 10:00"}}]}}, {{name: y, events: [], expect: []}}]
"""


def rules(*triggers: str, tiers: str = TIERS, tags: str = TAGS) -> RuleSet:
    """A rule set of these files, without caps."""
    files = {f"{text.split()[1]}.yaml": text for text in triggers}
    files |= {"policy.yaml": "{caps: [], consent: []}"}
    files |= {name: text for name, text in (("tiers.yaml", tiers), ("tags.yaml", tags)) if text}
    loaded = load_documents(files)
    assert loaded.ruleset is not None, "\n".join(map(str, loaded.problems))
    return loaded.ruleset


def pay(customer: Customer, day: float, after: int, **more: Any) -> list[Any]:
    """A transaction of account a1 that leaves this balance."""
    account = customer.state.account_map.get("a1")
    sequence, before = (account.sequence + 1, account.balance) if account else (1, Decimal(more.pop("before", after)))
    event = more.pop("event_id", f"t{day}")
    return customer.feed(transaction(event, sequence, after - before, after, occurred_at=at(day), **more))


UP = trigger("up", "tier.up", 'before.tier == "potential" and customer.tier == "effective"')
DOWN = trigger("down", "tier.down")


def test_the_lower_edge_belongs_to_the_tier_above() -> None:
    """Exactly the edge is in; one cent less is not."""
    customer = Customer(rules(UP))
    pay(customer, 0, 5000)
    assert customer.state.tier == "potential"
    assert pay(customer, 1, 9999) == []
    (action,) = actions(pay(customer, 2, 10_000))
    assert (action.trigger, action.occasion) == ("up", "transaction:t2")
    assert customer.state.tier == "effective"


def test_a_decision_tells_what_woke_its_trigger() -> None:
    """The derived event stands beside the occasion, where one woke it, and in no later decision."""
    customer = Customer(rules(trigger("plain", "transaction", priority=10), trigger("climber", "tier.up")))
    pay(customer, 0, 5000)
    told = [
        (d.trigger, d.reason, d.detail.get("woken_by")) for d in pay(customer, 1, 10_000) if isinstance(d, Decision)
    ]
    assert told == [("climber", "sent", "tier.up effective"), ("plain", "outranked", None)]
    (later,) = [output for output in pay(customer, 2, 10_001) if isinstance(output, Decision)]
    assert "woken_by" not in later.detail


def test_a_tier_below_the_lowest_edge_is_the_lowest() -> None:
    """An overdrawn customer has a tier too."""
    customer = Customer(rules(UP))
    pay(customer, 0, -300)
    assert customer.state.tier == "potential"


def test_becoming_known_is_no_movement() -> None:
    """Neither the first account nor a second one that was there before its first event."""
    customer = Customer(rules(UP, DOWN, trigger("any", "tier.up")))
    assert pay(customer, 0, 60_000) == []
    other = transaction("o1", 1, 10, 40_000, account_id="a2", occurred_at=at(1))
    customer = Customer(rules(UP, DOWN, trigger("any", "tier.up")))
    pay(customer, 0, 5000)
    assert customer.feed(other) == []
    assert customer.state.tier == "effective"


def test_the_first_event_can_move_a_tier() -> None:
    """The account tells its balance before it."""
    customer = Customer(rules(UP))
    assert len(actions(pay(customer, 0, 10_000, before=4000))) == 1


def test_the_profile_counts_while_the_measure_is_unknown() -> None:
    """The computed tier takes its place without an event, and keeps it when another profile comes."""
    customer = Customer(rules(trigger("any", "[tier.up, tier.down]")))
    assert customer.feed(profile("p1", 1, tier="mid")) == []
    assert customer.state.tier == "mid"
    moved = customer.feed(profile("p2", 2, tier="effective", occurred_at=at(0.5)))
    assert len(actions(moved)) == 1
    assert pay(customer, 1, 5000) == []
    assert customer.state.tier == "potential"
    assert customer.feed(profile("p3", 3, tier="mid", occurred_at=at(2))) == []
    assert customer.state.tier == "potential"


def test_a_profile_tier_that_the_bank_does_not_have_is_unknown() -> None:
    """The names of the main tiering are the only values there are."""
    customer = Customer(rules(UP))
    customer.feed(profile("p1", 1, tier="private"))
    assert customer.state.tier is None
    without = Customer(rules(trigger("any", "transaction"), tiers="", tags=""))
    without.feed(profile("p1", 1, tier="private"))
    assert without.state.tier == "private"


def test_a_margin_keeps_a_tier_from_flapping() -> None:
    """It is left downwards only below its edge less the margin; upwards the edge itself counts."""
    customer = Customer(rules(trigger("moved", "[digital_tier.up, digital_tier.down]")))
    found = [
        len(actions(pay(customer, day, after))) for day, after in enumerate((10_000, 20_000, 18_000, 17_999, 19_999))
    ]
    assert found == [0, 1, 0, 1, 0]
    assert customer.state.tiers["digital_tier"] == "below"


def test_a_holding_moves_a_tier() -> None:
    """Assets under management count what falls due."""
    customer = Customer(rules(trigger("rich", "tier.up", 'customer.tier == "mid"')))
    pay(customer, 0, 5000)
    bought = maturity("m1", 1, "purchased", date(2026, 6, 1), amount=Decimal(50_000), occurred_at=at(1))
    (action,) = actions(customer.feed(bought))
    assert action.occasion == "maturity_record:m1"


def test_a_trigger_that_listens_twice_is_considered_once() -> None:
    """The record and what it derived are one occasion, on which the customer hears one thing, by priority."""
    both = trigger("both_ways", "[transaction, tier.up]", priority=40)
    customer = Customer(rules(both, trigger("climber", "tier.up", priority=60)))
    pay(customer, 0, 5000)
    outputs = pay(customer, 1, 10_000)
    assert [action.trigger for action in actions(outputs)] == ["climber"]
    assert decisions(outputs) == [("sent", "sent"), ("suppressed", "outranked")]


def test_equal_candidates_stand_in_the_order_of_their_names() -> None:
    """Whether the record woke them or what it derived."""
    customer = Customer(rules(trigger("b", "[transaction, tier.up]"), trigger("a", "tier.up")))
    pay(customer, 0, 5000)
    assert [action.trigger for action in actions(pay(customer, 2, 10_000))] == ["a"]


def test_a_record_of_another_kind_is_not_taken_for_the_event() -> None:
    """Where only the derived event wakes, ``event`` is unknown to a trigger that hears transactions as well."""
    wary = trigger("wary", "[transaction, tier.up]", "event.amount >= 0 or before.tier == 'effective'")
    customer = Customer(rules(wary))
    assert len(actions(pay(customer, 0, 5000))) == 1
    bought = maturity("m1", 1, "purchased", date(2026, 6, 1), amount=Decimal(5000), occurred_at=at(1))
    assert customer.feed(bought) == []
    more = maturity("m2", 1, "purchased", date(2026, 6, 1), holding_id="h2", amount=Decimal(50_000), occurred_at=at(2))
    assert len(actions(customer.feed(more))) == 1


def test_a_tag_comes_with_its_condition_and_goes_with_it() -> None:
    """One without holds is as true as the latest look."""
    customer = Customer(rules(trigger("b", "[tag.added.busy, tag.removed.busy]")))
    pay(customer, 0, 1000)
    assert [len(actions(pay(customer, day, 1000 - day))) for day in (1, 2, 3, 4)] == [0, 0, 1, 0]
    assert customer.state.tags == {"busy": 0}
    removed = customer.feed(behaviour("b1", "login", occurred_at=at(12)))
    assert [action.occasion for action in actions(removed)] == ["behaviour:b1"]
    assert customer.state.tags == {}


def test_a_tag_holds_on_and_its_end_is_a_timer() -> None:
    """Five days after it was last true, not a moment before."""
    customer = Customer(rules(trigger("gone", "tag.removed.fallen", "before.balance >= 0")))
    pay(customer, 0, 1000)
    pay(customer, 1, 400)
    assert set(customer.state.tags) == {"fallen"}
    pay(customer, 2, 450)
    pay(customer, 3, 900)
    assert customer.run_to(at(6.999)) == []
    (action,) = actions(customer.run_to(at(7)))
    assert action.occasion.startswith("tag:fallen:2026")
    assert action.created_at == at(7)
    assert customer.state.tags == {}
    assert customer.run_to(at(100)) == []


def test_a_tag_that_is_still_true_when_its_time_is_up_stays() -> None:
    """Nobody came by to see it, but it was true all along."""
    customer = Customer(rules(trigger("gone", "tag.removed.fallen")))
    pay(customer, 0, 1000)
    pay(customer, 1, 400)
    assert customer.run_to(at(6)) == []
    assert set(customer.state.tags) == {"fallen"}
    # The peak has left the ten days by the next look.
    assert [action.created_at for action in actions(customer.run_to(at(100)))] == [at(11)]


def test_the_first_event_can_bring_a_tag() -> None:
    """What held before it is worked out without it."""
    tags = TAGS.replace("spent >= 3", "spent >= 1")
    customer = Customer(rules(trigger("b", "tag.added.busy"), tiers="", tags=tags))
    assert len(actions(pay(customer, 0, 900, before=1000))) == 1


def test_tags_build_on_those_above_them() -> None:
    """One pass in the order of the file settles them all."""
    customer = Customer(rules(trigger("b", "tag.added", '"both" in customer.tags and "both" not in before.tags')))
    pay(customer, 0, 1000)
    assert [len(actions(pay(customer, day, after))) for day, after in ((1, 400), (2, 390), (3, 380))] == [0, 0, 1]
    assert list(customer.state.tags) == ["fallen", "busy", "both"]


def test_a_reversal_takes_back_what_it_derived_and_wakes_nothing() -> None:
    """The customer did nothing: neither up and down again, nor a tag for a while."""
    customer = Customer(rules(UP, DOWN, trigger("tagged", "[tag.added, tag.removed]")))
    pay(customer, 0, 5000)
    assert len(actions(pay(customer, 1, 10_000, event_id="wrong"))) == 1
    outputs = pay(customer, 1.5, 5000, reversal_of="wrong")
    assert actions(outputs) == []
    assert [withdrawn.reason for withdrawn in cancellations(outputs)] == ["reversed"]
    assert customer.state.tier == "potential"
    assert [action.trigger for action in actions(pay(customer, 2, 2000, event_id="wrong-too"))] == ["tagged"]
    assert set(customer.state.tags) == {"fallen"}
    outputs = pay(customer, 2.01, 5000, reversal_of="wrong-too")
    assert actions(outputs) == []
    assert [withdrawn.reason for withdrawn in cancellations(outputs)] == ["reversed"]
    assert customer.state.tags == {}
    assert not [name for name in customer.state.timers if name.startswith("g:")]


def test_a_tag_goes_with_its_event_though_others_came_between() -> None:
    """They found it, and did not bring it; nothing is told when its time would have been up."""
    customer = Customer(rules(trigger("gone", "tag.removed.fallen")), recode=True)
    pay(customer, 0, 1000)
    pay(customer, 1, 400, event_id="wrong")
    for number in range(8):
        pay(customer, 1.1 + number / 100, 401 + number)
    assert set(customer.state.tags) == {"fallen"}
    pay(customer, 1.5, 1008, reversal_of="wrong")
    assert customer.state.tags == {}
    assert customer.run_to(at(100)) == []


def test_a_reversal_brings_back_until_when_a_tag_stays() -> None:
    """Until then, and no longer, what came before the event keeps it."""
    customer = Customer(rules(trigger("gone", "tag.removed.fallen")), recode=True)
    pay(customer, 0, 1000)
    pay(customer, 1, 400)
    pay(customer, 2, 900)
    pay(customer, 3, 300, event_id="wrong")
    pay(customer, 3.1, 900, reversal_of="wrong")
    assert set(customer.state.tags) == {"fallen"}
    assert [action.created_at for action in actions(customer.run_to(at(100)))] == [at(6)]


def test_a_reversal_of_an_earlier_event_leaves_what_a_later_one_brought() -> None:
    """The later one alone is enough; when it is reversed too, nothing stays."""
    customer = Customer(rules(trigger("gone", "tag.removed.fallen")), recode=True)
    pay(customer, 0, 1000)
    pay(customer, 1, 400, event_id="first")
    pay(customer, 2, 900)
    pay(customer, 3, 300, event_id="second")
    pay(customer, 4, 900)
    pay(customer, 4.1, 900, reversal_of="first")
    assert customer.state.tags == {"fallen": int(at(8).timestamp() * 1000)}
    pay(customer, 4.2, 1000, reversal_of="second")
    assert customer.state.tags == {}


def test_what_is_true_without_the_reversed_event_stays_until_the_rest_is_reversed_too() -> None:
    """Two events in one spell: each of them is enough."""
    customer = Customer(rules(trigger("gone", "tag.removed.fallen")), recode=True)
    pay(customer, 0, 1000)
    pay(customer, 1, 450, event_id="first")
    pay(customer, 1.1, 100, event_id="second")
    pay(customer, 1.2, 500, reversal_of="first")
    assert set(customer.state.tags) == {"fallen"}
    pay(customer, 1.3, 1000, reversal_of="second")
    assert customer.state.tags == {}


def test_a_reversed_look_in_a_spell_takes_back_how_long_it_went_on() -> None:
    """What held before it in the same spell counts; what was seen after it does not."""
    tags = TAGS.replace("busy: {when: spent >= 3}", "busy: {when: spent >= 3, holds: 5d}")
    customer = Customer(rules(trigger("gone", "tag.removed.busy"), tags=tags), recode=True)
    pay(customer, 0, 1000)
    for number, day in enumerate((1, 2, 3)):
        pay(customer, day, 990 - number)
    pay(customer, 7, 980, event_id="wrong")
    pay(customer, 7.5, 981)
    customer.feed(behaviour("b1", "login", occurred_at=at(11.5)))
    assert set(customer.state.tags) == {"busy"}
    pay(customer, 11.6, 987, reversal_of="wrong")
    assert customer.state.tags == {}


def test_an_original_after_its_reversal_moves_nothing() -> None:
    """Both orders of arrival lead to one end."""
    customer = Customer(rules(UP, DOWN))
    pay(customer, 0, 5000)
    customer.feed(transaction("back", 3, -5000, 5000, occurred_at=at(2), reversal_of="wrong"))
    assert customer.feed(transaction("wrong", 2, 5000, 10_000, occurred_at=at(1))) == []
    assert customer.state.tier == "potential"


def test_a_late_event_does_not_turn_back_the_time_of_tags() -> None:
    """What was three debits in ten days is so today, whatever comes late."""
    customer = Customer(rules(trigger("b", "[tag.added.busy, tag.removed.busy]")))
    for number, day in enumerate((0, 1, 2, 3)):
        pay(customer, day, 1000 - number)
    assert set(customer.state.tags) == {"busy"}
    late = behaviour("b1", "login", occurred_at=at(0.5))
    assert customer.feed(late) == []
    assert set(customer.state.tags) == {"busy"}


def test_a_tag_that_was_there_before_any_look_is_owed_to_no_event() -> None:
    """As a test's own customer has it: an event that is taken back leaves it its time."""
    customer = Customer(rules(trigger("gone", "tag.removed.fallen")), recode=True)
    pay(customer, 0, 1000)
    customer.state.tags = {"fallen": int(at(3).timestamp() * 1000)}
    pay(customer, 1, 400, event_id="wrong")
    pay(customer, 1.1, 1000, reversal_of="wrong")
    assert customer.state.tags == {"fallen": int(at(3).timestamp() * 1000)}
    assert [action.created_at for action in actions(customer.run_to(at(100)))] == [at(3)]
    assert customer.state.tag_holds == {}


def test_a_tag_that_goes_with_its_file_leaves_no_trace() -> None:
    """Nor does what its condition owed to events stay."""
    customer = Customer(rules(trigger("any", "transaction")), recode=True)
    pay(customer, 0, 1000)
    pay(customer, 1, 400)
    assert set(customer.state.tag_holds) == {"fallen"}
    customer.rules = rules(trigger("any", "transaction"), tags="")
    pay(customer, 2, 401)
    assert (customer.state.tags, customer.state.tag_holds) == ({}, {})


def test_of_many_spells_the_oldest_is_forgotten() -> None:
    """Four are known."""
    held = Holds()
    for key in range(1, 6):
        held.note(key, key)
        held.lasts = False
    assert held.rows == [(2, 2, True), (3, 3, True), (4, 4, True), (5, 5, True)]


def test_spells_stay_apart_when_the_later_one_loses_its_beginning() -> None:
    """Else a reversal of the earlier one would take the later one with it."""
    held = Holds([(1, 1, True), (5, 5, True), (6, 6, False)], lasts=True)
    assert held.take_back(5, still=True)
    assert held.rows == [(1, 1, True), (6, 6, True)]
    assert held.take_back(6, still=True)
    held.note(7, 7)
    assert held.rows == [(1, 1, True), (7, 7, True)]
    assert not held.take_back(8, still=False)


def test_a_late_event_is_judged_as_of_its_own_time() -> None:
    """Tags are looked at as of the newest; the trigger's windows end with its event."""
    spent = 'features:\n  spent: {count: true, of: transaction, where: event.direction == "debit", over: 10d}'
    customer = Customer(rules(trigger("early", "behaviour", "spent == 1", more=spent)))
    for number, day in enumerate((0, 1, 2, 3)):
        pay(customer, day, 1000 - number)
    assert [a.trigger for a in actions(customer.feed(behaviour("b1", "login", occurred_at=at(1.5))))] == ["early"]


def test_what_held_before_a_rule_set_came_is_no_change() -> None:
    """New tags and moved edges are taken up silently, at the first touch; later changes count."""
    customer = Customer(rules(trigger("any", "transaction", "customer.balance < 0"), tiers="", tags=""))
    pay(customer, 0, 30_000)
    customer.rules = rules(trigger("any", "[tier.up, tier.down, tag.added]"))
    assert pay(customer, 1, 30_001) == []
    assert customer.state.tiers == {"tier": "effective", "digital_tier": "above"}
    moved = TIERS.replace("effective: 10000", "effective: 40000")
    customer.rules = rules(trigger("any", "[tier.up, tier.down, tag.added]"), tiers=moved)
    assert pay(customer, 2, 30_002) == []
    assert customer.state.tier == "potential"
    assert len(actions(pay(customer, 3, 40_000))) == 1


def test_another_currency_of_the_bank_moves_nobody() -> None:
    """The totals are others, and the customer did nothing."""
    customer = Customer(rules(trigger("any", "[tier.up, tier.down]")))
    pay(customer, 0, 5000)
    customer.feed(transaction("d1", 1, 10, 30_000, account_id="a2", currency="USD", occurred_at=at(1)))
    assert customer.state.tier == "potential"
    inactive = customer.rules
    customer.rules = replace(inactive, hash="dollars", policy=replace(inactive.policy, currency="USD"))
    assert customer.feed(behaviour("b1", "login", occurred_at=at(2))) == []
    assert customer.state.tier == "effective"


def test_a_release_that_leaves_tags_alone_swallows_no_change() -> None:
    """Only other definitions are taken up silently."""
    customer = Customer(rules(UP))
    pay(customer, 0, 5000)
    customer.rules = rules(trigger("any", "tier.up"))
    assert len(actions(pay(customer, 1, 10_000))) == 1


def test_a_tag_that_a_rule_set_no_longer_has_goes_silently() -> None:
    """With its timer; the others keep theirs."""
    customer = Customer(rules(trigger("gone", "tag.removed")))
    pay(customer, 0, 1000)
    for day in (1, 2, 3):
        pay(customer, day, 400 - day)
    assert set(customer.state.tags) == {"fallen", "busy", "both"}
    only = TAGS[: TAGS.index("  busy")]
    customer.rules = rules(trigger("gone", "tag.removed"), tags=only.replace("  spent", "  _x").replace("_x", "spent"))
    assert customer.run_to(at(4)) == []
    assert set(customer.state.tags) == {"fallen"}
    assert [name for name in customer.state.timers if name.startswith("g:")] == ["g:fallen:"]


def test_without_their_files_nothing_is_kept() -> None:
    """No tier, no tag, no look."""
    customer = Customer(rules(trigger("any", "transaction"), tiers="", tags=""))
    pay(customer, 0, 1000)
    assert (customer.state.derived, customer.state.looked, customer.state.tiers, customer.state.tags) == ("", 0, {}, {})


def test_a_level_of_tiers_is_sampled_when_they_move() -> None:
    """A feature over customer.tier sees each tier from its first moment."""
    steady = trigger(
        "steady", "transaction", "tiers_30d == 2", more="features:\n  tiers_30d: {distinct: customer.tier, over: 30d}"
    )
    customer = Customer(rules(steady))
    pay(customer, 0, 5000)
    assert len(actions(pay(customer, 1, 10_000))) == 1


def test_a_level_of_tiers_never_sees_a_profile_tier_that_does_not_count() -> None:
    """A profile that says otherwise leaves no trace where the tier is worked out."""
    steady = trigger(
        "steady", "profile", "tiers_30d >= 2", more="features:\n  tiers_30d: {distinct: customer.tier, over: 30d}"
    )
    customer = Customer(rules(steady))
    pay(customer, 0, 5000)
    assert customer.feed(profile("p1", 1, tier="mid", occurred_at=at(1))) == []


def test_a_profile_with_a_day_of_birth_is_itself_seen_with_the_age() -> None:
    """The age is known with the record that tells it, as of that day, and with later ones as of theirs."""
    grown = trigger("grown", "profile", "customer.age == 19")
    older = trigger("older", "transaction", "customer.age == 20")
    customer = Customer(rules(grown, older))
    pay(customer, 0, 5000)
    born = date(at(2).year - 20, at(2).month, at(2).day)
    assert len(actions(customer.feed(profile("p1", 1, occurred_at=at(1), birth_date=born)))) == 1
    assert len(actions(pay(customer, 2, 5000))) == 1


def test_a_level_of_tiers_moves_with_edges_that_a_rule_set_moved() -> None:
    """Silently, just before the first event; also where that event changes nothing itself."""
    steady = trigger(
        "steady", "behaviour", "now == 'potential'", more="features:\n  now: {last: customer.tier, over: 30d}"
    )
    customer = Customer(rules(steady))
    pay(customer, 0, 30_000)
    customer.rules = rules(steady, tiers=TIERS.replace("effective: 10000", "effective: 40000"))
    assert len(actions(customer.feed(behaviour("b1", "login", occurred_at=at(1))))) == 1


def test_a_reversal_leaves_the_tier_that_a_rule_set_brought() -> None:
    """Its first moment is before the event at which it was found, and no part of what that event did."""
    then = "features:\n  then: {first: customer.tier, over: 23h}"
    steady = trigger("steady", "behaviour", "then == 'potential'", more=then)
    customer = Customer(rules(steady))
    pay(customer, 0, 30_000)
    customer.rules = rules(steady, tiers=TIERS.replace("effective: 10000", "effective: 40000"))
    pay(customer, 1, 45_000, event_id="wrong")
    pay(customer, 1.1, 30_000, reversal_of="wrong")
    assert customer.state.tier == "potential"
    assert len(actions(customer.feed(behaviour("b1", "login", occurred_at=at(2))))) == 1


def test_no_feature_keeps_the_value_it_had_before_the_event() -> None:
    """Though a tag read it then, at a customer's first event."""
    spent = "features:\n  spent: {sum: event.amount, over: 30d}\n"
    first = trigger("first", "transaction", "spent == 100", more=spent)
    customer = Customer(rules(first, tags=spent + "tags:\n  spender: {when: spent > 0}\n"))
    assert len(actions(pay(customer, 0, 900, before=1000))) == 1


def test_a_late_event_leaves_no_tier_in_the_past() -> None:
    """What the customer's tier was then is not known any more."""
    steady = trigger(
        "steady", "behaviour", "first == 'effective'", more="features:\n  first: {first: customer.tier, over: 4d}"
    )
    customer = Customer(rules(steady))
    customer.feed(transaction("t1", 1, 10, 5000, occurred_at=at(0)))
    customer.feed(transaction("t3", 3, 15_000, 20_000, occurred_at=at(5)))
    customer.feed(transaction("t2", 2, 0, 5000, occurred_at=at(3)))
    assert customer.feed(behaviour("b1", "login", occurred_at=at(8))) == []


def test_tags_change_at_a_reminder_too() -> None:
    """A holding's lead time is a touch: its trigger and those of the tags are one occasion."""
    due = trigger("due", "{maturity: 7d before}", priority=10)
    customer = Customer(rules(due, trigger("quiet", "tag.removed.busy", priority=20)))
    bought = maturity("m1", 1, "purchased", date(2026, 4, 1), amount=Decimal(5000), occurred_at=at(0))
    customer.feed(bought)
    for day in range(4):
        pay(customer, day, 1000 - day)
    outputs = customer.run_to(at(40))
    assert [(action.trigger, action.occasion[:12]) for action in actions(outputs)] == [("quiet", "maturity:h1:")]
    assert ("suppressed", "outranked") in decisions(outputs)


# --- ladders that run out -----------------------------------------------------------------------------------------

LADDER = trigger("asked", "transaction", "event.amount == 100", ladder="[push, {after: 2d, use: sms}]")
LOST = trigger(
    "lost",
    "action.exhausted",
    'action.trigger == "asked" and action.channel == "sms" and action.step == 1 and action.category == "test"',
)


def asked(*triggers: str) -> Customer:
    """A customer whose ladder has begun."""
    customer = Customer(rules(LADDER, *triggers, tiers="", tags=""))
    pay(customer, 0, 1000, before=900)
    return customer


def test_a_ladder_that_nobody_answered_is_exhausted_once() -> None:
    """When its last action expires."""
    customer = asked(LOST)
    outputs = customer.run_to(at(100))
    assert [(action.trigger, action.created_at) for action in actions(outputs)] == [("asked", at(2)), ("lost", at(3))]
    assert actions(outputs)[1].occasion == "exhausted:asked:transaction:t0"


@pytest.mark.parametrize(
    ("outcome", "wakes"),
    [("delivered", 1), ("failed", 1), ("opened", 0), ("clicked", 0), ("answered", 0), ("bought", 0), ("refused", 0)],
)
def test_an_answer_is_no_exhaustion(outcome: str, wakes: int) -> None:
    """A refusal is an answer too; that it arrived is none."""
    customer = asked(LOST)
    sent = actions(customer.run_to(at(2)))[0]
    customer.feed(feedback("f1", sent, outcome, occurred_at=at(2.5)))
    customer.run_to(at(100))
    assert [action.trigger for action in actions(customer.outputs)[2:]] == ["lost"] * wakes


def test_an_exhaustion_leads_to_no_further_one() -> None:
    """Else two triggers that listen would wake each other for ever; nor does a trigger wake on its own."""
    customer = asked(
        trigger("first", "action.exhausted", priority=60), trigger("second", "action.exhausted", priority=40)
    )
    assert [action.trigger for action in actions(customer.run_to(at(1000)))] == ["asked", "first"]
    customer = Customer(rules(trigger("self", "[transaction, action.exhausted]"), tiers="", tags=""))
    pay(customer, 0, 1000)
    assert len(actions(customer.run_to(at(1000)))) == 0


def test_a_reversal_ends_the_wait_for_exhaustion() -> None:
    """What was taken back runs out of nothing, and what its exhaustion led to is withdrawn."""
    customer = asked(LOST)
    customer.run_to(at(2))
    pay(customer, 2.5, 900, event_id="r", reversal_of="t0")
    assert customer.state.timers == {}
    assert actions(customer.run_to(at(100))) == []
    customer = asked(LOST)
    customer.run_to(at(3))
    outputs = pay(customer, 3.5, 900, event_id="r", reversal_of="t0")
    assert [withdrawn.trigger for withdrawn in cancellations(outputs)] == ["lost"]


def test_nobody_listening_sets_no_timer() -> None:
    """Exhaustion costs nothing where no trigger waits for it."""
    customer = asked()
    customer.run_to(at(2))
    assert customer.state.timers == {}


@pytest.mark.parametrize(
    ("unless", "balance", "opened", "goes"),
    [
        ('action.outcome == "opened" or customer.balance > 50000', 1000, False, True),
        ('action.outcome == "opened" or customer.balance > 50000', 60_000, False, False),
        ('action.outcome == "opened" or customer.balance > 50000', 1000, True, False),
        ('action.step == 0 and action.channel == "push"', 1000, False, False),
        ('not (action.outcome == "opened")', 1000, False, True),
        ("customer.wealth_elsewhere > 5", 1000, False, True),
    ],
)
def test_a_step_looks_at_what_holds_when_it_is_due(unless: str, balance: int, *, opened: bool, goes: bool) -> None:
    """True keeps it back; unknown, as an outcome that never came, lets it go out."""
    first = trigger(
        "asked", "transaction", "event.amount == 100", ladder=f"[push, {{after: 2d, unless: '{unless}', use: sms}}]"
    )
    customer = Customer(rules(first, tiers="", tags=""))
    (sent,) = actions(pay(customer, 0, 1000, before=900))
    pay(customer, 1, balance)
    if opened:
        customer.feed(feedback("f1", sent, "opened", occurred_at=at(1.5)))
    outputs = customer.run_to(at(10))
    assert len(actions(outputs)) == goes
    assert decisions(outputs) == ([("sent", "sent")] if goes else [("suppressed", "unless")])


def test_a_step_reads_the_holding_of_its_reminder() -> None:
    """``product`` is the one the ladder is about."""
    due = trigger("due", "{maturity: 7d before}", ladder="[push, {after: 2d, unless: product.amount < 1000, use: sms}]")
    for amount, steps in ((5000, 2), (500, 1)):
        customer = Customer(rules(due, tiers="", tags=""))
        bought = maturity("m1", 1, "purchased", date(2026, 4, 1), amount=Decimal(amount), occurred_at=at(0))
        customer.feed(bought)
        assert len(actions(customer.run_to(at(60)))) == steps


def test_feedback_tells_of_its_action() -> None:
    """Which ladder it was, and the best that was said to it so far."""
    thanks = trigger("thanks", "feedback", 'action.trigger == "asked" and action.outcome == "opened"')
    customer = asked(thanks)
    (sent,) = actions(customer.outputs)
    opened = customer.feed(feedback("f1", sent, "opened", occurred_at=at(1)))
    assert [action.trigger for action in actions(opened)] == ["thanks"]
