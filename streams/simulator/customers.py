"""The customers of the simulated bank: what happens to each over the months. Every shipped trigger has its story."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from schemas.dead_letter import Reason
from schemas.events import Behaviour, Feedback
from streams.simulator.ledger import Books
from streams.simulator.records import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, BankRecord, bank_record, moment

_MOST: Final = ("drop", "climb", "thin", "quiet", "inflow", "saver", "ordinary")
STORIES: Final = (*_MOST, "merchant", "pensioner", "small", *_MOST, "wealthy", "owner")
"""The customers' stories in turn: most are of the first seven."""
_WITHOUT_SALARY: Final = frozenset({"quiet", "thin", "climb", "merchant", "pensioner", "small", "owner"})
_PLATFORMS: Final = ("yuebao", "licaitong")
_PAGES: Final = ("deposits", "wealth", "loans", "transfers")


@dataclass(slots=True)
class Customer:
    """One customer under simulation. ``last_day`` is the last on which they still spend."""

    number: int
    story: str
    books: Books
    last_day: int

    @property
    def id(self) -> str:
        return self.books.customer_id


def open_customer(number: int, days: int, random: Random) -> Customer:
    """A customer whose story moves money over so many days."""
    story = STORIES[number % len(STORIES)]
    books = Books(f"C{number + 1:05d}", [0])
    customer = Customer(number, story, books, days)
    _TELL[story](customer, days, random)
    if story not in _WITHOUT_SALARY:
        _pay_salary(books, days, random)
    return customer


def visit(customer: Customer, days: int, tenant: str, random: Random, next_id: Callable[[], str]) -> BankRecord:
    """Something the customer does in the app."""
    at_ms = START_MS + random.randrange(days * DAY_MS)
    action = random.choice(("login", "browse", "browse", "search", "like", "apply"))
    return _behaviour(customer, action, at_ms, tenant, random, next_id)


def engage(
    customer: Customer, days: int, tenant: str, random: Random, next_id: Callable[[], str]
) -> Iterator[BankRecord]:
    """Some weeks in which the customer likes, comments on and shares what the bank shows."""
    first = _somewhere(days, 0.1, 0.8, random)
    for step in range(random.randrange(3, 6)):
        at_ms = _in_the_day(first + 3 * step, random)
        yield _behaviour(customer, random.choice(("like", "comment", "share")), at_ms, tenant, random, next_id)


def _behaviour(
    customer: Customer, action: str, at_ms: int, tenant: str, random: Random, next_id: Callable[[], str]
) -> BankRecord:
    behaviour = Behaviour.model_validate(
        {
            "tenant": tenant,
            "event_id": next_id(),
            "occurred_at": moment(at_ms),
            "customer_id": customer.id,
            "action": action,
            "source": random.choice(("app", "app", "web", "wechat", "mini_program", "branch")),
            "page": random.choice(_PAGES) if action in ("browse", "search") else None,
            "seconds": random.randrange(5, 300) if action == "browse" else None,
        }
    )
    return bank_record("bank.behaviour", behaviour, at_ms + random.randrange(MINUTE_MS))


def about_nothing(customer: Customer, days: int, tenant: str, random: Random, next_id: Callable[[], str]) -> BankRecord:
    """Another system reports a sale of its campaign: feedback on an action that this one never sent.

    It is set aside.
    """
    at_ms = START_MS + random.randrange(days * DAY_MS)
    feedback = Feedback.model_validate(
        {
            "tenant": tenant,
            "event_id": next_id(),
            "occurred_at": moment(at_ms),
            "customer_id": customer.id,
            "action_id": f"campaign-{customer.number}-{at_ms // DAY_MS}",
            "channel": "sms",
            "outcome": "bought",
        }
    )
    record = bank_record("bank.feedback", feedback, at_ms + random.randrange(MINUTE_MS))
    return replace(record, what="spoiled", reason=Reason.UNKNOWN_ACTION)


