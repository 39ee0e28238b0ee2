"""The regular review of a pool: who is promoted (R6), who is recalled from a manager who neglects them (R16), and how
the managers did.
"""

from __future__ import annotations

from datetime import date

from triggers.desk import handover
from triggers.desk.state import Client, PoolState
from triggers.desk.work import ASSIGNMENT, RECALL, Work
from triggers.engine.schedule import Every
from triggers.language.model import RuleSet

_EVALUATE = "evaluate"
_REVIEW = "review"


def schedules(ruleset: RuleSet) -> dict[str, Every]:
    """The schedules of a rule set by their timers' names: of two at the same time the evaluation comes first."""
    desks = ruleset.policy.desks
    if desks is None:
        return {}
    wakes = {_REVIEW: desks.review}
    if desks.recall is not None:
        wakes[_EVALUATE] = desks.recall.evaluate
    found = {}
    for name, wake in wakes.items():
        timer = f"{name}:{wake.period}.{wake.month}.{wake.day}"
        found[timer] = Every(timer, name, wake, ruleset.policy)
    return found


def schedule(state: PoolState, every: dict[str, Every], clock: int) -> None:
    """Sets a pool's timers by the schedules in force. One that is new first comes round after ``clock``."""
    state.told = {name: day for name, day in state.told.items() if name in every}
    state.timers = {name: due for name, due in state.timers.items() if name.startswith("handover:")}
    for name, one in every.items():
        if name not in state.told:
            state.told[name] = one.settled_by(clock)
        state.timers[name] = one.following(state.told[name]).due


def come_round(work: Work, every: Every) -> None:
    """A schedule has come round: does what it is for, and sets its timer anew. What was missed is not made up for."""
    state, name = work.pool.state, every.timer
    this = every.following(state.told[name])
    latest = this
    while (following := every.following(latest.day)).due <= work.clock:
        latest = following
    state.told[name] = latest.day
    state.timers[name] = following.due
    if every.trigger_id == _EVALUATE:
        _evaluate(work, this.on)
    else:
        _review(work, this.on)


def _review(work: Work, on: date) -> None:
    occasion = f"review:{on.isoformat()}"
    for customer, client in sorted(work.pool.state.clients.items()):
        if client.move is None:
            _consider(work, customer, client, occasion)
        if client.desk is not None and client.manager is not None and client.manager not in work.pool.state.managers:
            # The manager may be another branch's, so that the customer stays with them: the bank can see to it.
            detail = {"manager_id": client.manager, "desk": client.desk}
            work.decide(customer, ASSIGNMENT, occasion, "suppressed", "unknown_manager", detail)


def _consider(work: Work, customer: str, client: Client, occasion: str) -> None:
    if handover.promoted(work, client):
        handover.ask(work, customer, client, occasion)
    elif neglected(work, client):
        _recall(work, customer, client, occasion)
    elif client.waits in ("promotion", "neglected"):
        work.stop_waiting(customer, client)


def serve(work: Work, customer: str, client: Client) -> None:
    """Looks again at a customer who waits for a manager: whoever has become free may take them."""
    occasion = f"room:{client.waits}:{client.waits_since}"
    if client.waits == "no_manager":
        work.settle(customer, client, occasion)
    else:
        _consider(work, customer, client, occasion)


def neglected(work: Work, client: Client) -> bool:
    """Whether nobody spoke with a customer for too long, though a manager of the pool has them."""
    recall = work.desks.recall if work.desks is not None else None
    if recall is None or client.desk is None or work.desk_of(client.manager) is None:
        return False
    return work.clock - max(client.contacted, client.since) > recall.after_ms


def _recall(work: Work, customer: str, client: Client, occasion: str) -> None:
    former = client.manager
    assert former is not None
    manager = work.manager_with_room(client.desk, but=former)
    if manager is None:
        work.wait(customer, client, "neglected", occasion)
        return
    work.pool.state.managers[former].recalled += 1
    work.give(customer, client, manager, "recalled", RECALL, occasion)


def _evaluate(work: Work, on: date) -> None:
    """Reports on each manager: customers, those without the promised conversation, those taken away."""
    pool, desks = work.pool, work.desks
    assert desks is not None
    without: dict[str, int] = {}
    for client in pool.state.clients.values():
        rule = desks.rule(work.desk_of(client.manager) or "")
        if rule is None or rule.contact_ms is None or client.manager is None:
            continue
        if work.clock - max(client.contacted, client.since) > rule.contact_ms:
            without[client.manager] = without.get(client.manager, 0) + 1
    for manager, entry in sorted(pool.state.managers.items()):
        if entry.active:
            work.report("evaluation", manager, entry, without.get(manager, 0), entry.recalled, f"evaluate:{on}")
        entry.recalled = 0
