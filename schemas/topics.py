"""The registry of topics: what each carries, how it is keyed, who owns, fills and reads it, how long it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record
from schemas.dead_letter import DeadLetter
from schemas.decisions import Decision
from schemas.desk import DeskAnswer, DeskManager, DeskReport, DeskStep, Standing
from schemas.events import (
    Behaviour,
    ChannelBehaviour,
    CustomerMerge,
    Feedback,
    IdentityLink,
    Manager,
    Maturity,
    Profile,
    Transaction,
)
from schemas.identity import IdentityDecision, IdentityMember, IdentityRedirect
from schemas.journal import RecordBatch, TimerBatch
from schemas.rulesets import RuleSetDocument

_DAY_MS: Final = 86_400_000
_MAX_VALUE_BYTES: Final = 1_048_588


PARTITIONS: Final = 8
"""How many partitions every topic has, unless a bank sets another number: the same one for all of them.

A customer's actions go to the partition number of its events, and one worker owns that number of every topic.
"""


StageName = Literal["customer", "identity", "manager", "desk"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. ``key`` names the fields, joined by ``:``, that are the message key.

    ``stage`` is the stage that consumes it, if one does.
    """

    name: str
    models: tuple[type[Record], ...]
    key: tuple[str, ...]
    direction: Literal["inbound", "outbound", "internal"]
    owner: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    about: str
    retention_ms: int
    stage: StageName | None = None
    cleanup_policy: Literal["delete", "compact"] = "delete"
    max_message_bytes: int = _MAX_VALUE_BYTES
    partitions: int = PARTITIONS


def _inbound(
    name: str,
    model: type[Record],
    owner: str,
    about: str,
    *,
    key: tuple[str, ...] = ("customer_id",),
    stage: StageName = "customer",
    producers: tuple[str, ...] = (),
) -> Topic:
    return Topic(
        name=name,
        models=(model,),
        key=key,
        direction="inbound",
        owner=owner,
        producers=(owner, *producers),
        consumers=("trigger-system",),
        about=about,
        # Two weeks: twice the lateness allowed by default, so that a restored state finds what it must read again.
        retention_ms=14 * _DAY_MS,
        stage=stage,
    )


def _between(
    name: str,
    model: type[Record],
    about: str,
    *,
    key: tuple[str, ...],
    stage: StageName,
    consumers: tuple[str, ...] = (),
) -> Topic:
    """What a stage tells another, or itself under another key."""
    return Topic(
        name=name,
        models=(model,),
        key=key,
        direction="internal",
        owner="trigger-system",
        producers=("trigger-system",),
        consumers=("trigger-system", *consumers),
        about=about,
        retention_ms=14 * _DAY_MS,
        stage=stage,
    )


def _queue(channel: str, consumer: str) -> Topic:
    return Topic(
        name=f"outreach.{channel}",
        models=(NextBestAction, Cancellation),
        key=("customer_id",),
        direction="outbound",
        owner="trigger-system",
        producers=("trigger-system",),
        consumers=(consumer,),
        about=f"Actions for {consumer}, and withdrawals of them.",
        retention_ms=7 * _DAY_MS,
    )


DECISIONS: Final = "outreach.decisions"
DESK_REPORTS: Final = "desk.reports"
BEHAVIOUR: Final = "bank.behaviour"
IDENTITY_MEMBERS: Final = "identity.members"
IDENTITY_REDIRECTS: Final = "identity.redirects"
IDENTITY_DECISIONS: Final = "identity.decisions"
JOURNAL_TOPIC: Final = "outreach.journal"
RULESETS: Final = "outreach.rulesets"
DEAD_LETTERS: Final = "bank.dead-letters"

