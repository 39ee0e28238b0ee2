"""The identity stage: what is held and released, moved, dissolved, merged, set aside, and what is put on record."""

from __future__ import annotations

from datetime import timedelta, timezone

import msgpack
import pytest

from schemas.base import to_ms
from schemas.dead_letter import Reason
from tests.support.bank import at
from tests.support.identities import HOUR_MS, Identities, link, merge, seen
from triggers.engine.stage import UnreadableState
from triggers.identity.person import MOST_MEMBERS
from triggers.identity.stage import IdentityStage
from triggers.identity.state import ChannelId
from triggers.identity.timeline import MOST
from triggers.language.model import Policy


def test_behaviour_of_a_linked_id_is_the_customers() -> None:
    """With the fields and the very time of the original, in its own offset, and an id of its own."""
    shanghai = timezone(timedelta(hours=8))
    original = seen("b1", 5, product_id="p1", page="wealth", seconds=7, action="like")
    original = original.model_copy(update={"occurred_at": original.occurred_at.astimezone(shanghai)})
    world = Identities().read(link(1, "c1", 0), original)
    (event,) = world.events
    assert event.occurred_at == original.occurred_at
    assert event.occurred_at.utcoffset() == timedelta(hours=8)
    assert (event.customer_id, event.source, event.action) == ("c1", "app", "like")
    assert (event.product_id, event.page, event.seconds) == ("p1", "wealth", 7)
    assert event.event_id != "b1"
    assert world.behaviour == [("app:u1:b1", "c1", 5)]


def test_behaviour_before_its_link_waits_and_counts_at_its_own_time() -> None:
    """Nothing is sent before the link; then all of it, oldest first, and the record says how much."""
    world = Identities().read(seen("b2", 2), seen("b1", 1))
    assert world.behaviour == []
    world.read(link(1, "c1", 3))
    assert world.behaviour == [("app:u1:b1", "c1", 1), ("app:u1:b2", "c1", 2)]
    assert world.outcomes() == [("app:u1", "linked", "c1", None)]
    assert world.decisions[0].detail == {"released": "2"}
    assert world.decisions[0].caused_by == "l1"


def test_a_repeat_counts_once_wherever_it_comes() -> None:
    """While the first waits, after it was sent on, and after the id has moved: never again, nor for another."""
    world = Identities().read(seen("b1", 1), seen("b1", 1), link(1, "c1", 2), seen("b1", 1), link(1, "c1", 2))
    world.read(link(2, "c2", 0.5), seen("b1", 1))
    assert world.behaviour == [("app:u1:b1", "c1", 1)]
    assert [decision.outcome for decision in world.decisions] == ["linked", "linked"]


def test_the_same_event_has_the_same_id_on_every_run_and_another_under_another_id() -> None:
    """Two channels may number their events alike."""
    first = Identities().read(link(1, "c1", 0), seen("b1", 1)).events
    again = Identities().read(seen("b1", 1), link(1, "c1", 0)).events
    other = Identities().read(link(1, "c1", 0, source_user_id="u2"), seen("b1", 1, source_user_id="u2")).events
    assert first == again
    assert first[0].event_id != other[0].event_id


def test_a_moved_link_affects_only_what_comes_after_by_its_own_time() -> None:
    """Before the move it was the first customer, whenever it is read; what was counted is not taken back."""
    world = Identities().read(link(1, "c1", 0), seen("b1", 5), link(2, "c2", 4), seen("b2", 3), seen("b3", 6))
    assert world.behaviour == [("app:u1:b1", "c1", 5), ("app:u1:b2", "c1", 3), ("app:u1:b3", "c2", 6)]
    assert world.outcomes()[-1] == ("app:u1", "moved", "c2", "c1")


