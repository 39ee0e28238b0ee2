"""Two real banks' histories backtested, against the same questions asked in SQL of the raw files.

The SQL knows nothing of events, windows, timers or journeys: it is written from what each trigger's text says. Both
sides see the banks' own quirks, which are stated and counted here:

* Berka dates bookings to the day and lists a day's rows in no order. Each row has the balance after it, and of every
  day with several rows exactly one order makes each balance follow from the one before it (within 0.10, to which the
  bank rounds). That order is taken, a minute apart from 08:00 in Prague, as the mapping writes the times.
* Not every balance follows from the one before it (8 fees of Berka's last day; 171 steps of ANZ). A balance is what its
  row says, and what it was before is what the row before said; only before the first row it is that row's less its
  amount.
* ANZ has six pairs of rows in one second; in the file's order each second row follows from the first.

Each trigger runs alone, with no cap, so that what it says is all there is to it. A step of a ladder follows after its
time where the clock gets so far: to the newest row of the bank.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from streams.importer import import_files
from tests.support.bank_data import DATA, bank_folder
from triggers.language.loader import load_documents

ROOT = Path(__file__).parents[3]
HERE = ROOT / "tests" / "data"

Contact = tuple[str, datetime, str, Decimal | None]
"""Customer, time (UTC), channel, amount."""

BERKA = """
create table raw as
select 'client-' || client_id as customer, trans_id::int as id, account_id,
       strptime('19' || t.date, '%Y%m%d') as day,
       case t.type when 'PRIJEM' then 1 else -1 end * t.amount::decimal(18, 2) as signed,
       t.balance::decimal(18, 2) as balance
from read_csv('{data}/berka/trans.asc', delim = ';', header = true, all_varchar = true, encoding = 'latin-1') t
join read_csv('{data}/berka/disp.asc', delim = ';', header = true, all_varchar = true) d using (account_id)
where d.type = 'OWNER';

-- Every order of every day's rows, with the steps in it that do not follow.
create table orders as
with recursive tried as (
    select account_id, day, [id] as ids, balance, 0 as broken from raw
    union all
    select o.account_id, o.day, list_append(o.ids, r.id), r.balance,
           o.broken + (abs(r.balance - r.signed - o.balance) > 0.10)::int
    from tried o join raw r on r.account_id = o.account_id and r.day = o.day and not list_contains(o.ids, r.id)
)
select account_id, day, ids, broken from tried
where len(ids) = (select count(*) from raw r where r.account_id = tried.account_id and r.day = tried.day);

create table rows as
with placed as (
    select customer, signed, balance, null as kind,
           timezone('UTC', timezone('Europe/Prague',
               day + interval 8 hour + to_minutes(list_position(ids, id) - 1))) as booked
    from raw join orders using (account_id, day)
    where broken = 0
)
select *, row_number() over (partition by customer order by booked) as place from placed;

create table newest as
select greatest((select max(booked) from rows),
                (select max(timezone('UTC', timezone('Europe/Prague',
                        strptime('19' || date, '%Y%m%d') + interval 7 hour)))
                 from read_csv('{data}/berka/loan.asc', delim = ';', header = true, all_varchar = true))) as booked;
"""

ANZ = """
create table raw as
select row_number() over () as line, customer_id as customer, txn_description as kind,
       balance::decimal(18, 2) as balance,
       case movement when 'credit' then 1 else -1 end * amount::decimal(18, 2) as signed,
       timezone('UTC', extraction::timestamptz) as booked
from read_csv('{data}/anz/anz.csv', header = true, all_varchar = true);

create table rows as
select *, row_number() over (partition by customer order by booked, line) as place from raw;

create table newest as select max(booked) as booked from rows;
"""

STANDING = """
create table standing as
select customer, place, balance, lead(booked) over (partition by customer order by place) as until from rows
union all
select customer, 0, balance - signed, booked from rows where place = 1;

create table moves as
select customer, place, booked, signed, kind, balance,
       coalesce(lag(balance) over (partition by customer order by place), balance - signed) as before
