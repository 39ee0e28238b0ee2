"""Payroll retention (R37): of the customers whose salary arrives here, who comes back, and how much money stays.

By month of the bank's time zone:

* *came back*: of the customers with a salary in the month, how many had one in the next month too. Known once the next
  month is over.
* *kept*: of the money of the month's salaries, how much of it was still on the account ``days`` days after payday. Of
  one salary that is the account's balance then, less its balance before the salary, at least nothing and at most the
  salary. Only salaries whose days are over count.

Salaries that were reversed do not count, nor those in another currency than the bank's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from schemas.base import from_ms, to_ms
from triggers.casework.funnel import in_range

DAY_MS = 86_400_000


@dataclass(slots=True)
class Month:
    """One month's salaries. ``kept`` is of ``paid``, the amounts whose days are over; ``salaries`` are all."""

    customers: int = 0
    came_back: int = 0
    salaries: int = 0
    paid: Decimal = Decimal(0)
    kept: Decimal = Decimal(0)


@dataclass(slots=True)
class Payroll:
    """The sums by month (``2026-03``), over customers in any order. ``until_ms`` is how far the records reach."""

    zone: ZoneInfo
    currency: str
    days: int
    until_ms: int
    since_ms: int | None = None
    months: dict[str, Month] = field(default_factory=dict)
    other_currencies: int = 0
    """Salaries in them, which are left out."""

    def add_customer(self, transactions: Iterable[Any]) -> None:
        """Adds a customer's transactions, in any order; one that stands twice counts once."""
        known = {one.event_id: one for one in transactions if to_ms(one.occurred_at) <= self.until_ms}
        reversed_ = {one.reversal_of for one in known.values() if one.reversal_of is not None}
        accounts: dict[str, list[Any]] = {}
        for one in known.values():
            accounts.setdefault(one.account_id, []).append(one)
        for booked in accounts.values():
            booked.sort(key=lambda one: one.sequence)
        paid_in: set[str] = set()
        counted: set[str] = set()
        for one in known.values():
            if one.kind != "salary" or one.direction != "credit" or one.event_id in reversed_:
                continue
            if one.currency != self.currency:
                self.other_currencies += in_range(to_ms(one.occurred_at), self.since_ms, self.until_ms)
                continue
            paid_in.add(self._month_of(one))
            if in_range(to_ms(one.occurred_at), self.since_ms, self.until_ms):
                counted.add(self._month_of(one))
                self._add(one, accounts[one.account_id])
        for name in counted:
            month = self.months[name]
            month.customers += 1
            month.came_back += following(name) in paid_in

    def next_is_over(self, name: str) -> bool:
        """Whether the records reach to the end of the month after this one."""
        return f"{from_ms(self.until_ms + 1).astimezone(self.zone):%Y-%m}" > following(name)

    def _add(self, salary: Any, booked: list[Any]) -> None:
        month = self.months.setdefault(self._month_of(salary), Month())
        month.salaries += 1
        due = to_ms(salary.occurred_at) + self.days * DAY_MS
        if due > self.until_ms:
            return
        balance = next(one.balance_after for one in reversed(booked) if to_ms(one.occurred_at) <= due)
        stayed = balance - (salary.balance_after - salary.amount)
        month.paid += salary.amount
        month.kept += min(max(stayed, Decimal(0)), salary.amount)

    def _month_of(self, salary: Any) -> str:
        return f"{salary.occurred_at.astimezone(self.zone):%Y-%m}"


def following(month: str) -> str:
    """The month after one."""
    year, number = map(int, month.split("-"))
    return f"{date(year + number // 12, number % 12 + 1, 1):%Y-%m}"
