"""The desk stage: one pool at a time hears of managers and customers, and decides who looks after whom."""

from __future__ import annotations

from typing import Any, Final

from schemas.base import to_ms
from schemas.dead_letter import Reason
from schemas.decode import Rejected
from schemas.desk import DeskAnswer, DeskManager, Standing
from triggers.desk import handover, review
from triggers.desk.codec import decode_struct, encode_struct
from triggers.desk.state import MOST_LEFT, Client, ManagerEntry, Pool, PoolState
from triggers.desk.work import Work
from triggers.engine.schedule import Every
from triggers.engine.stage import Outcome
from triggers.language.model import RuleSet

VERSION: Final = 2


class DeskStage:
    """Keyed by pool: a branch, or the head office for whom no branch is known."""

    name = "desk"

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._ruleset = ""
        self._every: dict[str, Every] = {}

    def key_of(self, record: Any) -> str:
        key: str = record.branch_id if record.record_type == "desk_answer" else record.pool
        return key

    def fresh(self, key: str) -> Pool:
        return Pool(key, PoolState())

    def decode(self, key: str, data: bytes) -> Pool:
        return Pool(key, decode_struct(PoolState, VERSION, data))

    def encode(self, pool: Pool) -> bytes:
        return encode_struct(pool.state, VERSION)

    def process(self, record: Any, pool: Pool, ruleset: RuleSet, now: int | None) -> Outcome | None:
        at = to_ms(record.occurred_at)
        if now is not None and at > now + ruleset.policy.skew_ms:
            seconds = ruleset.policy.skew_ms // 1000
            problem = f"more than {seconds} s ahead of the system's clock"
            return Outcome(rejected=Rejected(Reason.FROM_THE_FUTURE, "occurred_at", problem))
        clock = max(pool.state.clock, at if now is None else now)
        work = self._work(pool, ruleset, clock)
        self._run_due(work, clock, now)
        pool.state.clock = work.clock = clock
        match record.record_type:
            case "standing":
                self._standing(work, record)
            case "desk_manager":
                self._manager(work, record)
            case _:
                self._answer(work, record)
        return self._done(work)

    def run_timers(self, pool: Pool, ruleset: RuleSet, until: int, now: int | None) -> Outcome | None:
        work = self._work(pool, ruleset, max(pool.state.clock, now or 0))
        self._run_due(work, until, now)
        pool.state.indexed_due = None  # The sweep found this entry: it is written anew or removed.
        return self._done(work)

    def next_due(self, pool: Pool) -> int | None:
        return min(pool.state.timers.values(), default=None)

    def take_due_change(self, pool: Pool) -> tuple[bool, int | None]:
        due, state = self.next_due(pool), pool.state
        if due is None or (state.indexed_due is not None and state.indexed_due <= due):
            return (False, None)
        state.indexed_due = due
        return (True, due)

    # --- what comes ----------------------------------------------------------------------------------------------

    def _standing(self, work: Work, record: Standing) -> None:
        """A customer's standing. One that a later step of ours has overtaken says nothing of the manager."""
        state, customer = work.pool.state, record.customer_id
        client = state.clients.get(customer)
        if record.number <= (client.number if client is not None else state.left.get(customer, -1)):
            return
        cause = f"standing:{customer}:{record.number}"
        if record.left:
            self._leave(work, customer, record.number, cause)
            return
        if client is None:
            state.left.pop(customer, None)
            client = state.clients[customer] = Client(record.number, record.answered, since=work.clock)
        client.number = record.number
        client.contacted = max(client.contacted, record.contacted_ms or 0)
        client.spoken = max(client.spoken, record.spoken_ms or 0)
        moved = record.answered >= client.issued and record.manager_id != client.manager
        if moved:
            self._moved(work, customer, client, record.manager_id, cause)
        client.desk = record.desk
        handover.heard_of(work, customer, client, cause)
        if client.manager is not None:
            work.check_load(client.manager, cause)
        work.settle(customer, client, cause)

    def _moved(self, work: Work, customer: str, client: Client, manager: str | None, cause: str) -> None:
        """The bank itself has moved a customer."""
        handover.overtake(work, customer, client, cause)
        work.place(client, manager, cause)
        work.stop_waiting(customer, client)

    def _leave(self, work: Work, customer: str, number: int, cause: str) -> None:
        state = work.pool.state
        client = state.clients.get(customer)
        if client is not None:
            handover.overtake(work, customer, client, cause)
            work.stop_waiting(customer, client)
            work.place(client, None, cause)
            del state.clients[customer]
        state.left.pop(customer, None)
        state.left[customer] = number
        while len(state.left) > MOST_LEFT:
            del state.left[next(iter(state.left))]

    def _manager(self, work: Work, record: DeskManager) -> None:
        """A manager's record. The customers of one who is gone are assigned anew."""
        pool = work.pool
        entry = pool.state.managers.get(record.manager_id)
        if entry is not None and record.sequence <= entry.sequence:
            return
        if entry is None:
            entry = ManagerEntry(record.sequence, record.desk, record.capacity, record.active)
            pool.state.managers[record.manager_id] = entry
        else:
            entry.sequence, entry.desk = record.sequence, record.desk
            entry.capacity, entry.active = record.capacity, record.active
        pool.freed = True
        cause = f"manager:{record.manager_id}:{record.sequence}"
        if record.active:
            work.check_load(record.manager_id, cause)
            return
        for customer, client in sorted(pool.state.clients.items()):
            if client.move is not None and client.move.to == record.manager_id and client.manager != record.manager_id:
                handover.lose_manager(work, customer, client, cause)
            if client.manager == record.manager_id:
                handover.overtake(work, customer, client, cause)
                work.settle(customer, client, cause)

    def _answer(self, work: Work, record: DeskAnswer) -> None:
        handover.answered(work, record.customer_id, record.handover_id, record.answer, f"answer:{record.event_id}")

    # --- time ----------------------------------------------------------------------------------------------------

    def _work(self, pool: Pool, ruleset: RuleSet, clock: int) -> Work:
        work = Work(self._tenant, pool, ruleset, clock)
        if self._ruleset != ruleset.hash:
            self._ruleset = ruleset.hash
            self._every = review.schedules(ruleset)
        state = pool.state
        if state.ruleset != ruleset.hash:
            review.schedule(state, self._every, clock)
            state.ruleset = ruleset.hash
        return work

    def _run_due(self, work: Work, until: int, now: int | None) -> None:
        """Runs the timers due by ``until`` in the order of time and name, also those that they set themselves."""
        state = work.pool.state
        while state.timers:
            due, name = min((due, name) for name, due in state.timers.items())
            if due > until:
                return
            del state.timers[name]
            work.clock = due if now is None else max(state.clock, now)
            state.clock = max(state.clock, work.clock)
            if name in self._every:
                review.come_round(work, self._every[name])
            else:
                handover.due(work, name)

    def _done(self, work: Work) -> Outcome | None:
        work.serve_waiting()
        return Outcome(work.outputs) if work.outputs else None