from rows;
"""

# The greatest balance that stood at any moment of the seven days before, the one in force at their beginning included.
DROP = """
select m.customer, m.place, m.booked, peak - balance as amount from (
    select m.*, (select max(s.balance) from standing s
                 where s.customer = m.customer and s.place <= m.place
                   and (s.until is null or s.until > m.booked - interval 168 hour)) as peak
    from moves m
) m
where balance <= peak * 0.7 and peak - balance >= {least}
"""

# Of the times it was crossed, the first since the balance was last on the far side of the second mark.
CROSSED = """
select customer, place, booked, {amount} as amount from (
    select *, row_number() over (partition by customer, spell, crossed order by place) as nth from (
        select *, {crossed} as crossed,
               sum(({rearmed})::int) over (partition by customer order by place) as spell
        from moves
    )
)
where crossed and nth = 1
"""

# A gap between two rows, or after the last one to the newest of the bank.
SILENT = """
select customer, place, booked + interval {hours} hour as booked, null::decimal(18, 2) as amount from (
    select *, lead(booked) over (partition by customer order by place) as next from moves
)
where coalesce(next >= booked + interval {hours} hour, (select booked from newest) >= booked + interval {hours} hour)
  and balance >= {least}
"""

SALARY = """
select customer, place, booked, signed as amount from (
    select *, (select count(*) from moves e where e.customer = m.customer and e.kind = 'PAY/SALARY'
               and e.place <= m.place and e.booked > m.booked - interval 840 hour) as salaries
    from moves m where kind = 'PAY/SALARY' and signed > 0
)
where salaries >= 2
"""

# Each customer's occasions in turn: the next one counts that lies ``quiet`` hours or more after the last that counted.
QUIET = """
with recursive occasions as ({occasions}), counted as (
    select customer, min(booked) as booked from occasions group by customer
    union all
    select c.customer, (select min(o.booked) from occasions o
                        where o.customer = c.customer and o.booked >= c.booked + interval {quiet} hour)
    from counted c where c.booked is not null
)
select o.customer, o.booked, any_value(o.amount order by o.place) as amount
from occasions o join counted using (customer, booked) group by all
"""


def contacts_in_sql(bank: str, occasions: str, quiet: int | None, steps: dict[str, int]) -> list[Contact]:
    """What should have been sent: for each occasion that counts, each step of the ladder that the clock gets to."""
    database = database_of(bank)
    counted = occasions if quiet is None else QUIET.format(occasions=occasions, quiet=quiet)
    found: list[Contact] = []
    for channel, hours in steps.items():
        found += database.execute(
            f"select customer, booked + interval {hours} hour as sent, '{channel}', amount from ({counted}) "
            "where sent <= (select booked from newest)"
        ).fetchall()
    return sorted(found, key=str)


@cache
def database_of(bank: str) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    for text in ({"berka": BERKA, "anz": ANZ}[bank].format(data=DATA), STANDING):
        database.execute(text)
    return database


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A bank's event file, imported once."""
    folder = tmp_path_factory.mktemp("imported")

    def of_bank(bank: str) -> Path:
        data = bank_folder(bank)
        path = folder / f"{bank}.jsonl.gz"
        if not path.exists():
            assert import_files(HERE / "mappings" / f"{bank}.yaml", [str(data)], path).error_count == 0
        return path

    return of_bank


def alone(bank: str, trigger: str) -> Any:
    """One trigger of the bank's rule set, under its calendar, with nothing that holds back."""
    folder = HERE / "rules" / bank
    currency = {"berka": "CZK", "anz": "AUD"}[bank]
    loaded = load_documents(
        {
            f"{trigger}.yaml": (folder / f"{trigger}.yaml").read_text("utf-8"),
            "calendar.yaml": (folder / "calendar.yaml").read_text("utf-8"),
            "policy.yaml": f"currency: {currency}\nconsent: []\ncaps: []\n",
        }
    )
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