def spend(customer: Customer, random: Random) -> None:
    """A small payment on some day while the customer is active."""
    at_ms = _in_the_day(random.randrange(max(1, customer.last_day)), random)
    kind, channel = random.choice((("card", "pos"), ("card", "pos"), ("payment", "mobile"), ("household", "online")))
    # Some money goes to the online wealth platforms of others.
    merchant = random.choice(_PLATFORMS) if kind == "payment" and random.random() < 0.15 else None
    customer.books.move(at_ms, share=-random.uniform(0.0005, 0.006), kind=kind, channel=channel, merchant=merchant)


def _drop(customer: Customer, days: int, random: Random) -> None:
    """A wealthy customer takes half away within days; some of it only to an account of their own."""
    books = customer.books
    books.opening = [random.randrange(180_000_00, 700_000_00), 20_000_00]
    day = _somewhere(days, 0.15, 0.7, random)
    own = random.random() < 0.25
    for step in range(2):
        at_ms = _in_the_day(day + step, random)
        share = -random.uniform(0.22, 0.35)
        if own:
            transfer = f"{books.customer_id}-own-{step}"
            leg = books.move(at_ms, share=share, kind="transfer", channel="mobile", transfer_id=transfer)
            books.move(at_ms, account=1, kind="transfer", channel="mobile", transfer_id=transfer, mirrors=leg)
            continue
        taken = books.move(at_ms, share=share, kind="transfer", channel="mobile")
        if step and random.random() < 0.3:
            books.move(at_ms + _soon(random), kind="transfer", channel="other", reverses=taken)


