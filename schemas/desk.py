"""What the desks hear and say: of customers and managers to a branch's pool, and back to the customer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.base import Count, Event, EventTime, Flag, Identifier, Milliseconds, Record, Sequence
from schemas.events import Desk

HEAD_OFFICE = "head-office"
"""The pool of the customers and managers of whom no branch is known."""


class Standing(Event):
    """How a customer stands to the desks, whole. The customer stage sends it whenever any of it changes.

    ``number`` runs per customer. ``answered`` is the number of the latest step of this pool that the customer knows:
    what a standing says of the manager is older than any later step. ``desk`` is the one that owns the customer, if
    any; ``contacted_ms`` the time of the latest conversation with a person of the bank, ``spoken_ms`` of that with the
    manager. With ``left`` the customer belongs to another pool now.
    """

    record_type: ClassVar[str] = "standing"

    pool: Identifier
    customer_id: Identifier
    number: Sequence
    answered: Sequence
    desk: Desk | None = None
    manager_id: Identifier | None = None
    contacted_ms: Milliseconds | None = None
    spoken_ms: Milliseconds | None = None
    left: Flag = False


class DeskManager(Event):
    """A manager as the pool of a branch knows it. One that moved to another branch is no longer ``active`` here."""

    record_type: ClassVar[str] = "desk_manager"

    pool: Identifier
    manager_id: Identifier
    sequence: Sequence
    desk: Desk
    capacity: Count
    active: Flag


class DeskAnswer(Event):
    """A person's answer to a handover that waits for approval. ``handover_id`` is that of the action that asked."""

    record_type: ClassVar[str] = "desk_answer"

    branch_id: Identifier
    customer_id: Identifier
    handover_id: Identifier
    answer: Literal["approved", "rejected"]


class DeskStep(Event):
    """What a desk did with a customer: the customer's own events, which triggers may wake on.

    ``assigned``: a manager for who had none. ``handed_over``: the manager of a higher desk takes over, the former one
    says so. ``call``: the new manager is to call. ``recalled``: taken from a manager who neglected
    the customer. ``number`` runs per customer and pool.
    """

    record_type: ClassVar[str] = "desk"

    customer_id: Identifier
    pool: Identifier
    number: Sequence
    step: Literal["assigned", "handed_over", "call", "recalled"]
    desk: Desk
    manager_id: Identifier
    former_manager_id: Identifier | None = None


class DeskReport(Record):
    """What the bank should know of a manager: more customers than allowed, or how the last period went."""

    record_type: ClassVar[str] = "desk_report"

    report_id: Identifier
    ruleset: Identifier
    kind: Literal["overload", "evaluation"]
    pool: Identifier
    desk: Desk
    manager_id: Identifier
    customers: Count
    capacity: Count
    neglected: Annotated[Count, Field(description="customers without a conversation for longer than promised")] = 0
    recalled: Annotated[Count, Field(description="customers taken away for that since the last evaluation")] = 0
    reported_at: EventTime