ABOVE = CROSSED.replace("{amount}", "balance")
QUESTIONS: list[tuple[str, str, str, int | None, dict[str, int], int]] = [
    ("berka", "balance_drop", DROP.format(least=10_000), 30 * 24, {"push": 0, "sms": 48}, 1_050),
    ("anz", "balance_drop", DROP.format(least=500), 3 * 24, {"push": 0, "sms": 48}, 79),
    (
        "berka",
        "threshold_up",
        ABOVE.format(crossed="before < 60000 and balance >= 60000", rearmed="balance < 50000"),
        None,
        {"push": 0},
        419,
    ),
    (
        "anz",
        "threshold_up",
        ABOVE.format(crossed="before < 2000 and balance >= 2000", rearmed="balance < 1700"),
        None,
        {"push": 0},
        28,
    ),
    (
        "berka",
        "threshold_down",
        CROSSED.format(
            amount="20000 - balance", crossed="before >= 20000 and balance < 20000", rearmed="balance >= 30000"
        ),
        None,
        {"push": 0},
        115,
    ),
    (
        "anz",
        "threshold_down",
        CROSSED.format(amount="4000 - balance", crossed="before >= 4000 and balance < 4000", rearmed="balance >= 4100"),
        None,
        {"push": 0},
        23,
    ),
    ("berka", "dormancy", SILENT.format(hours=21 * 24, least=1_000), 60 * 24, {"push": 0}, 460),
    ("anz", "dormancy", SILENT.format(hours=3 * 24, least=100), 7 * 24, {"push": 0}, 98),
    ("anz", "salary", SALARY, 6 * 24, {"push": 0, "email": 24}, 408),
]


@pytest.mark.parametrize(
    ("bank", "trigger", "occasions", "quiet", "steps", "contacts"),
    QUESTIONS,
    ids=[f"{bank}-{trigger}" for bank, trigger, *_ in QUESTIONS],
)
def test_the_backtest_contacts_whom_sql_says(
    bench: Any,
    events: Callable[[str], Path],
    read_actions: Callable[[Path], list[dict[str, Any]]],
    bank: str,
    trigger: str,
    occasions: str,
    quiet: int | None,
    steps: dict[str, int],
    contacts: int,
) -> None:
    """The same customers, at the same times, on the same channels, with the same amounts."""
    target = bench.folder / "actions.jsonl"
    result = bench.run(alone(bank, trigger), events(bank), actions=target)
    assert not result.tally.errors
    got = sorted(
        (
            (
                body["customer_id"],
                datetime.fromisoformat(body["created_at"]).replace(tzinfo=None),
                body["channel"],
                None if body["value"] is None else Decimal(body["value"]).quantize(Decimal("0.01")),
            )
            for body in read_actions(target)
        ),
        key=str,
    )
    assert got == contacts_in_sql(bank, occasions, quiet, steps)
    assert len(got) == contacts


def test_berka_days_have_one_order_each(events: Callable[[str], Path]) -> None:
    """Of 1,599 days with several rows each has exactly one order without a break; 8 steps between days have one."""
    events("berka")
    database = database_of("berka")
    assert database.execute(
        "select count(*), min(ways), max(ways) from "
        "(select count(*) filter (broken = 0) as ways from orders where len(ids) > 1 group by account_id, day)"
    ).fetchone() == (1599, 1, 1)
    assert database.execute("select count(*) from rows").fetchone() == (9769,)
    breaks = database.execute(
        "select booked::date::varchar, signed::varchar from moves where abs(balance - signed - before) > 0.10"
    ).fetchall()
    assert breaks == [("1994-03-31", "-14.60")] * 8


def test_anz_seconds_with_two_rows_follow_in_the_files_order(events: Callable[[str], Path]) -> None:
    """And 171 steps of the bank do not follow from the one before."""
    events("anz")
    database = database_of("anz")
    pairs = database.execute(
        "select b.balance - b.signed - a.balance from rows a join rows b "
        "on a.customer = b.customer and a.booked = b.booked and a.place + 1 = b.place"
    ).fetchall()
    assert pairs == [(Decimal("0.00"),)] * 6
    assert database.execute("select count(*) from moves where abs(balance - signed - before) > 0.01").fetchone() == (
        171,
    )