def test_a_late_link_holds_up_to_the_next_and_one_that_is_replaced_is_superseded() -> None:
    """The publisher's sequence decides, not the order of arrival."""
    world = Identities().read(link(3, "c3", 10), link(1, "c1", 0), seen("b1", 5), seen("b2", 11))
    assert world.behaviour == [("app:u1:b1", "c1", 5), ("app:u1:b2", "c3", 11)]
    world.read(link(2, "c2", 12), seen("b3", 13))
    assert world.behaviour[-1] == ("app:u1:b3", "c3", 13)
    assert world.outcomes()[-1] == ("app:u1", "superseded", "c2", None)


def test_a_dissolved_link_ends_and_the_next_one_claims_what_was_done_between() -> None:
    """Nobody gets it before; the customer of before gets none of it."""
    world = Identities().read(link(1, "c1", 0), link(2, None, 4), seen("b1", 5))
    assert world.behaviour == []
    world.read(link(3, "c2", 6))
    assert world.behaviour == [("app:u1:b1", "c2", 5)]
    assert [outcome for _, outcome, _, _ in world.outcomes()] == ["linked", "unlinked", "linked"]
    assert world.decisions[1].previous_customer_id == "c1"


def test_what_waits_too_long_is_on_record_and_no_later_link_has_it() -> None:
    """Its timer is due after the policy's time, from when it was done; what is younger waits on."""
    world = Identities(Policy(hold_ms=10 * HOUR_MS)).read(seen("b1", 1), seen("b2", 3))
    assert world.stage.next_due(world.states["app:u1"]) == to_ms(at(hours=11))
    world.sweep(10.9)
    assert world.decisions == []
    world.sweep(11)
    assert [(d.outcome, d.caused_by, d.effective_at) for d in world.decisions] == [("expired", "b1", at(hours=1))]
    assert world.decisions[0].decided_at == at(hours=11)
    world.read(link(1, "c1", 11.5))
    assert world.behaviour == [("app:u1:b2", "c1", 3)]
    assert world.stage.next_due(world.states["app:u1"]) is None


def test_a_link_claims_no_more_than_what_could_have_waited() -> None:
    """Known or not when it comes: done longer before the link than the bound, it is nobody's."""
    policy = Policy(hold_ms=10 * HOUR_MS)
    before = Identities(policy).read(seen("b1", 1), seen("b2", 2), link(1, "c1", 12)).sweep(12)
    after = Identities(policy).read(link(1, "c1", 12), seen("b1", 1), seen("b2", 2)).sweep(12)
    assert before.behaviour == after.behaviour == [("app:u1:b2", "c1", 2)]
    assert [d.outcome for d in before.decisions] == [d.outcome for d in after.decisions] == ["linked", "expired"]


def test_no_more_waits_than_the_bound_and_the_rest_may_be_sent_again() -> None:
    """What is beyond is a dead letter with its reason; sent again when the link is there, it counts."""
    world = Identities(Policy(hold_at_most=2)).read(*(seen(f"b{n}", n) for n in range(4)))
    assert [(record.event_id, why.reason) for record, why in world.rejected] == [
        ("b2", Reason.TOO_MANY_HELD),
        ("b3", Reason.TOO_MANY_HELD),
    ]
    world.read(link(1, "c1", 5), seen("b2", 2))
    assert [origin for origin, _, _ in world.behaviour] == ["app:u1:b0", "app:u1:b1", "app:u1:b2"]


def test_behaviour_beyond_the_lateness_rule_or_from_the_future_is_set_aside() -> None:
    """As in the customer stage: it may be a repeat, or its clock is wrong."""
    world = Identities().read(link(1, "c1", 0), seen("b1", 24 * 8), seen("b2", 1))
    assert [why.reason for _, why in world.rejected] == [Reason.TOO_LATE]
    world = Identities(now=to_ms(at())).read(link(1, "c1", 0), seen("b1", 1), seen("b2", 1.1), link(2, "c2", 2))
    assert [why.reason for _, why in world.rejected] == [Reason.FROM_THE_FUTURE] * 2
    assert [customer for _, customer, _ in world.behaviour] == ["c1"]


