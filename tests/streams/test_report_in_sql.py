"""``bank-triggers report`` beside the same questions asked in SQL of the same records.

The SQL is written from what the report says it counts; it knows nothing of the code that counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from streams.cli import app
from tests.support.outcome_history import write_history

SINCE, UNTIL = "2026-03-10 00:00:00", "2026-06-15 23:59:59.999"
TABLES = f"""
set TimeZone = 'Asia/Shanghai';
create table decisions as
select distinct on (decision_id) *, decided_at::timestamptz as moment from read_json('{{folder}}/out.jsonl',
    columns = {{{{decision_id: 'VARCHAR', customer_id: 'VARCHAR', trigger: 'VARCHAR', occasion: 'VARCHAR', step: 'INT',
               outcome: 'VARCHAR', reason: 'VARCHAR', channel: 'VARCHAR', action_id: 'VARCHAR', tier: 'VARCHAR',
               detail: 'MAP(VARCHAR, VARCHAR)', decided_at: 'VARCHAR'}}}})
where reason <> 'shadow';
create table events as
select distinct on (topic, value->>'event_id') topic, value, (value->>'occurred_at')::timestamptz as moment
from read_json('{{folder}}/in.jsonl', columns = {{{{topic: 'VARCHAR', key: 'VARCHAR', value: 'JSON'}}}});
create table period as select '{SINCE}'::timestamptz as since, '{UNTIL}'::timestamptz as until;
create table transactions as
select value->>'event_id' as id, value->>'customer_id' as customer, value->>'account_id' as account, moment,
       (value->>'sequence')::int as sequence, value->>'kind' as kind, value->>'direction' as direction,
       (value->>'amount')::decimal(18, 4) as amount, (value->>'balance_after')::decimal(18, 4) as balance,
       value->>'currency' as currency, value->>'reversal_of' as reversal_of
from events where topic = 'bank.transactions';
create table candidates as
with found as (
    select customer_id, trigger, occasion, min(moment) as began,
           arg_min(tier, moment) as tier,
           coalesce(min(channel) filter (outcome = 'sent' and step = 0), arg_min(channel, moment)) as channel,
           count(*) filter (outcome = 'sent') as actions,
           min(moment) filter (outcome = 'sent') - min(moment) as wait,
           bool_or(step = 0 and reason = 'holdout') as held_out,
           bool_or(outcome = 'cancelled') as taken_back,
           bool_or(outcome = 'cancelled' and reason = 'bought') as ended_by_sale,
           arg_max(outcome, (moment, outcome = 'sent')) filter (step = 0) as last_outcome,
           arg_max(reason, (moment, outcome = 'sent')) filter (step = 0) as last_reason,
           list(action_id) filter (action_id is not null) as ids
    from decisions group by all
)
select *,
    case when actions = 0 then 'not sent' when wait = interval 0 hour then 'at once'
         when wait <= interval 1 hour then 'up to 1h' when wait <= interval 12 hour then 'up to 12h' else 'longer' end
    as waited,
    exists (select 1 from events e where topic = 'bank.feedback' and list_contains(ids, value->>'action_id')
            and value->>'outcome' in ('opened', 'clicked', 'answered', 'refused', 'bought')) as opened,
    (actions > 0 and ended_by_sale)
    or exists (select 1 from events e where topic = 'bank.feedback' and list_contains(ids, value->>'action_id')
               and value->>'outcome' = 'bought') as bought
from found, period where began between since and until;
create table purchases as
select value->>'customer_id' as customer, moment from events
where topic = 'bank.maturities' and value->>'status' = 'purchased'
union all
select customer, moment from transactions t
where kind = 'purchase' and not exists (select 1 from transactions r where r.reversal_of = t.id);
"""
FUNNEL = """
select {by} as name, count(*) as candidates, count(*) filter (actions = 0 and last_outcome = 'deferred') as waiting,
       count(*) filter (actions > 0 or held_out) as allowed, count(*) filter (actions > 0) as sent,
       sum(actions)::int as actions, count(*) filter (opened) as opened, count(*) filter (bought) as bought,
       count(*) filter (actions > 0 and taken_back) as withdrawn
from candidates group by all
"""
ENTRIES = """
with allowed as (
    select * from decisions, period
    where step = 0 and (outcome = 'sent' or reason = 'holdout') and moment between since and until and {counts}
), entries as (
    select {group} as name, customer_id, min(moment) as moment,
           arg_min({held_out}, moment) as held_out
    from allowed group by 1, 2
), judged as (
    select e.*, e.moment + interval 30 day > until as under_way,
        exists (select 1 from purchases p where p.customer = e.customer_id
                and p.moment > e.moment and p.moment <= e.moment + interval 30 day) as did
    from entries e, period
)
select name, count(*) filter (not held_out and not under_way), count(*) filter (not held_out and not under_way and did),
       count(*) filter (held_out and not under_way), count(*) filter (held_out and not under_way and did),
       count(*) filter (under_way)
