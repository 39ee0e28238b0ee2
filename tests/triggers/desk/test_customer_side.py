"""The customer's side of the desks: what the pool is told, whose word counts, whom the gate lets pass (R5, R34)."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.actions import NextBestAction
from schemas.base import from_ms
from schemas.decisions import Decision
from schemas.desk import DeskStep, Standing
from schemas.events import Feedback, Profile
from tests.support.desk_world import DAY_MS, DESKS, HOUR_MS, START_MS, TRIGGER
from tests.support.requirements import LIBRARY
from triggers.engine.customer import CustomerStage
from triggers.engine.state import CustomerState
from triggers.language.loader import load_documents

CALL = """
trigger: call
version: 1
title: A call
owner: tests
status: live
on: [profile, desk]
action: {offer: hello, category: service, complexity: simple, priority: 1, expires: 1d, ladder: [manager]}
tests:
  - name: fires
    events: [{at: "2026-03-02 10:00", profile: {}}]
    expect: [{at: "2026-03-02 10:00"}]
  - name: silent
    events: [{at: "2026-03-02 10:00", behaviour: {action: login}}]
    expect: []
"""
POLICY = "caps: []\nconsent: []"


class Customer:
    """One customer in the customer stage, through the bytes of its state at every record."""

    def __init__(self, desks: str | None = DESKS) -> None:
        files = {"any_login.yaml": TRIGGER, "call.yaml": CALL, "policy.yaml": POLICY}
        loaded = load_documents(files | ({"desks.yaml": desks} if desks else {}))
        assert loaded.ruleset is not None, loaded.problems
        self.ruleset = loaded.ruleset
        self.stage = CustomerStage("bank")
        self.state: CustomerState = self.stage.fresh("C1")
        self.now = START_MS
        self.count = 0
        self.outputs: list[Any] = []

    def feed(self, record: Any) -> list[Any]:
        outcome = self.stage.process(record, self.state, self.ruleset, self.now)
        self.state = self.stage.decode("C1", self.stage.encode(self.state))
        new = outcome.outputs if outcome is not None else []
        self.outputs += new
        return new

    def profile(self, **fields: Any) -> list[Any]:
        self.count += 1
        common = {"tenant": "bank", "event_id": f"p{self.count}", "occurred_at": from_ms(self.now)}
        return self.feed(Profile.model_validate(common | {"customer_id": "C1", "sequence": self.count} | fields))

    def step(self, number: int, manager: str, former: str | None = None, **fields: Any) -> list[Any]:
        common = {"tenant": "bank", "event_id": f"d{number}", "occurred_at": from_ms(self.now), "customer_id": "C1"}
        about = {"pool": "B1", "number": number, "step": "assigned", "desk": "counter", "manager_id": manager}
        return self.feed(DeskStep.model_validate(common | about | {"former_manager_id": former} | fields))

    def feedback(self, channel: str, outcome: str) -> list[Any]:
        self.count += 1
        common = {"tenant": "bank", "event_id": f"f{self.count}", "occurred_at": from_ms(self.now)}
        about = {"customer_id": "C1", "action_id": "talk:x", "channel": channel, "outcome": outcome}
        return self.feed(Feedback.model_validate(common | about))

    @property
    def standings(self) -> list[Standing]:
        return [output for output in self.outputs if isinstance(output, Standing)]


def told(customer: Customer) -> tuple[str, str | None, str | None, int]:
    last = customer.standings[-1]
    return last.pool, last.desk, last.manager_id, last.answered


@pytest.mark.parametrize(
    ("profile", "desk"),
    [
        ({"tier": "effective"}, None),
        ({"tier": "mid"}, "counter"),
        ({"tier": "high"}, "vip"),
        ({"tier": "private"}, "vip"),
        ({"tier": "effective", "wealth_elsewhere": "199999.99"}, None),
        ({"tier": "effective", "wealth_elsewhere": "200000"}, "counter"),
        ({"wealth_elsewhere": "200000"}, "counter"),
        ({"tier": "high", "wealth_elsewhere": "200000"}, "vip"),
    ],
)
def test_the_desk_that_owns_a_customer(profile: dict[str, Any], desk: str | None) -> None:
    """By what ships: by the tier, else by what they have at other banks; whoever belongs to none tells nobody."""
    customer = Customer((LIBRARY / "desks.yaml").read_text("utf-8"))
    customer.profile(branch_id="B1", **profile)
    assert [standing.desk for standing in customer.standings] == ([desk] if desk else [])


def test_a_standing_is_told_once_and_whenever_it_changes() -> None:
    """Not again for a record that changes nothing of it."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="mid")
    customer.profile(branch_id="B1", tier="mid", completeness="0.5")
    assert len(customer.standings) == 1
    customer.profile(branch_id="B1", tier="high")
    customer.feedback("push", "answered")
    customer.feedback("manager", "opened")
    assert len(customer.standings) == 2
    customer.feedback("manager", "answered")
    assert customer.standings[-1].contacted_ms == START_MS
    assert [standing.number for standing in customer.standings] == [0, 1, 2]


