"""How often and how soon: caps, cooldowns, and attempts without a sale."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.actions import NextBestAction
from schemas.base import to_ms
from schemas.decisions import Decision
from tests.support.bank import Customer, actions, at, behaviour, decisions, feedback, transaction
from tests.support.rules import DAY, HOUR, ruleset, trigger
from triggers.language.model import Attempts, Cap, Cooldown, OnEvent, Policy, Step

SHANGHAI = ZoneInfo("Asia/Shanghai")


def policy(*caps: Cap, **more: Any) -> Policy:
    """A policy with these caps and nothing else that holds back."""
    return Policy(caps=caps, consent=frozenset(), **more)


def local(text: str) -> datetime:
    """A time in the bank's time zone."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def sent_at(customer: Customer, *times: str) -> list[bool]:
    """Whether an action went out at each of these times."""
    count = len(customer.outputs)
    return [
        bool(
            actions(
                customer.feed(transaction(f"t{count}{number}", 100 * count + number, 1, 1, occurred_at=local(when)))
            )
        )
        for number, when in enumerate(times)
    ]


def reasons(outputs: list[Any]) -> list[tuple[str, dict[str, str]]]:
    """Reason and detail of what was held back."""
    return [(out.reason, out.detail) for out in outputs if isinstance(out, Decision) and out.outcome == "suppressed"]


@pytest.mark.parametrize(
    ("period", "last", "first"),
    [
        ("day", "2026-03-04 23:59", "2026-03-05 00:00"),
        ("week", "2026-03-08 23:59", "2026-03-09 00:00"),
        ("month", "2026-03-31 23:59", "2026-04-01 00:00"),
    ],
)
def test_a_cap_by_the_calendar_begins_anew_with_the_day_week_or_month(period: Any, last: str, first: str) -> None:
    """At midnight in the bank's time zone, which is eight hours before that of UTC; weeks begin on Monday."""
    customer = Customer(ruleset(trigger("any"), policy=policy(Cap(1, 32 * DAY, calendar=period))))
    assert sent_at(customer, "2026-03-04 23:50", last, first, first) == [True, False, True, False]
    assert reasons(customer.outputs)[0] == ("capped", {"cap": "1", "per": period})


def test_a_cap_on_a_channel_counts_that_channel_alone() -> None:
    """One push a week leaves the SMS free; the reason names the channel."""
    push = trigger("push", on=(OnEvent("behaviour"),))
    sms = trigger("sms", ladder=(Step("sms"),))
    customer = Customer(ruleset(push, sms, policy=policy(Cap(1, 7 * DAY, channel="push"))))
    assert actions(customer.feed(behaviour("b1", "browse")))
    assert reasons(customer.feed(behaviour("b2", "browse"))) == [
        ("capped", {"cap": "1", "per": "1w", "channel": "push"})
    ]
    assert actions(customer.feed(transaction("t1", 1, 1, 1)))


def test_a_cap_of_one_category_on_one_channel_needs_both() -> None:
    """Neither the category on another channel nor another category on the channel is counted."""
    names = {"care_push": ("care", "push"), "care_sms": ("care", "sms"), "sales_push": ("sales", "push")}
    kinds = ("browse", "login", "apply")
    triggers = [
        trigger(name, on=(OnEvent("behaviour", kind),), category=category, ladder=(Step(channel),))
        for kind, (name, (category, channel)) in zip(kinds, names.items(), strict=True)
    ]
    customer = Customer(ruleset(*triggers, policy=policy(Cap(1, 7 * DAY, "care", "push"))))
    sent = [
        [bool(actions(customer.feed(behaviour(f"{kind}{turn}", kind)))) for kind in ("login", "apply", "browse")]
        for turn in range(2)
    ]
    assert sent == [[True, True, True], [True, True, False]]


def test_a_cap_lets_through_what_is_owed_and_counts_it() -> None:
    """Contacts of an excepted category are never held back by it; the others find the cap full of them."""
    owed = trigger("owed", on=(OnEvent("behaviour"),), category="desk")
    cap = Cap(1, 7 * DAY, exempt=frozenset({"desk"}))
    customer = Customer(ruleset(owed, trigger("sells"), policy=policy(cap)))
    assert actions(customer.feed(behaviour("b1", "browse")))
    assert actions(customer.feed(behaviour("b2", "browse")))
    assert reasons(customer.feed(transaction("t1", 1, 1, 1))) == [("capped", {"cap": "1", "per": "1w"})]


