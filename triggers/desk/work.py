"""One pool at work: who has room, who gets whom, who waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.base import Record
from triggers.desk.records import decision_record, report_record, step_record
from triggers.desk.state import Client, ManagerEntry, Pool
from triggers.language.desk_model import Desks
from triggers.language.model import RuleSet

ASSIGNMENT: Final = "desk_assignment"
"""What decisions on assignments stand under, where others have a trigger."""
HANDOVER: Final = "desk_handover"
RECALL: Final = "desk_recall"

ABOUT: Final = {"no_manager": ASSIGNMENT, "promotion": HANDOVER, "neglected": RECALL}
"""Why a customer may wait for a manager, and what the decision on it stands under."""


class Work:
    """What one record or one run of timers does with a pool. ``outputs`` collects what comes of it."""

    def __init__(self, tenant: str, pool: Pool, ruleset: RuleSet, clock: int) -> None:
        self.tenant = tenant
        self.pool = pool
        self.ruleset = ruleset
        self.desks: Desks | None = ruleset.policy.desks
        self.clock = clock
        self.outputs: list[Record] = []

    # --- managers ------------------------------------------------------------------------------------------------

    def capacity(self, entry: ManagerEntry) -> int:
        """How many customers a manager may have: what the bank says, within what the rules allow (R35)."""
        rule = self.desks.rule(entry.desk) if self.desks is not None else None
        return entry.capacity if rule is None else min(entry.capacity, rule.capacity)

    def room(self, manager: str) -> int:
        """How many more customers a manager may have; below zero for too many."""
        return self.capacity(self.pool.state.managers[manager]) - self.pool.loads[manager]

    def manager_with_room(self, desk: str | None, *, but: str | None = None) -> str | None:
        """The manager of a desk who has most room; of equals the first by name. ``None`` where nobody has any."""
        best, most = None, 0
        for manager, entry in self.pool.state.managers.items():
            if not entry.active or entry.desk != desk or manager == but:
                continue
            room = self.room(manager)
            if room > most or (room == most and best is not None and manager < best):
                best, most = manager, room
        return best

    def desk_of(self, manager: str | None) -> str | None:
        """The desk of an active manager of the pool."""
        entry = self.pool.state.managers.get(manager) if manager is not None else None
        return entry.desk if entry is not None and entry.active else None

    def check_load(self, manager: str, occasion: str) -> None:
        """Reports a manager with more customers than allowed, once until that is over (R35)."""
        entry = self.pool.state.managers.get(manager)
        if entry is None or not entry.active or self.desks is None:
            return
        over = self.room(manager) < 0
        if over and not entry.overloaded:
            self.report("overload", manager, entry, 0, 0, occasion)
        entry.overloaded = over

    def report(
        self, kind: str, manager: str, entry: ManagerEntry, neglected: int, recalled: int, occasion: str
    ) -> None:
        """Tells the bank of a manager."""
        self.outputs.append(
            report_record(
                self.tenant,
                self.ruleset.hash,
                kind,
                self.pool.key,
                entry.desk,
                manager,
                self.pool.loads[manager],
                self.capacity(entry),
                neglected,
                recalled,
                occasion,
                self.clock,
            )
        )

    # --- customers -----------------------------------------------------------------------------------------------

    def place(self, client: Client, manager: str | None, occasion: str) -> None:
        """Gives a customer this manager, in the books alone. A handover ends."""
        former = client.manager
        self.pool.count(client, -1)
        client.manager, client.move = manager, None
        client.since = self.clock
        self.pool.count(client, 1)
        for touched in (former, manager):
            if touched is not None:
                self.check_load(touched, occasion)

    def needs_manager(self, client: Client) -> bool:
        """Whether a desk owns the customer and nobody of the pool has them (R34).

        Whoever has a manager whom the pool has never heard of is another branch's concern; each review says so.
        """
        if client.desk is None or self.desks is None:
            return False
        if client.manager is None:
            return True
        entry = self.pool.state.managers.get(client.manager)
        return entry is not None and not entry.active

    def settle(self, customer: str, client: Client, occasion: str) -> None:
        """Assigns a customer who needs a manager to the one of the owning desk with most room."""
        if client.move is not None:
            return
        if self.needs_manager(client):
            manager = self.manager_with_room(client.desk)
            if manager is None:
                self.wait(customer, client, "no_manager", occasion)
            else:
                self.give(customer, client, manager, "assigned", ASSIGNMENT, occasion)
        elif client.waits == "no_manager":
            self.stop_waiting(customer, client)

    def give(self, customer: str, client: Client, manager: str, step: str, about: str, occasion: str) -> None:
        """Gives a customer to a manager who has room, and tells the customer."""
        former = client.manager
        self.place(client, manager, occasion)
        self.stop_waiting(customer, client)
        self.tell(customer, client, step, former)
        detail = {"manager_id": manager, "desk": str(self.desk_of(manager)), "room": str(self.room(manager))}
        if former is not None:
            detail["former_manager_id"] = former
        self.decide(customer, about, occasion, "sent", step, detail)

    def tell(self, customer: str, client: Client, step: str, former: str | None) -> None:
        """Sends a customer the next step, with the manager they have now."""
        assert client.manager is not None
        client.issued += 1
        desk = self.pool.state.managers[client.manager].desk
        self.outputs.append(
            step_record(
                self.tenant,
                self.pool.key,
                customer,
                client.issued,
                step,
                desk,
                client.manager,
                former,
                self.clock,
            )
        )

    def decide(
        self,
        customer: str,
        about: str,
        occasion: str,
        outcome: str,
        reason: str,
        detail: Mapping[str, str],
        action_id: str | None = None,
    ) -> None:
        """Records what became of a customer's request, and why."""
        detail = {"pool": self.pool.key, **detail}
        self.outputs.append(
            decision_record(
                self.tenant,
                self.ruleset.hash,
                customer,
                about,
                occasion,
                outcome,
                reason,
                self.clock,
                detail,
                action_id,
            )
        )

    # --- waiting -------------------------------------------------------------------------------------------------

    def wait(self, customer: str, client: Client, why: str, occasion: str) -> None:
        """Nobody has room: the customer waits until somebody has, and that is on record."""
        if client.waits == why:
            return
        client.waits, client.waits_since = why, self.clock
        self.pool.waiting.add(customer)
        detail = {"desk": str(client.desk)}
        if client.manager is not None:
            detail["manager_id"] = client.manager
        self.decide(customer, ABOUT[why], occasion, "deferred", "no_capacity", detail)

    def stop_waiting(self, customer: str, client: Client) -> None:
        """The customer waits for nobody."""
        client.waits, client.waits_since = "", 0
        self.pool.waiting.discard(customer)

    def serve_waiting(self) -> None:
        """Where room may have come, serves who waits, the longest first. One may make room for the next."""
        from triggers.desk.review import serve

        while self.pool.freed and self.pool.waiting:
            self.pool.freed = False
            clients = self.pool.state.clients
            for customer in sorted(self.pool.waiting, key=lambda one: (clients[one].waits_since, one)):
                serve(self, customer, clients[customer])
        self.pool.freed = False