TOPICS: Final[tuple[Topic, ...]] = (
    _inbound("bank.transactions", Transaction, "core-banking", "Booked movements on accounts."),
    _inbound("bank.maturities", Maturity, "product-system", "Holdings with a due date, and what happens to them."),
    _inbound("bank.profiles", Profile, "crm", "What the bank knows of a customer."),
    _inbound(
        BEHAVIOUR,
        Behaviour,
        "digital-channels",
        "What customers do on the bank's channels.",
        # What was done under a channel's own id, once its customer is known.
        producers=("trigger-system",),
    ),
    _inbound("bank.feedback", Feedback, "notifiers", "What became of an action."),
    _inbound(
        "bank.identity-links",
        IdentityLink,
        "crm",
        "Which customer a channel's own id belongs to.",
        key=("source", "source_user_id"),
        stage="identity",
    ),
    _inbound(
        "bank.channel-behaviour",
        ChannelBehaviour,
        "digital-channels",
        "What is done on channels that know only an id of their own.",
        key=("source", "source_user_id"),
        stage="identity",
    ),
    _inbound(
        "bank.customer-merges",
        CustomerMerge,
        "crm",
        "Which customers turned out to be one, and which ids were replaced.",
        stage="identity",
    ),
    _between(
        IDENTITY_MEMBERS,
        IdentityMember,
        "Which ids of channels a customer has had, so that a merge reaches them.",
        key=("customer_id",),
        stage="identity",
    ),
    _between(
        IDENTITY_REDIRECTS,
        IdentityRedirect,
        "Merges, as each id of a channel that they concern must know them.",
        key=("source", "source_user_id"),
        stage="identity",
    ),
    _inbound("bank.managers", Manager, "crm", "Relationship managers.", key=("manager_id",), stage="manager"),
    _inbound(
        "bank.desk-answers",
        DeskAnswer,
        "manager-desk",
        "What people answer to handovers.",
        key=("branch_id",),
        stage="desk",
    ),
    _between("desk.managers", DeskManager, "Managers, by their branch's pool.", key=("pool",), stage="desk"),
    _between("desk.standings", Standing, "How customers stand to the desks.", key=("pool",), stage="desk"),
    _between(
        "desk.steps",
        DeskStep,
        "What desks did with customers.",
        key=("customer_id",),
        stage="customer",
        consumers=("crm",),
    ),
    _queue("push", "push-notifier"),
    _queue("sms", "sms-notifier"),
    _queue("wechat", "wechat-notifier"),
    _queue("email", "email-notifier"),
    _queue("manager", "manager-desk"),
    _queue("agent", "remote-agents"),
    _queue("branch", "branches"),
    Topic(
        name=DECISIONS,
        models=(Decision,),
        key=("customer_id",),
        direction="outbound",
        owner="trigger-system",
        producers=("trigger-system",),
        consumers=("compliance", "analytics"),
        about="Why each candidate was sent or not.",
        # Proof of why a customer was contacted is asked for months later.
        retention_ms=400 * _DAY_MS,
    ),
    Topic(
        name=DESK_REPORTS,
        models=(DeskReport,),
        key=("manager_id",),
        direction="outbound",
        owner="trigger-system",
        producers=("trigger-system",),
        consumers=("branches", "analytics"),
        about="Managers with more customers than allowed, and how each period went.",
        retention_ms=400 * _DAY_MS,
    ),
    Topic(
        name=IDENTITY_DECISIONS,
        models=(IdentityDecision,),
        key=("identity",),
        direction="outbound",
        owner="trigger-system",
        producers=("trigger-system",),
        consumers=("compliance", "analytics"),
        about="Whom an id of a channel belonged to from when on, what was merged, and what found no customer.",
        # As the decisions: it tells whose behaviour was counted for whom.
        retention_ms=400 * _DAY_MS,
    ),
    Topic(
        name=JOURNAL_TOPIC,
        models=(RecordBatch, TimerBatch),
        key=("partition",),
        direction="internal",
        owner="trigger-system",
        producers=("trigger-system",),
        consumers=("trigger-system",),
        about="Which batches were run, in which order.",
        retention_ms=14 * _DAY_MS,
    ),
    Topic(
        name=RULESETS,
        models=(RuleSetDocument,),
        key=("ruleset",),
        direction="internal",
        owner="trigger-system",
        producers=("trigger-system",),
        consumers=("trigger-system",),
        about="Every rule set that a worker ran, by its hash: what the journal's batches were run under.",
        # Compacted: the last message of each hash stays.
        retention_ms=400 * _DAY_MS,
        cleanup_policy="compact",
        max_message_bytes=16 * 1024 * 1024,
    ),
    Topic(
        name=DEAD_LETTERS,
        models=(DeadLetter,),
        key=(),
        direction="outbound",
        owner="trigger-system",
        producers=("trigger-system",),
        consumers=("operator",),
        about="Records that could not be read or may not take effect: original bytes, the why in a header. "
        "What an operator did about one stands behind it, in a header too.",
        retention_ms=90 * _DAY_MS,
        # A value that was too large on the way in must still fit on the way out, with its header.
        max_message_bytes=16 * 1024 * 1024,
    ),
)

TOPIC: Final[dict[str, Topic]] = {topic.name: topic for topic in TOPICS}
INBOUND: Final = tuple(topic for topic in TOPICS if topic.direction == "inbound")
"""What other systems publish."""
CONSUMED: Final = tuple(topic for topic in TOPICS if topic.stage is not None)
"""What a stage reads: what is inbound, and what stages tell each other."""


def queue_of(channel: str) -> str:
    """The outreach queue of a channel."""
    return f"outreach.{channel}"


def placed_by_key(topic: str) -> bool:
    """Whether a record that a stage sends goes to the partition of its key, as a publisher's would.

    It does where a stage reads it. All else goes to the partition number of what caused it.
    """
    known = TOPIC.get(topic)
    return known is not None and known.stage is not None