def test_only_a_talk_with_the_manager_is_told_as_theirs() -> None:
    """One with the agent or in the branch is a conversation all the same; one that is heard of late counts too."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="mid")
    for channel in ("agent", "branch"):
        customer.now += HOUR_MS
        customer.feedback(channel, "answered")
        assert (customer.standings[-1].contacted_ms, customer.standings[-1].spoken_ms) == (customer.now, None)
    customer.now -= HOUR_MS // 2
    customer.feedback("manager", "opened")
    assert customer.standings[-1].spoken_ms is None
    customer.feedback("manager", "answered")
    assert customer.standings[-1].spoken_ms == customer.now
    assert customer.standings[-1].contacted_ms == customer.now + HOUR_MS // 2


def test_without_desks_nobody_is_told() -> None:
    """And no action names a desk."""
    customer = Customer(desks=None)
    customer.profile(branch_id="B1", tier="effective")
    assert customer.standings == []
    (action,) = [output for output in customer.outputs if isinstance(output, NextBestAction)]
    assert (action.desk, action.manager_id) == (None, None)


def test_a_step_gives_the_manager_and_is_answered() -> None:
    """A repeat, and one with an older number, change nothing."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="mid")
    customer.step(1, "M1")
    assert customer.state.manager_id == "M1"
    assert told(customer) == ("B1", "counter", "M1", 1)
    assert customer.step(1, "M1") == []
    customer.step(2, "M2", "M1", step="recalled")
    assert customer.step(1, "M1") == []
    assert told(customer) == ("B1", "counter", "M2", 2)


def test_a_call_changes_no_manager() -> None:
    """It is answered all the same."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="high", manager_id="V1")
    customer.step(1, "V1", step="call", desk="vip")
    assert told(customer) == ("B1", "vip", "V1", 1)


def test_what_the_bank_says_counts() -> None:
    """A profile that still says what it said keeps the desk's manager; one that names another ends it."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="mid", manager_id="M1")
    customer.step(1, "M2", "M1", step="recalled")
    customer.profile(branch_id="B1", tier="mid", manager_id="M1")
    assert customer.state.manager_id == "M2"
    customer.profile(branch_id="B1", tier="mid")
    assert customer.state.manager_id == "M2"
    customer.profile(branch_id="B1", tier="mid", manager_id="M2")
    customer.profile(branch_id="B1", tier="mid")
    assert customer.state.manager_id is None
    customer.step(2, "M3")
    customer.profile(branch_id="B1", tier="mid", manager_id="M4")
    assert customer.state.manager_id == "M4"
    assert told(customer) == ("B1", "counter", "M4", 2)


