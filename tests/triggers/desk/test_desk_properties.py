"""Whatever comes in whatever order: no manager above capacity by our doing, nobody assigned twice, nobody forgotten."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.desk import DeskStep
from tests.support.desk_world import DAY_MS, HOUR_MS, DeskWorld, Person

MANAGERS = st.sampled_from(["M1", "M2", "V1", "V2"])
CUSTOMERS = st.sampled_from(["C1", "C2", "C3", "C4", "C5", "C6"])
DESKS = st.sampled_from([None, "counter", "counter", "vip"])


class Desks(RuleBasedStateMachine):
    """One pool, a few managers and customers; steps reach customers late, standings come again."""

    @initialize()
    def open(self) -> None:
        self.world = DeskWorld()
        self.history: list[Any] = []
        self.heard: list[DeskStep] = []

    @rule(name=MANAGERS, capacity=st.integers(0, 3), active=st.booleans())
    def manager(self, name: str, capacity: int, active: bool) -> None:
        desk = "vip" if name.startswith("V") else "counter"
        self._checked(lambda: self.history.append(self.world.manager(name, desk, capacity=capacity, active=active)))

    @rule(name=CUSTOMERS, desk=DESKS)
    def stands(self, name: str, desk: str | None) -> None:
        self.world.people.setdefault(name, Person()).desk = desk
        self._checked(lambda: self.history.append(self.world.tell(name)))

    @rule(name=CUSTOMERS)
    def speaks(self, name: str) -> None:
        if name in self.world.people:
            self._checked(lambda: self.history.append(self.world.stands(name, contacted=self.world.now)))

    @rule(name=CUSTOMERS, manager=MANAGERS)
    def bank_moves(self, name: str, manager: str) -> None:
        """The bank names a manager, heedless of capacity."""
        if name in self.world.people:
            self._checked(lambda: self.history.append(self.world.stands(name, manager=manager)))

    @rule(name=CUSTOMERS)
    def leaves(self, name: str) -> None:
        if name in self.world.people:
            self._checked(lambda: self.history.append(self.world.tell(name, left=True)))
            # It comes back, if ever, without a manager, knowing every step so far: as the customer stage has it.
            person = self.world.people[name]
            self.world.people[name] = Person(number=person.number, answered=person.number)
            self.world.outbox = [step for step in self.world.outbox if step.customer_id != name]

    @rule(count=st.integers(1, 4))
    def steps_arrive(self, count: int) -> None:
        self.heard += self.world.outbox[:count]
        self._checked(lambda: self.world.deliver(count))

    @rule(index=st.integers(0, 1000))
    def step_comes_again(self, index: int) -> None:
        """A repeat of what was heard long ago."""
        if self.heard:
            step = self.heard[index % len(self.heard)]
            if step.customer_id in self.world.people:
                self._checked(lambda: self.world.hear(step))

    @rule(index=st.integers(0, 1000))
    def record_comes_again(self, index: int) -> None:
        if self.history:
            state = self.world.pool.state
            before = (state.managers, state.clients, state.timers, state.left)
            assert self.world.feed(self.history[index % len(self.history)]) == []
            state = self.world.pool.state
            assert (state.managers, state.clients, state.timers, state.left) == before

    @rule(index=st.integers(0, 1000), answer=st.sampled_from(["approved", "approved", "rejected"]))
    def person_answers(self, index: int, answer: str) -> None:
        asked = [request for request in self.world.requests() if request.offer == "handover_approval"]
        if asked:
            request = asked[index % len(asked)]
            self._checked(lambda: self.world.answer(request.action_id, request.customer_id, answer))

    @rule(length=st.sampled_from([HOUR_MS, DAY_MS, 6 * DAY_MS, 31 * DAY_MS, 95 * DAY_MS]))
    def time_passes(self, length: int) -> None:
        self._checked(lambda: self.world.advance(length))

    def _checked(self, act: Any) -> None:
        """Whoever is given a customer had room for them, and the customer had no other manager to go to."""
        before = len(self.world.outputs)
        act()
        new = [output for output in self.world.outputs[before:] if isinstance(output, DeskStep)]
        for manager in {step.manager_id for step in new if step.step != "call"}:
            assert self._load(manager) <= self._capacity(manager), f"{manager} is above capacity by our doing"

    def _load(self, manager: str) -> int:
        """Counted from the clients themselves, not from the books."""
        return sum(
            (client.manager == manager)
            + (client.move is not None and client.move.phase == "asked" and client.move.to == manager)
            for client in self.world.pool.state.clients.values()
        )

    def _capacity(self, manager: str) -> int:
        entry = self.world.pool.state.managers[manager]
        return min(entry.capacity, 2 if entry.desk == "vip" else 3)

    @invariant()
    def the_books_are_right(self) -> None:
        if not hasattr(self, "world"):
            return
        pool = self.world.pool
        named = {client.manager for client in pool.state.clients.values()} | set(pool.state.managers)
        for manager in named - {None}:
            assert pool.loads[str(manager)] == self._load(str(manager)), manager

    @invariant()
    def nobody_is_assigned_twice(self) -> None:
        """Of one customer every step has its own number."""
        if not hasattr(self, "world"):
            return
        seen: set[tuple[str, int]] = set()
        for output in self.world.outputs:
            if isinstance(output, DeskStep):
                assert (output.customer_id, output.number) not in seen
                seen.add((output.customer_id, output.number))

    @invariant()
    def everybody_has_an_outcome(self) -> None:
        """Whom a desk owns has a manager, waits for one, or nobody was asked."""
        if not hasattr(self, "world"):
            return
        pool = self.world.pool
        for name, client in pool.state.clients.items():
            if client.desk is None:
                continue
            entry = pool.state.managers.get(client.manager or "")
            gone = client.manager is None or (entry is not None and not entry.active)
            if gone and client.move is None:
                assert client.waits == "no_manager", name
                assert ("deferred", "no_capacity") in self.world.decisions(name)
                free = [
                    manager
                    for manager, found in pool.state.managers.items()
                    if found.active and found.desk == client.desk and self._load(manager) < self._capacity(manager)
                ]
                assert not free, f"{name} waits though {free} have room"
            assert (name in pool.waiting) == bool(client.waits)
            if client.move is not None:
                assert f"handover:{name}" in pool.state.timers

    def teardown(self) -> None:
        """Once all is heard, customers and pool agree."""
        if not hasattr(self, "world"):
            return
        for _ in range(20):
            if not self.world.outbox:
                break
            self.world.deliver()
        assert not self.world.outbox
        for name, client in self.world.pool.state.clients.items():
            assert self.world.people[name].manager == client.manager, name


TestDesks = Desks.TestCase
TestDesks.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