def test_a_cap_looks_back_further_than_a_ladder_is_kept() -> None:
    """A contact of ten months ago still fills a year's cap."""
    customer = Customer(ruleset(trigger("any"), policy=policy(Cap(1, 366 * DAY))))
    assert actions(customer.feed(transaction("t1", 1, 1, 1)))
    assert not actions(customer.feed(transaction("t2", 2, 1, 1, occurred_at=at(300))))
    assert actions(customer.feed(transaction("t3", 3, 1, 1, occurred_at=at(366))))


_TRIGGERS = {
    "browse": ("sales", "push"),
    "login": ("sales", "sms"),
    "apply": ("care", "push"),
}
_caps = st.builds(
    Cap,
    at_most=st.integers(0, 3),
    per_ms=st.sampled_from([32 * DAY, 3 * DAY, DAY, 2 * HOUR]),
    category=st.sampled_from([None, "sales", "care"]),
    channel=st.sampled_from([None, "push", "sms"]),
    calendar=st.sampled_from([None, None, "day", "week", "month"]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_caps, max_size=4),
    st.lists(st.tuples(st.sampled_from(sorted(_TRIGGERS)), st.integers(0, 40 * 24)), min_size=1, max_size=40),
    st.booleans(),
)
def test_no_cap_is_ever_exceeded(caps: list[Cap], visits: list[tuple[str, int]], recode: bool) -> None:
    """Counted again from what was sent, by another way: any window that ends with a contact holds at most its cap."""
    caps = [
        cap if cap.calendar is None else Cap(cap.at_most, 32 * DAY, cap.category, cap.channel, cap.calendar)
        for cap in caps
    ]
    triggers = [
        trigger(kind, on=(OnEvent("behaviour", kind),), category=category, ladder=(Step(channel), Step("sms", DAY)))
        for kind, (category, channel) in _TRIGGERS.items()
    ]
    customer = Customer(ruleset(*triggers, policy=policy(*caps)), recode=recode)
    for number, (kind, hours) in enumerate(sorted(visits, key=lambda visit: visit[1])):
        customer.run_to(at(hours=hours))
        customer.feed(behaviour(f"b{number}", kind, occurred_at=at(hours=hours)))
    customer.run_to(at(90))
    sent: list[NextBestAction] = actions(customer.outputs)
    for cap in caps:
        counted = [
            action.created_at.astimezone(SHANGHAI)
            for action in sent
            if cap.category in (None, action.category) and cap.channel in (None, action.channel)
        ]
        for end in counted:
            assert sum(_within(cap, moment, end) for moment in counted) <= cap.at_most


def _within(cap: Cap, moment: datetime, end: datetime) -> bool:
    if cap.calendar is None:
        return end - timedelta(milliseconds=cap.per_ms) < moment <= end
    same = {"day": "%Y-%m-%d", "week": "%G-%V", "month": "%Y-%m"}[cap.calendar]
    return moment.strftime(same) == end.strftime(same)


def cooled(**lengths: int) -> Customer:
    """Two triggers of one category and one of another, under a cooldown."""
    kinds = {"browse": "sales", "login": "sales", "apply": "care"}
    ladder = (Step("push"), Step("sms", HOUR))
    triggers = [
        trigger(kind, on=(OnEvent("behaviour", kind),), category=category, ladder=ladder)
        for kind, category in kinds.items()
    ]
    return Customer(ruleset(*triggers, policy=policy(cooldown=Cooldown(**lengths))))


@pytest.mark.parametrize(
    ("lengths", "sent"),
    [
        ({"all_ms": DAY}, [False, False, False]),
        ({"category_ms": DAY}, [False, False, True]),
        ({"trigger_ms": DAY}, [False, True, True]),
    ],
)
def test_a_cooldown_holds_back_what_it_names(lengths: dict[str, int], sent: list[bool]) -> None:
    """After a contact: everything, the same category, or the same trigger; the reason says which and since when."""
    for number, (kind, goes) in enumerate(zip(("browse", "login", "apply"), sent, strict=True)):
        customer = cooled(**lengths)
        customer.feed(behaviour("b1", "browse"))
        outputs = customer.feed(behaviour(f"b2{number}", kind, occurred_at=at(hours=0.9)))
        assert bool(actions(outputs)) is goes
        if not goes:
            (name,) = lengths
            assert reasons(outputs) == [
                ("cooling_down", {"cooldown": name.removesuffix("_ms"), "contact_at": at().isoformat()})
            ]