def test_a_step_that_the_bank_has_overtaken_is_refused_and_answered() -> None:
    """So that the pool knows whom the customer really has; no trigger wakes."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="mid")
    customer.profile(branch_id="B1", tier="mid", manager_id="M9")
    new = customer.step(1, "M1")
    assert customer.state.manager_id == "M9"
    assert [type(output) for output in new] == [Standing]
    assert told(customer) == ("B1", "counter", "M9", 1)


def test_another_branch_is_another_pool() -> None:
    """The former one hears that the customer has left; its steps count no more, nor does its manager."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="mid")
    customer.step(1, "M1")
    new = customer.profile(branch_id="B2", tier="mid")
    left, stands = [output for output in new if isinstance(output, Standing)]
    assert (left.pool, left.left, left.manager_id) == ("B1", True, None)
    assert (stands.pool, stands.left, stands.manager_id, stands.desk) == ("B2", False, None, "counter")
    assert stands.number == left.number + 1
    assert customer.step(2, "M1") == []
    assert customer.step(stands.answered + 1, "M1") == []
    customer.step(stands.answered + 1, "M7", pool="B2")
    assert customer.state.manager_id == "M7"


def test_who_has_no_branch_belongs_to_the_head_office() -> None:
    """One pool for all of them."""
    customer = Customer()
    customer.profile(tier="mid")
    assert told(customer)[0] == "head-office"


def test_a_trigger_wakes_on_a_step() -> None:
    """Through the gate, as on any event; the action names the desk and the manager."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="mid")
    customer.now += HOUR_MS
    (action,) = [output for output in customer.step(1, "M1") if isinstance(output, NextBestAction)]
    assert (action.channel, action.desk, action.manager_id) == ("manager", "counter", "M1")
    assert action.occasion == "desk:d1"


# --- the gate: the owning desk (R5) -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("tier", "sent"), [("effective", False), ("mid", True), ("private", True), (None, True)])
def test_the_managers_channel_is_for_whom_a_desk_owns(tier: str | None, sent: bool) -> None:
    """One of no known tier may pass; who belongs to no desk may not, and that is on record."""
    customer = Customer()
    customer.profile(branch_id="B1", tier=tier)
    reasons = [output.reason for output in customer.outputs if isinstance(output, Decision)]
    assert reasons == (["sent"] if sent else ["not_owned"])
    if not sent:
        (decision,) = [output for output in customer.outputs if isinstance(output, Decision)]
        assert decision.detail["tier"] == "effective"
        assert "mid: counter" in decision.detail["desks"]


def test_an_action_is_for_the_owning_desk_and_not_for_the_manager_of_another() -> None:
    """A customer who has risen, and whose manager the desk of the counter gave, is the VIP desk's concern."""
    customer = Customer()
    customer.profile(branch_id="B1", tier="mid")
    customer.step(1, "M1")
    customer.now += DAY_MS
    (action,) = [o for o in customer.profile(branch_id="B1", tier="high") if isinstance(o, NextBestAction)]
    assert (action.desk, action.manager_id) == ("vip", None)
    customer.step(2, "V1", "M1", step="handed_over", desk="vip")
    customer.now += DAY_MS
    (action,) = [o for o in customer.profile(branch_id="B1", tier="high") if isinstance(o, NextBestAction)]
    assert (action.desk, action.manager_id) == ("vip", "V1")


def test_the_state_of_before_is_read() -> None:
    """A state that was written without the desks' fields has none of them."""
    import msgspec

    customer = Customer(desks=None)
    customer.profile(branch_id="B1", tier="mid")
    data = customer.stage.encode(customer.state)
    rows = msgspec.msgpack.decode(memoryview(data)[1:])
    cut = data[:1] + msgspec.msgpack.encode(rows[: CustomerState.__struct_fields__.index("desk_side")])
    again = customer.stage.decode("C1", cut)
    assert (again.desk_side, again.contacted, again.tier) == (None, 0, "mid")