def _climb(customer: Customer, days: int, random: Random) -> None:
    """Rises above 50,000 in small steps, falls well below, rises again."""
    books = customer.books
    books.opening = [random.randrange(30_000_00, 36_000_00)]
    first = _somewhere(days, 0.1, 0.4, random)
    for start in (first, first + max(3, days // 3)):
        for step in range(3):
            books.move(_in_the_day(start + step, random), 9_000_00, kind="payment", channel="online")
        books.move(_in_the_day(start + max(4, days // 8), random), -27_000_00, kind="payment", channel="mobile")


def _thin(customer: Customer, days: int, random: Random) -> None:
    """Falls below 10,000, recovers above 15,000, falls again; the last fall is sometimes a mistake of the bank's."""
    books = customer.books
    books.opening = [random.randrange(12_000_00, 14_000_00)]
    first = _somewhere(days, 0.1, 0.35, random)
    books.move(_in_the_day(first, random), -5_000_00, kind="cash", channel="atm")
    books.move(_in_the_day(first + max(1, days // 6), random), 11_000_00, kind="salary")
    fall = books.move(_in_the_day(first + max(2, days // 3), random), -10_000_00, kind="loan_payment")
    if random.random() < 0.4:
        books.move(fall.at_ms + _soon(random), kind="other", reverses=fall)


def _quiet(customer: Customer, days: int, random: Random) -> None:
    """Is not heard of after the first weeks; some come back in time."""
    books = customer.books
    books.opening = [random.randrange(2_000_00, 40_000_00)]
    customer.last_day = _somewhere(days, 0.02, 0.18, random)
    books.move(_in_the_day(customer.last_day, random), share=-0.02, kind="card", channel="pos")
    if random.random() < 0.3:
        books.move(_in_the_day(_somewhere(days, 0.5, 0.7, random), random), share=-0.01, kind="card", channel="pos")


def _inflow(customer: Customer, days: int, random: Random) -> None:
    """Large sums come in; some were sent by mistake and are taken back."""
    books = customer.books
    books.opening = [random.randrange(8_000_00, 120_000_00)]
    for begin, end in ((0.05, 0.3), (0.45, 0.6), (0.75, 0.95)):
        at_ms = _in_the_day(_somewhere(days, begin, end, random), random)
        sum_in = books.move(at_ms, random.randrange(21_000_00, 250_000_00), kind="transfer", channel="online")
        if random.random() < 0.4:
            books.move(at_ms + _soon(random), kind="transfer", channel="other", reverses=sum_in)
        else:
            books.move(at_ms + 3 * DAY_MS, share=-random.uniform(0.05, 0.2), kind="purchase", channel="mobile")


def _saver(customer: Customer, _days: int, random: Random) -> None:
    customer.books.opening = [random.randrange(20_000_00, 45_000_00)]


def _ordinary(customer: Customer, _days: int, random: Random) -> None:
    customer.books.opening = [random.randrange(16_000_00, 80_000_00)]


def _merchant(customer: Customer, days: int, random: Random) -> None:
    """Keeps far more on the account than the shop needs; takings come in week by week."""
    books = customer.books
    books.opening = [random.randrange(90_000_00, 260_000_00)]
    for day in range(random.randrange(1, 7), days, 7):
        books.move(_in_the_day(day, random), random.randrange(1_000_00, 6_000_00), kind="payment", channel="pos")
        spent = random.randrange(1_000_00, 5_000_00)
        books.move(_in_the_day(day + 1, random), -spent, kind="payment", channel="online")


def _pensioner(customer: Customer, days: int, random: Random) -> None:
    """Lives on a pension and keeps the savings of a working life."""
    books = customer.books
    books.opening = [random.randrange(15_000_00, 200_000_00)]
    cents = random.randrange(3_000_00, 7_000_00)
    for day in range(random.randrange(1, 28), days, 30):
        books.move(START_MS + day * DAY_MS + 8 * HOUR_MS, cents, kind="pension")
        books.move(_in_the_day(day + 3, random), -int(cents * 0.7), kind="cash", channel="branch")


def _small(customer: Customer, days: int, random: Random) -> None:
    """Has little, hardly pays by card, and comes near to 10,000 once."""
    books = customer.books
    customer.last_day = 0
    books.opening = [random.randrange(5_800_00, 6_900_00)]
    day = _somewhere(days, 0.2, 0.6, random)
    books.move(_in_the_day(day, random), 2_500_00, kind="cash", channel="branch")


def _wealthy(customer: Customer, days: int, random: Random) -> None:
    """Has much here and more elsewhere."""
    books = customer.books
    books.opening = [random.randrange(600_000_00, 1_500_000_00)]
    books.move(_in_the_day(_somewhere(days, 0.2, 0.8, random), random), share=-0.05, kind="purchase", channel="mobile")


def _owner(customer: Customer, days: int, random: Random) -> None:
    """Owns a firm and millions."""
    books = customer.books
    books.opening = [random.randrange(6_800_000_00, 12_000_000_00)]
    books.move(_in_the_day(_somewhere(days, 0.2, 0.8, random), random), share=0.02, kind="transfer", channel="online")


_TELL: Final[dict[str, Callable[[Customer, int, Random], None]]] = {
    "drop": _drop,
    "climb": _climb,
    "thin": _thin,
    "quiet": _quiet,
    "inflow": _inflow,
    "saver": _saver,
    "ordinary": _ordinary,
    "merchant": _merchant,
    "pensioner": _pensioner,
    "small": _small,
    "wealthy": _wealthy,
    "owner": _owner,
}


def _pay_salary(books: Books, days: int, random: Random) -> None:
    cents = random.randrange(6_000_00, 16_000_00)
    for day in range(random.randrange(1, 28), days, 30):
        paid = books.move(START_MS + day * DAY_MS + 9 * HOUR_MS, cents, kind="salary")
        # Rent and instalments take most of it back, or every balance would only rise.
        books.move(paid.at_ms + 2 * DAY_MS, -int(cents * 0.8), kind="household", channel="online")


def _somewhere(days: int, begin: float, end: float, random: Random) -> int:
    """A day within a part of the simulated time."""
    return int(days * random.uniform(begin, end))


def _in_the_day(day: int, random: Random) -> int:
    """A moment between 8 and 22 o'clock of a simulated day."""
    return START_MS + day * DAY_MS + random.randrange(8 * HOUR_MS, 22 * HOUR_MS)


def _soon(random: Random) -> int:
    """How long it takes until a mistake is found: minutes to most of a day."""
    return random.randrange(5 * MINUTE_MS, 20 * HOUR_MS)
