"""What comes in: the records that core banking, product, customer and channel systems publish."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.base import (
    CalendarDate,
    Count,
    Currency,
    Event,
    Flag,
    Identifier,
    Money,
    PositiveMoney,
    Rate,
    Sequence,
    ShortText,
)

Channel = Literal["push", "sms", "wechat", "email", "manager", "agent", "branch"]
"""Where the bank speaks to a customer: the app's push, SMS, WeChat, e-mail, the manager's desk, an agent, a branch."""

DESK_CHANNELS: Final[frozenset[Channel]] = frozenset({"manager", "agent", "branch"})
"""Of these the ones where people speak to the customer."""

Tier = Literal["potential", "effective", "mid", "high", "private"]

Desk = Literal["counter", "vip", "private", "remote"]
"""Who looks after customers: the counter's wealth managers, the VIP managers, private banking, the remote agents."""

IdentitySource = Literal["web", "app", "wechat", "mini_program", "third_party"]
"""Where a customer has an id that is not the bank's own."""

BehaviourAction = Literal["login", "browse", "search", "like", "comment", "share", "apply"]

TransactionKind = Literal[
    "salary",
    "pension",
    "card",
    "cash",
    "transfer",
    "payment",
    "fee",
    "interest",
    "penalty_interest",
    "insurance",
    "household",
    "loan_payment",
    "purchase",
    "redemption",
    "other",
]


class Transaction(Event):
    """A booked movement on one account.

    ``balance_after`` is the account's booked balance after it. Of two transactions of an account the one with
    the higher ``sequence`` was booked later, in whatever order they arrive. ``reversal_of`` names the event that
    this one undoes as a whole. ``own_account`` marks one leg of a transfer between the customer's own accounts;
    when both legs carry the same ``transfer_id`` the money is never missing in between. The kinds ``purchase`` and
    ``redemption`` are money that goes into a product of the customer's own, or comes out of it.
    """

    record_type: ClassVar[str] = "transaction"

    customer_id: Identifier
    account_id: Identifier
    sequence: Sequence
    direction: Literal["credit", "debit"]
    amount: PositiveMoney
    currency: Currency
    balance_after: Money
    kind: TransactionKind = "other"
    channel: Literal["branch", "atm", "pos", "online", "mobile", "phone", "other"] | None = None
    own_account: Flag = False
    transfer_id: Identifier | None = None
    reversal_of: Identifier | None = None
    merchant: ShortText | None = None


class Maturity(Event):
    """What happened to one holding: a product of a customer that falls due on a day.

    ``sequence`` runs per holding; a record not above the highest seen says nothing new. ``corrected`` restates
    the holding whole. ``matures_on`` is a day in the bank's time zone.
    """

    record_type: ClassVar[str] = "maturity"

    customer_id: Identifier
    account_id: Identifier | None = None
    holding_id: Identifier
    sequence: Sequence
    status: Literal["purchased", "corrected", "redeemed", "rolled_over", "matured"]
    product_id: Identifier
    product_kind: Literal["deposit", "wealth", "fund", "bond", "insurance", "loan"]
    amount: PositiveMoney
    currency: Currency
    term_days: Count
    expected_yield: Rate | None = None
    purchased_on: CalendarDate
    matures_on: CalendarDate

    @model_validator(mode="after")
    def _due_after_purchase(self) -> Maturity:
        if self.matures_on < self.purchased_on:
            raise PydanticCustomError("contradiction", "matures_on is before purchased_on")
        return self


class Profile(Event):
    """What the bank knows of a customer, whole: a field left out is unknown.

    ``sequence`` runs per customer; an older profile never replaces a newer one. It carries no name, phone or
    address: the notifier resolves those by ``customer_id``. ``exclusion_list`` is the version of the bank's exclusion
    lists that ``blacklisted`` and ``employee`` are taken from; ``exclusion_confirmed`` says whether the customer's
    branch has confirmed that version as complete.
    """

    record_type: ClassVar[str] = "profile"

    customer_id: Identifier
    sequence: Sequence
    tier: Tier | None = None
    birth_date: CalendarDate | None = None
    sex: Literal["female", "male"] | None = None
    district: ShortText | None = None
    branch_id: Identifier | None = None
    manager_id: Identifier | None = None
    segments: Annotated[tuple[Identifier, ...], Field(max_length=32)] = ()
    employee: Flag | None = None
    blacklisted: Flag | None = None
    consents: dict[Channel, Flag] = Field(default_factory=dict)
    app_user: Flag | None = None
    mobile_valid: Flag | None = None
    mobile_pay_user: Flag | None = None
    online_wealth_user: Flag | None = None
    branch_visits_per_month: Count | None = None
    completeness: Rate | None = None
    wealth_elsewhere: PositiveMoney | None = None
    exclusion_list: Count | None = None
    exclusion_confirmed: Flag | None = None


class IdentityLink(Event):
    """Which customer an id of a channel belongs to. Without ``customer_id`` the link is dissolved."""

    record_type: ClassVar[str] = "identity_link"

    source: IdentitySource
    source_user_id: Identifier
    sequence: Sequence
    customer_id: Identifier | None = None


class CustomerMerge(Event):
    """From its time on a customer is another one: two records of the bank were one person, or an id was replaced.

    Without ``merged_into`` the customer stands for itself again. ``sequence`` runs per ``customer_id``.
    """

    record_type: ClassVar[str] = "customer_merge"

    customer_id: Identifier
    sequence: Sequence
    merged_into: Identifier | None = None

    @model_validator(mode="after")
    def _into_another(self) -> CustomerMerge:
        if self.merged_into == self.customer_id:
            raise PydanticCustomError("contradiction", "merged_into is the customer itself")
        return self


class Behaviour(Event):
    """Something a customer did on a channel."""

    record_type: ClassVar[str] = "behaviour"

    customer_id: Identifier
    action: BehaviourAction
    source: Literal["web", "app", "wechat", "mini_program", "third_party", "branch"]
    product_id: Identifier | None = None
    page: ShortText | None = None
    seconds: Count | None = None


class ChannelBehaviour(Event):
    """Something done on a channel that knows only an id of its own. The identity stage finds the customer."""

    record_type: ClassVar[str] = "channel_behaviour"

    source: IdentitySource
    source_user_id: Identifier
    action: BehaviourAction
    product_id: Identifier | None = None
    page: ShortText | None = None
    seconds: Count | None = None


class Feedback(Event):
    """What became of an action: sent by the notifier of its channel.

    People who spoke with the customer of their own accord have no action to name: they send an id of their own behind
    ``talk:``.
    """

    record_type: ClassVar[str] = "feedback"

    customer_id: Identifier
    action_id: Identifier
    channel: Channel
    outcome: Literal["delivered", "opened", "clicked", "answered", "refused", "bought", "failed"]


class Manager(Event):
    """A relationship manager or desk, whole."""

    record_type: ClassVar[str] = "manager"

    manager_id: Identifier
    sequence: Sequence
    desk: Desk
    branch_id: Identifier | None = None
    capacity: Count = 1000
    active: Flag = True


CustomerEvent = Transaction | Maturity | Profile | Behaviour | Feedback
"""The events keyed by customer: everything the customer stage consumes."""
