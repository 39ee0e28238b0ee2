"""Any interleaving of links, merges, behaviour and sweeps: each behaviour at most once, at its time, for its customer.

The model is written down without thinking of speed: at each step it looks at everything that has come so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import ChannelBehaviour, CustomerMerge, IdentityLink
from tests.support.identities import HOUR_MS, Identities, link, merge, seen
from triggers.identity.state import ChannelId
from triggers.language.model import Policy

HOURS = 30
CUSTOMERS = ("c1", "c2", "c3")


@dataclass
class Model:
    """What should come: everything that has been read, and what was sent on or lost when."""

    hold: float
    at_most: int
    links: dict[int, tuple[float, str | None]] = field(default_factory=dict)
    merges: dict[str, dict[int, tuple[float, str | None]]] = field(default_factory=dict)
    waiting: dict[str, float] = field(default_factory=dict)
    sent: list[tuple[str, str, float]] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    """The customers whose merges the id has heard of: nothing waits for them."""

    def customer(self, hours: float) -> str | None:
        begun = {sequence: who for sequence, (since, who) in self.links.items() if since <= hours}
        who = begun[max(begun)] if begun else None
        if who is None:
            # The first moment after it at which somebody is linked, looked for link by link.
            for since in sorted(since for since, _ in self.links.values() if hours < since <= hours + self.hold):
                then = {sequence: name for sequence, (start, name) in self.links.items() if start <= since}
                who = then[max(then)]
                if who is not None:
                    break
        passed = []
        while who is not None and who not in passed and who in self.heard:
            passed.append(who)
            merged = {seq: into for seq, (since, into) in self.merges.get(who, {}).items() if since <= hours}
            who = (merged[max(merged)] if merged else None) or who
        return who

    def read_link(self, record: IdentityLink, hours: float) -> None:
        replaced = any(seq >= record.sequence and since <= hours for seq, (since, _) in self.links.items())
        if replaced or record.sequence in self.links:
            return
        self.links[record.sequence] = (hours, record.customer_id)
        for name, at in sorted(self.waiting.items(), key=lambda item: (item[1], item[0])):
            if (who := self.customer(at)) is not None:
                del self.waiting[name]
                self.sent.append((f"app:u1:{name}", who, at))
        self.hear(record.customer_id)

    def read_merge(self, customer: str, sequence: int, hours: float, into: str | None) -> None:
        self.merges.setdefault(customer, {}).setdefault(sequence, (hours, into))
        if customer in self.heard:
            self.hear(into)

    def hear(self, customer: str | None) -> None:
        if customer is not None and customer not in self.heard:
            self.heard.add(customer)
            for _, into in self.merges.get(customer, {}).values():
                self.hear(into)

    def read_behaviour(self, name: str, hours: float) -> None:
        known = {origin.rpartition(":")[2] for origin, _, _ in self.sent} | set(self.expired) | self.waiting.keys()
        if name in known:
            return
        who = self.customer(hours)
        if who is not None:
            self.sent.append((f"app:u1:{name}", who, hours))
        elif len(self.waiting) < self.at_most:
            self.waiting[name] = hours
        else:
            self.full.append(name)

    def sweep(self, hours: float) -> None:
        for name, at in sorted(self.waiting.items()):
            if at + self.hold <= hours:
                del self.waiting[name]
                self.expired.append(name)


hours = st.integers(0, HOURS).map(float)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("link"), st.integers(1, 8), st.sampled_from([*CUSTOMERS, None]), hours),
        st.tuples(st.just("seen"), st.integers(0, 30), st.none(), hours),
        st.tuples(st.just("sweep"), st.just(0), st.none(), hours),
        st.tuples(st.just("merge"), st.integers(1, 4), st.sampled_from(CUSTOMERS), hours),
    ),
    max_size=40,
)


@given(steps, st.integers(1, 12), st.integers(1, 4), st.data())
def test_each_behaviour_at_most_once_at_its_time_for_its_customer(
    steps: list[tuple[str, int, str | None, float]], hold: int, at_most: int, data: st.DataObject
) -> None:
    """As the model has it, and within the bounds at every step; what does not fit or waits too long is on record."""
    world = Identities(Policy(hold_ms=hold * HOUR_MS, hold_at_most=at_most))
    model = Model(hold, at_most)
    times: dict[str, float] = {}
    links: dict[int, tuple[str | None, float]] = {}
    merges: dict[tuple[str, int], tuple[str | None, float]] = {}
    swept = 0.0
    for what, number, customer, at in steps:
        if what == "seen":
            # The same event always has the same time.
            name = f"b{number}"
            at = times.setdefault(name, at)
            world.read(seen(name, at))
            model.read_behaviour(name, at)
        elif what == "link":
            # As the publisher numbered it.
            customer, at = links.setdefault(number, (customer, at))
            record = link(number, customer, at)
            world.read(record)
            model.read_link(record, at)
        elif what == "merge":
            assert customer is not None
            into = data.draw(st.sampled_from([name for name in (*CUSTOMERS, None) if name != customer]))
            into, at = merges.setdefault((customer, number), (into, at))
            world.read(merge(customer, into, at, number))
            model.read_merge(customer, number, at, into)
        else:
            # Sweeps go on, as clocks do.
            swept = max(swept, at)
            world.sweep(swept)
            model.sweep(swept)
        state = world.states.get("app:u1", ChannelId())
        assert isinstance(state, ChannelId)
        assert len(state.held) <= at_most
        assert {held.event_id for held in state.held} == model.waiting.keys()
        assert world.behaviour == model.sent
    assert sorted(d.caused_by for d in world.decisions if d.outcome == "expired") == sorted(model.expired)
    assert [record.event_id for record, _ in world.rejected] == model.full
    origins = [origin for origin, _, _ in world.behaviour]
    assert len(set(origins)) == len(origins)
    assert len({event.event_id for event in world.events}) == len(origins)
    assert all(times[origin.rpartition(":")[2]] == at for origin, _, at in world.behaviour)


@given(st.permutations(range(6)), st.permutations(range(12)), st.lists(st.booleans(), min_size=18, max_size=18))
def test_links_in_order_and_behaviour_in_any_order_lose_nothing(
    links: list[int], behaviour: list[int], turns: list[bool]
) -> None:
    """Links in any order and behaviour in any order, without bounds: all of it is somebody's, once."""
    world = Identities(Policy(hold_ms=100 * HOUR_MS))
    records: list[IdentityLink | ChannelBehaviour | CustomerMerge] = []
    waiting_links, waiting = list(links), list(behaviour)
    for turn in turns:
        if waiting_links and (turn or not waiting):
            n = waiting_links.pop()
            records.append(link(n, CUSTOMERS[n % 3], 3 * n + 1))
        elif waiting:
            n = waiting.pop()
            records.append(seen(f"b{n}", n * 1.5))
    world.read(*records)
    assert sorted(origin for origin, _, _ in world.behaviour) == sorted(f"app:u1:b{n}" for n in range(12))


@given(st.permutations(range(7)))
def test_the_order_in_which_links_come_makes_no_difference(order: list[int]) -> None:
    """Whatever came first: with all of them known, the same customer at every time."""
    times = [3, 9, 5, 14, 11, 20, 17]
    names = ["c1", "c2", None, "c3", "c1", None, "c2"]
    ordered, shuffled = Identities(), Identities()
    ordered.read(*(link(n, names[n], times[n]) for n in range(7)))
    shuffled.read(*(link(n, names[n], times[n]) for n in order))
    for world in (ordered, shuffled):
        world.read(*(seen(f"b{n}", n * 0.5) for n in range(50)))
    assert ordered.behaviour == shuffled.behaviour
