"""The handover of a promoted customer to the manager of a higher desk (R6).

Asked for at a review → a person approves → the former manager says so to the customer (``handed_over``) → the new one
is asked to call (``call``) and must have called within two business days, or the branch hears of it. What the customer
receives comes of triggers on these steps, through the gate; the requests to people come from here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from schemas.base import from_ms, to_ms
from triggers.desk.records import request_id, request_record
from triggers.desk.state import Client, Move
from triggers.desk.work import HANDOVER, Work

_PREFIX: Final = "handover:"
_ESCALATION_MS: Final = 2 * 86_400_000
"""How long the branch has to see to a call that was missed, on days on which it is open."""


def timer(customer: str) -> str:
    """The name of the timer of a customer's handover."""
    return _PREFIX + customer


def promoted(work: Work, client: Client) -> bool:
    """Whether a customer belongs to a higher desk than that of their manager."""
    desks, has = work.desks, work.desk_of(client.manager)
    return desks is not None and has is not None and desks.rank(client.desk) > desks.rank(has)


def ask(work: Work, customer: str, client: Client, occasion: str) -> None:
    """Asks for approval; the new manager's place is kept meanwhile. Without room the customer waits."""
    desks = work.desks
    assert desks is not None
    manager = work.manager_with_room(client.desk)
    if manager is None:
        work.wait(customer, client, "promotion", occasion)
        return
    work.stop_waiting(customer, client)
    move_id = request_id(work.tenant, customer, work.pool.key, "handover", manager, str(work.clock))
    work.pool.count(client, -1)
    client.move = Move(move_id, manager, occasion, work.clock)
    work.pool.count(client, 1)
    expires = work.clock + desks.handover.approve_ms
    work.pool.state.timers[timer(customer)] = expires
    _request(work, customer, client, move_id, "manager", "handover_approval", expires)


def answered(work: Work, customer: str, move_id: str, answer: str, occasion: str) -> None:
    """A person's answer. One that comes too late, or for a handover that there is not, changes nothing."""
    client = work.pool.state.clients.get(customer)
    move = client.move if client is not None else None
    if client is None or move is None or move.id != move_id:
        detail = {"handover_id": move_id, "answer": answer}
        work.decide(customer, HANDOVER, occasion, "suppressed", "unknown_handover", detail)
    elif move.phase != "asked":
        return  # told again
    elif answer == "rejected":
        _end(work, customer, client, occasion, "rejected")
    else:
        _approve(work, customer, client, move, occasion)


def _approve(work: Work, customer: str, client: Client, move: Move, occasion: str) -> None:
    desks = work.desks
    if work.room(move.to) < 0 or desks is None:
        # The bank itself has filled the place that was kept.
        _end(work, customer, client, occasion, "no_place", outcome="cancelled")
        if desks is not None and promoted(work, client):
            ask(work, customer, client, occasion)
        return
    former = client.manager
    work.place(client, move.to, occasion)
    client.move = Move(move.id, move.to, move.occasion, work.clock, "approved")
    work.pool.state.timers[timer(customer)] = work.clock + desks.handover.ask_ms
    work.tell(customer, client, "handed_over", former)
    detail = {"handover_id": move.id, "manager_id": move.to, "former_manager_id": str(former)}
    work.decide(customer, HANDOVER, occasion, "sent", "approved", detail)


def heard_of(work: Work, customer: str, client: Client, occasion: str) -> None:
    """A conversation with the manager after the approval is the new one's call: the handover is over.

    Who does not belong to the higher desk any more while approval is waited for stays where they are.
    """
    move = client.move
    if move is None:
        return
    if move.phase == "asked":
        if not promoted(work, client):
            _end(work, customer, client, occasion, "no_longer_promoted", outcome="cancelled")
    elif client.spoken >= move.at:
        _finish(work, customer, client)
        detail = {"handover_id": move.id, "manager_id": move.to}
        work.decide(customer, HANDOVER, occasion, "sent", "called", detail)


def overtake(work: Work, customer: str, client: Client, occasion: str) -> None:
    """The bank itself moves the customer: what was under way ends."""
    if client.move is not None:
        _end(work, customer, client, occasion, "overtaken", outcome="cancelled")


def lose_manager(work: Work, customer: str, client: Client, occasion: str) -> None:
    """The manager who was to take over is gone: another one is asked for."""
    _end(work, customer, client, occasion, "manager_left", outcome="cancelled")
    if promoted(work, client):
        ask(work, customer, client, occasion)


def due(work: Work, name: str) -> None:
    """A handover's time has come: no answer, the new manager is to call, or the call was missed."""
    customer = name.removeprefix(_PREFIX)
    client = work.pool.state.clients[customer]
    move, desks = client.move, work.desks
    if move is None:
        return
    occasion = f"deadline:{move.id}"
    if move.phase == "asked":
        _end(work, customer, client, occasion, "no_answer")
    elif desks is None:
        _end(work, customer, client, occasion, "no_desks", outcome="cancelled")
    elif move.phase == "approved":
        move.phase = "calling"
        work.pool.state.timers[timer(customer)] = _deadline(work, move.at, desks.handover.call_ms)
        work.tell(customer, client, "call", None)
    else:
        detail = {"handover_id": move.id, "manager_id": move.to}
        work.decide(customer, HANDOVER, occasion, "suppressed", "call_missed", detail)
        action_id = request_id(work.tenant, customer, move.id, "escalation")
        _request(
            work,
            customer,
            client,
            action_id,
            "branch",
            "handover_escalation",
            _deadline(work, work.clock, _ESCALATION_MS),
        )
        _finish(work, customer, client)


def _deadline(work: Work, since: int, length: int) -> int:
    """By when people must have done something: on days on which the bank is closed nobody can."""
    policy = work.ruleset.policy
    moment = from_ms(since).astimezone(policy.timezone)
    return to_ms(policy.calendar.when_over(moment, timedelta(milliseconds=length)))


def _finish(work: Work, customer: str, client: Client) -> None:
    client.move = None
    work.pool.state.timers.pop(timer(customer), None)


def _end(work: Work, customer: str, client: Client, occasion: str, reason: str, *, outcome: str = "suppressed") -> None:
    """Ends a handover before it is done; the kept place is free."""
    move = client.move
    assert move is not None
    work.pool.count(client, -1)
    client.move = None
    work.pool.count(client, 1)
    work.pool.state.timers.pop(timer(customer), None)
    detail = {"handover_id": move.id, "manager_id": move.to, "phase": move.phase}
    work.decide(customer, HANDOVER, occasion, outcome, reason, detail)


def _request(work: Work, customer: str, client: Client, action_id: str, channel: str, offer: str, expires: int) -> None:
    """Asks a person, and records that."""
    move = client.move
    assert move is not None
    fields = {"handover_id": move.id, "branch": work.pool.key, "manager": move.to}
    if client.manager is not None and client.manager != move.to:
        fields["former_manager"] = client.manager
    desk = work.pool.state.managers[move.to].desk
    work.outputs.append(
        request_record(
            work.tenant,
            work.ruleset.hash,
            customer,
            action_id,
            channel,
            offer,
            move.occasion,
            work.clock,
            expires,
            desk,
            move.to,
            fields,
        )
    )
    work.decide(customer, HANDOVER, move.occasion, "sent", offer, {"manager_id": move.to, "desk": desk}, action_id)