def test_by_the_wall_clock_decisions_bear_its_time() -> None:
    """The link's own time stands beside it."""
    now = at(hours=30)
    world = Identities(now=to_ms(now)).read(link(1, "c1", 2))
    assert (world.decisions[0].effective_at, world.decisions[0].decided_at) == (at(hours=2), now)


def test_links_beyond_those_remembered_are_not_guessed() -> None:
    """An id that changes hands without end keeps its newest links; behaviour from before them is set aside."""
    many = [link(n, f"c{n}", n) for n in range(MOST + 5)]
    world = Identities().read(*many, seen("b1", 4), seen("b2", 5), seen("b3", MOST + 4.5))
    assert [(record.event_id, why.reason) for record, why in world.rejected] == [("b1", Reason.TOO_LATE)]
    assert world.behaviour == [("app:u1:b2", "c5", 5), ("app:u1:b3", f"c{MOST + 4}", MOST + 4.5)]
    world.read(link(1, "c1", 1, event_id="again"))
    assert world.decisions[-1].outcome == "superseded"


class TestMerges:
    """Two customers are one."""

    def test_a_merge_affects_what_comes_after_by_its_own_time(self) -> None:
        """Every id of the customer hears of it: each has its record, and so has the customer."""
        world = Identities().read(link(1, "c1", 0), link(1, "c1", 0, source="web", event_id="w1"), merge("c1", "c2", 4))
        world.read(seen("b1", 3), seen("b2", 5), seen("b3", 6, source="web"))
        assert world.behaviour == [("app:u1:b1", "c1", 3), ("app:u1:b2", "c2", 5), ("web:u1:b3", "c2", 6)]
        assert world.outcomes()[2:] == [
            ("customer:c1", "merged", "c2", "c1"),
            ("app:u1", "merged", "c2", "c1"),
            ("web:u1", "merged", "c2", "c1"),
        ]
        assert world.decisions[2].detail == {"ids": "2"}
        assert {decision.caused_by for decision in world.decisions[2:]} == {"m-c1-1"}

    def test_a_link_to_a_customer_already_merged_leads_on(self) -> None:
        """Also through several merges, in whichever order they came."""
        world = Identities().read(merge("c2", "c3", 2), merge("c1", "c2", 1), link(1, "c1", 3), seen("b1", 4))
        assert world.behaviour == [("app:u1:b1", "c3", 4)]
        world = Identities().read(link(1, "c1", 0), merge("c1", "c2", 1), merge("c2", "c3", 3), seen("b1", 2))
        world.read(seen("b2", 4))
        assert world.behaviour == [("app:u1:b1", "c2", 2), ("app:u1:b2", "c3", 4)]

    def test_a_merge_can_be_taken_back(self) -> None:
        """From then on the customer stands for itself again; a repeat and an older merge change nothing."""
        back = merge("c1", None, 5, sequence=3)
        world = Identities().read(link(1, "c1", 0), merge("c1", "c2", 2), back, back, merge("c1", "c9", 5, sequence=2))
        world.read(seen("b1", 3), seen("b2", 6))
        assert world.behaviour == [("app:u1:b1", "c2", 3), ("app:u1:b2", "c1", 6)]
        assert world.outcomes()[-1] == ("customer:c1", "superseded", "c9", None)
        assert [outcome for _, outcome, _, _ in world.outcomes()].count("unmerged") == 2

    def test_customers_merged_into_each_other_end_somewhere(self) -> None:
        """A circle is a mistake of the publisher's; it stops nothing."""
        world = Identities().read(link(1, "c1", 0), merge("c1", "c2", 1), merge("c2", "c1", 2), seen("b1", 3))
        assert world.behaviour == [("app:u1:b1", "c1", 3)]

    def test_what_is_read_before_the_merge_is_known_counts_for_the_customer_of_the_link(self) -> None:
        """The answer takes its way over a topic; nothing waits for it, and nothing is taken back."""
        world = Identities(slow=True).read(merge("c1", "c2", 0), seen("b1", 1), link(1, "c1", 2))
        world.deliver(0)
        world.read(seen("b2", 3))
        world.deliver(0)
        world.read(seen("b3", 4))
        assert world.behaviour == [("app:u1:b1", "c1", 1), ("app:u1:b2", "c1", 3), ("app:u1:b3", "c2", 4)]

    def test_a_customer_remembers_so_many_ids(self) -> None:
        """The one linked longest ago is forgotten, and that is on record."""
        many = [link(1, "c1", 0, source_user_id=f"u{n}", event_id=f"l{n}") for n in range(MOST_MEMBERS + 1)]
        world = Identities().read(*many)
        assert world.outcomes()[-1] == ("app:u0", "forgotten", "c1", None)
        before = len(world.decisions)
        world.read(merge("c1", "c2", 1))
        assert len(world.decisions) == before + 1 + MOST_MEMBERS


