"""What the identity stage records of ids and customers, and what it tells itself under another key."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.base import Event, EventTime, Identifier, Occasion, Record, Sequence, ShortText
from schemas.events import IdentitySource


class IdentityDecision(Record):
    """What became of a link, a merge or a behaviour that was held, and whom it concerns.

    ``identity`` is the channel's own id (``wechat:oX3f``) or, where a customer was merged, ``customer:C0000123``.
    ``customer_id`` is who counts from ``effective_at`` on, ``previous_customer_id`` who did until then. ``caused_by``
    is the event of the link, of the merge, or the behaviour itself.

    ``linked``, ``moved`` and ``unlinked`` are links that hold, ``merged`` and ``unmerged`` merges that do.
    ``superseded`` is a link or a merge that a newer one had already replaced when it came. ``expired`` is a behaviour
    whose link did not come in time, ``forgotten`` an id that no later merge of the customer will reach.
    """

    record_type: ClassVar[str] = "identity_decision"

    decision_id: Identifier
    identity: Occasion
    outcome: Literal["linked", "moved", "unlinked", "merged", "unmerged", "superseded", "expired", "forgotten"]
    caused_by: Identifier
    customer_id: Identifier | None = None
    previous_customer_id: Identifier | None = None
    effective_at: EventTime
    detail: dict[str, ShortText] = Field(default_factory=dict)
    decided_at: EventTime


class IdentityMember(Event):
    """Tells a customer of an id that was linked to it. ``event_id`` and time are the link's or the merge's."""

    record_type: ClassVar[str] = "identity_member"

    customer_id: Identifier
    source: IdentitySource
    source_user_id: Identifier


class IdentityRedirect(Event):
    """Tells an id of a channel of a merge of a customer it was linked to. ``event_id`` and time are the merge's."""

    record_type: ClassVar[str] = "identity_redirect"

    source: IdentitySource
    source_user_id: Identifier
    customer_id: Identifier
    sequence: Sequence
    merged_into: Identifier | None = None
