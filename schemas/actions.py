"""What goes out on an outreach queue: an action, or the withdrawal of one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter

from schemas.base import Count, EventTime, Identifier, Money, Occasion, Record, ShortText
from schemas.events import Channel, Desk

Titles = dict[Literal["en", "zh"], ShortText]
"""A text for people, by language."""


class NextBestAction(Record):
    """One contact to make with one customer on one channel, before it expires.

    ``action_id`` is a hash of tenant, customer, trigger, occasion and ladder step: the same action always has
    the same id and the same body, so a consumer that has seen the id drops the repeat.

    On the managers' channel ``desk`` is the one that owns the customer, and ``manager_id`` the customer's manager.

    On the queues of people (manager, agent, branch) ``title`` says in each language what brought the contact about,
    ``offer_title`` what is offered, and ``tag_titles`` what the customer's live tags say; all are empty elsewhere,
    where ``template`` says all.

    ``handoff`` tells whoever speaks with the customer what was tried before, oldest first: of each of the latest
    contacts ``at``, ``trigger``, ``offer``, ``channel`` and ``outcome`` (``none`` where nothing was heard of it,
    ``withdrawn`` where it was taken back). It is empty where a machine sends the message.
    """

    record_type: ClassVar[str] = "action"

    type: Literal["action"] = "action"
    action_id: Identifier
    customer_id: Identifier
    trigger: Identifier
    trigger_version: Count
    ruleset: Identifier
    occasion: Occasion
    step: Count
    channel: Channel
    offer: Identifier
    category: Identifier
    complexity: Literal["simple", "medium", "complex"]
    priority: Count
    value: Money | None = None
    title: Titles = Field(default_factory=dict)
    offer_title: Titles = Field(default_factory=dict)
    template: Identifier | None = None
    fields: dict[str, ShortText] = Field(default_factory=dict)
    handoff: tuple[dict[str, ShortText], ...] = ()
    tag_titles: tuple[Titles, ...] = ()
    created_at: EventTime
    expires_at: EventTime
    desk: Desk | None = None
    manager_id: Identifier | None = None


class Cancellation(Record):
    """Withdraws an action: on the queue that had it, in time or too late to matter."""

    record_type: ClassVar[str] = "cancellation"

    type: Literal["cancellation"] = "cancellation"
    action_id: Identifier
    customer_id: Identifier
    trigger: Identifier
    channel: Channel
    reason: Literal[
        "reversed",
        "corrected",
        "redeemed",
        "rolled_over",
        "opted_out",
        "excluded",
        "bought",
        "refused",
        "ended",
        "answered_late",
        "retired",
    ]
    caused_by: Identifier
    created_at: EventTime


Outreach = Annotated[NextBestAction | Cancellation, Field(discriminator="type")]
OUTREACH: TypeAdapter[NextBestAction | Cancellation] = TypeAdapter(Outreach)
"""Reads either record of an outreach queue."""