class TestStates:
    """Bytes of states."""

    def test_states_come_back_from_their_bytes(self) -> None:
        """Of an id with everything in it, and of a customer."""
        stage = IdentityStage("bank")
        world = Identities().read(
            seen("b0", 0), link(1, "c1", 1), merge("c1", "c2", 2), link(2, None, 3), seen("b1", 4)
        )
        assert len(world.states) == 3
        for key, state in world.states.items():
            data = stage.encode(state)
            assert stage.decode(key, data) == state
            assert stage.encode(stage.decode(key, data)) == data

    def test_what_the_version_before_kept_is_read(self) -> None:
        """It knew the newest link without its time: it holds from the beginning."""
        stage = IdentityStage("bank")
        old = bytes((1,)) + msgpack.packb((7, ("c1",)))
        world = Identities(states={"app:u1": stage.decode("app:u1", old)})
        world.read(seen("b1", 1), link(7, "c9", 2), link(8, "c2", 3), seen("b2", 4))
        assert world.behaviour == [("app:u1:b1", "c1", 1), ("app:u1:b2", "c2", 4)]
        empty = stage.decode("app:u1", bytes((1,)) + msgpack.packb((-1, ())))
        assert isinstance(empty, ChannelId)
        assert not empty.links.entries

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", "version none; this program reads versions 1 and 2"),
            (b"\x03abc", "version 3"),
            (b"\x02\xc1", "damaged"),
            (b"\x02" + msgpack.packb([1, 2]), "damaged"),
            (b"\x01" + msgpack.packb("x"), "damaged"),
        ],
        ids=["empty", "later", "no msgpack", "other shape", "old and damaged"],
    )
    def test_unreadable_bytes_are_refused(self, data: bytes, why: str) -> None:
        """Better no start than a guess."""
        for key in ("app:u1", "customer:c1"):
            with pytest.raises(UnreadableState, match=why):
                IdentityStage("bank").decode(key, data)

    def test_the_timer_index_hears_of_the_earliest_and_not_twice(self) -> None:
        """A later one needs no entry of its own; a sweep asks anew."""
        stage, world = IdentityStage("bank"), Identities().read(seen("b2", 2))
        state = world.states["app:u1"]
        due = to_ms(at(hours=50))
        assert stage.take_due_change(state) == (True, due)
        assert stage.take_due_change(state) == (False, None)
        world.read(seen("b1", 1))
        assert stage.take_due_change(world.states["app:u1"]) == (True, due - HOUR_MS)
        world.sweep(100).read(seen("b3", 60))
        assert stage.take_due_change(world.states["app:u1"]) == (True, due + 58 * HOUR_MS)
        assert stage.next_due(stage.fresh("customer:c1")) is None
        assert stage.take_due_change(stage.fresh("customer:c1")) == (False, None)


def test_the_default_hold_fits_every_lateness_rule() -> None:
    """Two days, or what the rule leaves; none where it leaves none."""
    assert Policy().held_ms == 48 * HOUR_MS
    assert Policy(lateness_ms=24 * HOUR_MS).held_ms == 23 * HOUR_MS
    assert Policy(lateness_ms=HOUR_MS, skew_ms=2 * HOUR_MS).held_ms == 0