from judged group by name
"""
PAYROLL = """
with salaries as (
    select t.*, strftime(moment, '%Y-%m') as month,
           strftime(date_trunc('month', moment) + interval 1 month, '%Y-%m') as next
    from transactions t, period
    where kind = 'salary' and direction = 'credit' and currency = 'CNY' and moment <= until
      and not exists (select 1 from transactions r, period where r.reversal_of = t.id and r.moment <= until)
), counted as (select s.* from salaries s, period where s.moment >= since),
left_then as (
    select c.month, c.amount, (
        select greatest(0, least(c.amount, arg_max(b.balance, b.sequence) - (c.balance - c.amount)))
        from transactions b where b.account = c.account and b.moment <= c.moment + interval 7 day) as kept
    from counted c, period where c.moment + interval 7 day <= until
)
select month, count(distinct customer),
       count(distinct customer) filter (
           exists (select 1 from salaries s where s.customer = c.customer and s.month = c.next)),
       count(*), (select sum(amount) from left_then l where l.month = c.month),
       (select sum(kept) from left_then l where l.month = c.month)
from counted c group by month
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    write_history(folder)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    arguments = ["report", "--records", str(folder), "--since", SINCE, "--until", UNTIL, "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def database(folder: Path) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute(TABLES.format(folder=folder))
    return database


@pytest.mark.parametrize("dimension", ["trigger", "channel", "tier", "waited", "day"])
def test_the_funnel(report: dict[str, Any], database: duckdb.DuckDBPyConnection, dimension: str) -> None:
    """By trigger, channel, tier, day and how long it waited: each step, and the whole is the sum of the parts."""
    by = {"day": "strftime(began, '%Y-%m-%d')"}.get(dimension, dimension)
    rows = database.execute(FUNNEL.format(by=by)).fetchall()
    names = ("candidates", "waiting", "allowed", "sent", "actions", "opened", "bought", "withdrawn")
    assert report["funnel"][f"by_{dimension}"] == {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}
    total = {name: sum(row[place] for row in rows) for place, name in enumerate(names, 1)}
    assert {name: report["funnel"][name] for name in names} == total
    assert total["candidates"] > total["allowed"] > total["sent"] > total["opened"] > total["bought"] > 50
    assert total["actions"] > total["sent"]
    booked = """select count(*) from candidates c where bought and not exists (select 1 from events e
        where topic = 'bank.feedback' and list_contains(ids, value->>'action_id') and value->>'outcome' = 'bought')"""
    assert database.execute(booked).fetchall() > [(0,)]
    assert total["withdrawn"] > 0


def test_what_came_in(report: dict[str, Any], database: duckdb.DuckDBPyConnection) -> None:
    """Each event once, within the period."""
    rows = database.execute(
        "select topic, count(*) from events, period where moment between since and until group by topic"
    ).fetchall()
    assert report["events"] == dict(rows)
    assert report["funnel"]["events"] == sum(count for _, count in rows)
    assert report["no_records"] == {}


def test_why_not(report: dict[str, Any], database: duckdb.DuckDBPyConnection) -> None:
    """The last word on each candidate of which nothing went out."""
    rows = database.execute(
        "select last_reason, count(*) from candidates where actions = 0 and last_outcome <> 'deferred' group by all"
    ).fetchall()
    assert report["not_sent"]["by_reason"] == dict(rows)
    assert {"capped", "holdout", "outranked", "once_per"} <= dict(rows).keys()


def test_the_groups_of_the_lift(report: dict[str, Any], database: duckdb.DuckDBPyConnection) -> None:
    """Customers contacted and held out, who bought within thirty days; of the bank and by trigger."""
    names = ("contacted", "contacted_bought", "held_out", "held_out_bought", "under_way")
    everywhere = "reason = 'holdout' and detail['from'] = 'all'"
    # What is owed to the held out as well makes nobody one of the contacted.
    measured = ENTRIES.format(group="'bank'", held_out=everywhere, counts="trigger <> 'owed'")
    ((_, *bank),) = database.execute(measured).fetchall()
    assert [report["lift"]["bank"][name] for name in names] == bank
    assert min(bank) >= 3
    owed = database.execute(
        "select count(distinct customer_id) from decisions where trigger = 'owed' and outcome = 'sent'"
        f" and customer_id in (select customer_id from decisions where {everywhere})"
    ).fetchone()
    assert owed is not None
    assert owed[0] >= 3, "some of the held out were told what is owed"
    each = ENTRIES.format(group="trigger", held_out="reason = 'holdout'", counts="true")
    by_trigger = database.execute(each).fetchall()
    assert {trigger: [one[name] for name in names] for trigger, one in report["lift"]["by_trigger"].items()} == {
        trigger: counts for trigger, *counts in by_trigger
    }
    assert len(by_trigger) == 3


def test_payroll(report: dict[str, Any], database: duckdb.DuckDBPyConnection) -> None:
    """Customers with a salary, those who have one in the next month, the money paid and kept."""
    months = report["payroll"]["by_month"]
    rows = database.execute(PAYROLL).fetchall()
    assert sorted(months) == sorted(row[0] for row in rows) == ["2026-03", "2026-04", "2026-05", "2026-06"]
    for month, customers, came_back, salaries, paid, kept in rows:
        found = months[month]
        assert (found["customers"], found["salaries"]) == (customers, salaries)
        assert found["came_back"] == (came_back if month < "2026-05" else None), "the month after is not over"
        assert (float(found["paid"]), float(found["kept"])) == (float(paid or 0), float(kept or 0))
    assert 0 < months["2026-04"]["came_back_share"] < 1
    assert 0 < months["2026-04"]["kept_share"] < 1
    assert report["payroll"]["salaries_in_other_currencies"] > 0