def test_a_cooldown_ends_on_the_dot_and_leaves_the_ladder_its_own_time() -> None:
    """The second step comes an hour after the first, in the midst of the day's peace that it begins anew."""
    customer = cooled(all_ms=DAY)
    customer.feed(behaviour("b1", "browse"))
    assert [action.channel for action in actions(customer.run_to(at(hours=1)))] == ["sms"]
    assert not actions(customer.feed(behaviour("b2", "apply", occurred_at=at(hours=24.99))))
    assert actions(customer.feed(behaviour("b3", "apply", occurred_at=at(hours=25))))


def test_the_shorter_of_two_cooldowns_ends_on_the_dot_as_well() -> None:
    """A day after a contact another category is free, while its own waits for three."""
    customer = cooled(all_ms=DAY, category_ms=3 * DAY)
    customer.feed(behaviour("b1", "browse"))
    customer.run_to(at(hours=1))
    assert not actions(customer.feed(behaviour("b2", "login", occurred_at=at(hours=25))))
    assert actions(customer.feed(behaviour("b3", "apply", occurred_at=at(hours=25))))


def attempted() -> Customer:
    """Five contacts a day apart in one category, none of them bought; the sixth comes in vain."""
    rules = ruleset(
        trigger("sales", on=(OnEvent("behaviour", "browse"),), category="sales"),
        trigger("care", on=(OnEvent("behaviour", "login"),), category="care"),
        policy=policy(attempts=Attempts(5, 30 * DAY)),
    )
    customer = Customer(rules, recode=True)
    for day in range(5):
        assert actions(customer.feed(behaviour(f"b{day}", "browse", occurred_at=at(day))))
    return customer


def test_after_five_attempts_without_a_sale_a_category_pauses() -> None:
    """R9: the sixth is held back until the pause is over; then five more are free. Other categories go on."""
    customer = attempted()
    outputs = customer.feed(behaviour("b6", "browse", occurred_at=at(6)))
    assert reasons(outputs) == [("no_sale", {"category": "sales", "attempts": "5", "pauses_until": at(34).isoformat()})]
    assert actions(customer.feed(behaviour("c1", "login", occurred_at=at(6))))
    assert not actions(customer.feed(behaviour("b7", "browse", occurred_at=at(33.99))))
    sent = [bool(actions(customer.feed(behaviour(f"d{n}", "browse", occurred_at=at(34 + n))))) for n in range(6)]
    assert sent == [True] * 5 + [False]


def test_a_category_that_sells_nothing_never_pauses() -> None:
    """Neither is it counted: the day it is no longer excepted it begins at nought, and another pauses meanwhile."""
    both = (
        trigger("sales", on=(OnEvent("behaviour", "browse"),), category="sales"),
        trigger("care", on=(OnEvent("behaviour", "login"),), category="care"),
    )
    customer = Customer(ruleset(*both, policy=policy(attempts=Attempts(2, 30 * DAY, frozenset({"care"})))), recode=True)
    cared = [bool(actions(customer.feed(behaviour(f"c{n}", "login", occurred_at=at(n))))) for n in range(4)]
    sold = [bool(actions(customer.feed(behaviour(f"s{n}", "browse", occurred_at=at(4 + n))))) for n in range(4)]
    assert (cared, sold) == ([True] * 4, [True, True, False, False])
    assert customer.state.attempts.keys() == {"sales"}
    # Nor is what was counted before the bank excepted it.
    customer.state.attempts["care"] = (9, to_ms(at(7)))
    assert actions(customer.feed(behaviour("c9", "login", occurred_at=at(8))))


@pytest.mark.parametrize(
    ("outcome", "goes"), [("bought", True), ("clicked", False), ("answered", False), ("refused", False)]
)
def test_only_a_sale_ends_the_pause(outcome: str, goes: bool) -> None:
    """R9: a purchase after any of the contacts, also an early one."""
    customer = attempted()
    first = actions(customer.outputs)[0]
    customer.feed(feedback("f1", first, outcome, occurred_at=at(5)))
    assert bool(actions(customer.feed(behaviour("b6", "browse", occurred_at=at(6))))) is goes
    expected = [] if goes else [("suppressed", "no_sale")]
    assert [found for found in decisions(customer.outputs) if found[0] == "suppressed"] == expected
