"""The simulated bank: some months of a few hundred customers as the messages of its systems, in order of arrival.

The same plan gives the same bytes. Sequence and balances follow the order in which things were booked; the messages
come in the order of their arrival, which differs: late records, duplicates, reversals, records that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Final

from schemas.dead_letter import Reason
from schemas.events import IdentityLink
from streams.simulator.customers import (
    STORIES,
    Customer,
    about_nothing,
    engage,
    open_customer,
    spend,
    visit,
)
from streams.simulator.desks import managers
from streams.simulator.holdings import hold
from streams.simulator.identities import anonymous, has_own_id
from streams.simulator.ledger import book
from streams.simulator.profiles import tell_profile
from streams.simulator.records import DAY_MS, MINUTE_MS, START_MS, BankRecord, bank_record, moment
from streams.simulator.spoiled import KINDS, spoil

_PER_CUSTOMER: Final = 60
_LATENESS_MS: Final = 7 * DAY_MS
"""The lateness rule of the policy that ships."""


@dataclass(frozen=True, slots=True)
class BankPlan:
    """What to simulate: about ``events`` messages over ``days`` simulated days.

    Below a thousand events or 100 days some stories have no room: a customer is dormant after 90 days.
    """

    events: int = 20_000
    days: int = 120
    seed: int = 1
    tenant: str = "bank"


def simulate_bank(plan: BankPlan) -> list[BankRecord]:
    """The messages in the order of their arrival. Those due at the start (profiles, managers) come first."""
    random = Random(plan.seed)  # noqa: S311 - a simulation has to be repeatable, not secret
    numbers = count(1)

    def next_id() -> str:
        return f"e{next(numbers):07d}"

    how_many = max(len(STORIES), plan.events // _PER_CUSTOMER)
    customers = [open_customer(number, plan.days, random) for number in range(how_many)]
    others = list(_other_records(plan, customers, random, next_id))
    names = [customer.id for customer in customers]
    spoiled = list(spoil(names, max(KINDS, plan.events // 500), plan.days, plan.tenant, random, next_id))
    duplicates = plan.events // 50
    booked = sum(len(customer.books.movements) for customer in customers)
    spenders = [customer for customer in customers if customer.last_day > 0]
    for _ in range(plan.events - booked - len(others) - len(spoiled) - duplicates):
        spend(random.choice(spenders), random)
    transactions: list[BankRecord] = []
    for customer in customers:
        of_customer = list(book(customer.books, plan.tenant, random, next_id))
        if len(customer.books.opening) == 1 and customer.number % 20 == 1:
            _come_too_late(of_customer, random)
        transactions += of_customer
    good = [record for record in transactions + others if record.reason is None]
    repeats = [_repeat(record, random) for record in random.sample(good, k=min(duplicates, len(good)))]
    return sorted(transactions + others + spoiled + repeats, key=lambda record: record.at_ms)


def _other_records(
    plan: BankPlan, customers: list[Customer], random: Random, next_id: Callable[[], str]
) -> Iterator[BankRecord]:
    """Everything but the transactions."""
    yield from managers(plan.tenant, next_id)
    for customer in customers:
        yield from tell_profile(customer, plan.days, plan.tenant, random, next_id)
        if customer.story == "saver" or random.random() < 0.25:
            yield from hold(customer, random.randrange(1, 4), plan.days, plan.tenant, random, next_id)
        if random.random() < 0.3:
            yield _link(customer, plan.tenant, next_id())
        done = [visit(customer, plan.days, plan.tenant, random, next_id) for _ in range(random.randrange(8))]
        if random.random() < 0.15:
            done += engage(customer, plan.days, plan.tenant, random, next_id)
        if not has_own_id(customer):
            yield from done
        if random.random() < 0.05:
            for _ in range(3):
                yield about_nothing(customer, plan.days, plan.tenant, random, next_id)
    # With a chance of its own: the others' stories stay as they are.
    yield from anonymous(customers, plan.days, plan.tenant, Random(plan.seed), next_id)  # noqa: S311


def _link(customer: Customer, tenant: str, event_id: str) -> BankRecord:
    link = IdentityLink.model_validate(
        {
            "tenant": tenant,
            "event_id": event_id,
            "occurred_at": moment(START_MS),
            "source": "app",
            "source_user_id": f"app-{customer.number}",
            "sequence": 1,
            "customer_id": customer.id,
        }
    )
    return bank_record("bank.identity-links", link, START_MS)


def _come_too_late(records: list[BankRecord], random: Random) -> None:
    """Lets one transaction of a customer with one account come when it can no longer be told from a repeat.

    ``records`` are all transactions of the customer in the order of their sequence.
    """
    involved = {record.reverses for record in records if record.reverses}
    places = [
        (early, later)
        for early, record in enumerate(records)
        if record.event_id not in involved and record.reverses is None
        for later in range(early + 1, len(records))
        if records[later].occurred_ms > record.occurred_ms + _LATENESS_MS + DAY_MS
    ]
    if places:
        early, later = random.choice(places)
        records[early] = replace(
            records[early], at_ms=records[later].at_ms + MINUTE_MS, what="spoiled", reason=Reason.TOO_LATE
        )


def _repeat(record: BankRecord, random: Random) -> BankRecord:
    """The same message once more, within a day."""
    return replace(record, at_ms=record.at_ms + random.randrange(1_000, DAY_MS), what="duplicate")
