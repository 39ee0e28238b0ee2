"""What is done under ids of channels: before and after they are linked, moved to another customer, or merged with one.

Who does so has one id and no other behaviour, so that nothing of theirs comes late by the way it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import Final

from schemas.base import Event
from schemas.events import ChannelBehaviour, CustomerMerge, IdentityLink
from streams.simulator.customers import Customer
from streams.simulator.records import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, BankRecord, bank_record, moment

_EVERY: Final = 6
_SOURCES: Final = ("web", "wechat", "mini_program", "third_party")
_ACTIONS: Final = ("browse", "browse", "search", "login", "like")


def has_own_id(customer: Customer) -> bool:
    """Whether all that this customer does on channels comes under an id of a channel."""
    return customer.number % _EVERY == _EVERY - 1


def anonymous(
    customers: Sequence[Customer], days: int, tenant: str, random: Random, next_id: Callable[[], str]
) -> Iterator[BankRecord]:
    """The stories of those customers, one after the other: links, merges and behaviour."""
    mine = iter([customer.id for customer in customers if has_own_id(customer)])
    numbers = count(1)
    while True:
        for tell, needed in _STORIES:
            whose = [next(mine, None) for _ in range(needed)]
            names = [name for name in whose if name is not None]
            if len(names) < needed:
                return
            number = next(numbers)
            user = _User(_SOURCES[number % len(_SOURCES)], f"u-{number}", tenant, random, next_id)
            yield from tell(user, names, max(days, 10))


def whose_it_is(records: Iterable[BankRecord]) -> dict[str, tuple[frozenset[str], int]]:
    """What was done under ids of channels (``source:id:event``): who it can have been, and when. Nobody: no one."""
    return {
        f"{(record.key or b'').decode()}:{record.event_id}": (record.whose, record.occurred_ms)
        for record in records
        if record.whose is not None
    }


class _User:
    """Somebody with an id on a channel."""

    def __init__(self, source: str, name: str, tenant: str, random: Random, next_id: Callable[[], str]) -> None:
        self._id = {"source": source, "source_user_id": name}
        self._tenant = tenant
        self._random = random
        self._next_id = next_id
        self._sequence = count(1)

    def moment(self, first_day: float, last_day: float) -> int:
        """A moment between two days."""
        return START_MS + self._random.randrange(int(first_day * DAY_MS), int(last_day * DAY_MS))

    def link(self, customer_id: str | None, at_ms: int) -> BankRecord:
        """The id is this customer's from now on."""
        body = {**self._head(at_ms), **self._id, "sequence": next(self._sequence), "customer_id": customer_id}
        return bank_record("bank.identity-links", IdentityLink.model_validate(body), at_ms)

    def act(self, times: Iterable[int], *whose: str) -> Iterator[BankRecord]:
        """Does something at each of these times; it can have been one of these customers."""
        for at_ms in sorted(times):
            body = {**self._head(at_ms), **self._id, "action": self._random.choice(_ACTIONS), "page": "wealth"}
            event: Event = ChannelBehaviour.model_validate(body)
            record = bank_record("bank.channel-behaviour", event, at_ms + self._random.randrange(MINUTE_MS))
            yield replace(record, whose=frozenset(whose))

    def merge(self, customer_id: str, into: str, at_ms: int) -> BankRecord:
        """The customer turns out to be another one."""
        body = {**self._head(at_ms), "customer_id": customer_id, "sequence": 1, "merged_into": into}
        return bank_record("bank.customer-merges", CustomerMerge.model_validate(body), at_ms)

    def several(self, first_day: float, last_day: float) -> list[int]:
        """Some moments between two days."""
        return [self.moment(first_day, last_day) for _ in range(self._random.randrange(3, 7))]

    def _head(self, at_ms: int) -> dict[str, object]:
        return {"tenant": self._tenant, "event_id": self._next_id(), "occurred_at": moment(at_ms)}


def _known(user: _User, names: list[str], days: int) -> Iterator[BankRecord]:
    yield user.link(names[0], START_MS)
    yield from user.act(user.several(0.1, days), names[0])


def _links_later(user: _User, names: list[str], days: int) -> Iterator[BankRecord]:
    """Looks around, then logs on; and again weeks later."""
    logs_on = user.moment(1, days / 2)
    yield from user.act([logs_on - 3 * HOUR_MS + step * HOUR_MS for step in range(3)], names[0])
    yield user.link(names[0], logs_on)
    yield from user.act(user.several(days / 2 + 1, days), names[0])


def _moves(user: _User, names: list[str], days: int) -> Iterator[BankRecord]:
    """The phone is handed on. What comes before its new link has been read can still be counted for the old owner."""
    handed_on = START_MS + days * DAY_MS // 2
    yield user.link(names[0], START_MS)
    yield from user.act(user.several(0.1, days / 2), names[0])
    yield user.link(names[1], handed_on)
    yield from user.act(user.several(days / 2 + 1, days), *names)


def _merges(user: _User, names: list[str], days: int) -> Iterator[BankRecord]:
    """Two customers are one person. What comes before that has been read can still be counted for the first."""
    yield user.link(names[0], START_MS)
    yield from user.act(user.several(0.1, days / 2), names[0])
    yield user.merge(names[0], names[1], START_MS + days * DAY_MS // 2)
    yield from user.act(user.several(days / 2 + 1, days), *names)


def _never_known(user: _User, _names: list[str], days: int) -> Iterator[BankRecord]:
    yield from user.act(user.several(1, days))


_STORIES: Final[tuple[tuple[Callable[[_User, list[str], int], Iterator[BankRecord]], int], ...]] = (
    (_links_later, 1),
    (_known, 1),
    (_never_known, 0),
    (_moves, 2),
    (_merges, 2),
)
"""Each with how many customers it takes."""
