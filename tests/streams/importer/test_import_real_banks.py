"""The mappings of two real banks on their data: ``../shared/data`` beside the tree, or where ``BANK_DATA`` says."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.decode import Rejected, decode
from schemas.topics import TOPIC
from streams.event_file import EventLine, read_events
from streams.importer import ImportReport, import_files
from tests.support.bank_data import DATA, bank_folder

ROOT = Path(__file__).parents[3]
MAPPINGS = ROOT / "tests" / "data" / "mappings"


def run(bank: str, folder: Path) -> tuple[ImportReport, list[EventLine]]:
    data = bank_folder(bank)
    out = folder / f"{bank}.jsonl"
    report = import_files(MAPPINGS / f"{bank}.yaml", [str(data)], out)
    lines = list(read_events(out))
    assert all(isinstance(line, EventLine) for line in lines)
    return report, [line for line in lines if isinstance(line, EventLine)]


@pytest.fixture(scope="module")
def berka(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImportReport, list[EventLine]]:
    return run("berka", tmp_path_factory.mktemp("berka"))


@pytest.fixture(scope="module")
def anz(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImportReport, list[EventLine]]:
    return run("anz", tmp_path_factory.mktemp("anz"))


def values(lines: list[EventLine], topic: str) -> list[dict[str, Any]]:
    return [json.loads(line.value) for line in lines if line.topic == topic]


def by_account(lines: list[EventLine]) -> dict[str, list[dict[str, Any]]]:
    accounts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for value in values(lines, "bank.transactions"):
        accounts[value["account_id"]].append(value)
    return accounts


def source(bank: str, name: str, **how: Any) -> list[dict[str, str]]:
    with (DATA / bank / name).open(encoding="latin-1", newline="") as file:
        return list(csv.DictReader(file, **how))


@pytest.mark.parametrize("bank", ["berka", "anz"])
def test_every_message_is_accepted_by_the_system(bank: str, request: pytest.FixtureRequest) -> None:
    """No row has a mistake, and each message decodes as the worker decodes it, under its own key."""
    report, lines = request.getfixturevalue(bank)
    assert (report.error_count, report.rejected, report.filtered) == (0, 0, 0)
    assert report.written == len(lines)
    for line in lines:
        assert line.key is not None
        record = decode(TOPIC[line.topic], bank, line.key.encode(), line.value)
        assert not isinstance(record, Rejected), (line.line, record)


@pytest.mark.parametrize("bank", ["berka", "anz"])
def test_events_are_sorted_and_sequences_have_no_gap(bank: str, request: pytest.FixtureRequest) -> None:
    """Over the whole file time never goes back; each account's numbers are 1, 2, 3 … in that order."""
    _, lines = request.getfixturevalue(bank)
    times = [datetime.fromisoformat(json.loads(line.value)["occurred_at"]) for line in lines]
    assert times == sorted(times)
    for rows in by_account(lines).values():
        assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("bank", ["berka", "anz"])
def test_the_same_data_gives_the_same_bytes(bank: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A second import, sorted in runs on disk, writes the very same file."""
    request.getfixturevalue(bank)
    whole, runs = tmp_path / "whole.jsonl", tmp_path / "runs.jsonl"
    import_files(MAPPINGS / f"{bank}.yaml", [str(DATA / bank)], whole)
    import_files(MAPPINGS / f"{bank}.yaml", [str(DATA / bank)], runs, run_length=700)
    assert whole.read_bytes() == runs.read_bytes()


class TestBerka:
    def test_counts(self, berka: tuple[ImportReport, list[EventLine]]) -> None:
        """9,769 transactions of 240 accounts, 35 loans, 288 clients."""
        _, lines = berka
        assert Counter(line.topic for line in lines) == {
            "bank.transactions": 9769,
            "bank.maturities": 35,
            "bank.profiles": 288,
        }
        assert len(by_account(lines)) == 240
        assert {line.key for line in lines if line.topic == "bank.transactions"} == {
            f"client-{row['client_id']}" for row in source("berka", "disp.asc", delimiter=";") if row["type"] == "OWNER"
        }

    def test_each_transaction_keeps_its_day_and_amount(self, berka: tuple[ImportReport, list[EventLine]]) -> None:
        """The local day of each event is the file's date, whatever its time of day; amounts are untouched."""
        _, lines = berka
        got = {value["event_id"]: value for value in values(lines, "bank.transactions")}
        for row in source("berka", "trans.asc", delimiter=";"):
            value = got[f"trans-{row['trans_id']}"]
            moment = datetime.fromisoformat(value["occurred_at"])
            assert moment.strftime("%y%m%d") == row["date"]
            assert moment.utcoffset() == moment.replace(tzinfo=ZoneInfo("Europe/Prague")).utcoffset()
            assert (value["amount"], value["balance_after"]) == (row["amount"], row["balance"])
            assert value["direction"] == ("credit" if row["type"] == "PRIJEM" else "debit")

    def test_times_of_one_account_are_distinct_and_rise(self, berka: tuple[ImportReport, list[EventLine]]) -> None:
        """The order of the balances is also the order of the event times."""
        _, lines = berka
        for rows in by_account(lines).values():
            times = [datetime.fromisoformat(row["occurred_at"]) for row in rows]
            assert all(earlier < later for earlier, later in pairwise(times))

    def test_the_balances_add_up(self, berka: tuple[ImportReport, list[EventLine]]) -> None:
        """In file order 7,155 of 9,769 steps add up exactly; ordered, all but 8 do within the bank's rounding.

        The 8 are fees of the excerpt's last day whose interest booking is not in the excerpt: no order mends them.
        """
        report, lines = berka
        chain = report.outputs[0].chain
        assert chain is not None
        assert chain.steps == 9769
        assert (chain.exact_in_file, chain.within_in_file) == (7155, 7460)
        assert (chain.exact_ordered, chain.within_ordered) == (9280, 9761)
        broken = []
        exact = 0
        for rows in by_account(lines).values():
            balance = Decimal(0)
            for row in rows:
                signed = Decimal(row["amount"]) * (1 if row["direction"] == "credit" else -1)
                gap = abs(balance + signed - Decimal(row["balance_after"]))
                exact += gap == 0
                if gap > Decimal("0.10"):
                    broken.append((row["occurred_at"][:10], row["amount"], row["kind"]))
                balance = Decimal(row["balance_after"])
        assert exact == 9280
        assert broken == [("1994-03-31", "14.60", "fee")] * 8

    def test_known_rows(self, berka: tuple[ImportReport, list[EventLine]]) -> None:
        """Account 485 on 3 February 1993: the deposit of 45,647 came before the withdrawal of 25,300."""
        _, lines = berka
        day = [row for row in by_account(lines)["account-485"] if row["occurred_at"].startswith("1993-02-03")]
        assert [(r["event_id"], r["occurred_at"], r["direction"], r["kind"], r["balance_after"]) for r in day] == [
            ("trans-144544", "1993-02-03T08:00:00+01:00", "credit", "cash", "71477.90"),
            ("trans-145127", "1993-02-03T08:01:00+01:00", "debit", "cash", "46177.90"),
        ]
        kinds = Counter(value["kind"] for value in values(lines, "bank.transactions"))
        assert kinds == {
            "cash": 4841,
            "interest": 1948,
            "fee": 1082,
            "household": 720,
            "transfer": 735,
            "pension": 305,
            "insurance": 107,
            "loan_payment": 21,
            "penalty_interest": 9,
            "card": 1,
        }

    def test_loans_fall_due_after_their_months(self, berka: tuple[ImportReport, list[EventLine]]) -> None:
        """Loan 7284: 52,788 for twelve months from 15 September 1993, of the account's owner."""
        _, lines = berka
        loans = {value["holding_id"]: value for value in values(lines, "bank.maturities")}
        loan = loans["loan-7284"]
        assert (loan["amount"], loan["purchased_on"], loan["matures_on"], loan["term_days"]) == (
            "52788", "1993-09-15", "1994-09-15", 365,
        )  # fmt: skip
        owner = {
            r["account_id"]: r["client_id"] for r in source("berka", "disp.asc", delimiter=";") if r["type"] == "OWNER"
        }
        for row in source("berka", "loan.asc", delimiter=";"):
            value = loans[f"loan-{row['loan_id']}"]
            start, end = date.fromisoformat(value["purchased_on"]), date.fromisoformat(value["matures_on"])
            assert (end.year - start.year) * 12 + end.month - start.month == int(row["duration"])
            assert (end - start).days == value["term_days"]
            assert value["customer_id"] == f"client-{owner[row['account_id']]}"
        assert (loans["loan-6103"]["purchased_on"], loans["loan-6103"]["matures_on"]) == ("1994-04-07", "1999-04-07")

    def test_birth_numbers_become_birth_date_and_sex(self, berka: tuple[ImportReport, list[EventLine]]) -> None:
        """The month of a woman's number stands with 50 added; the years are those of the last century."""
        _, lines = berka
        people = {value["customer_id"]: value for value in values(lines, "bank.profiles")}
        assert (people["client-43"]["birth_date"], people["client-43"]["sex"]) == ("1920-10-28", "male")
        women = 0
        for row in source("berka", "client.asc", delimiter=";"):
            number, value = row["birth_number"], people[f"client-{row['client_id']}"]
            woman = int(number[2:4]) > 50
            women += woman
            assert value["sex"] == ("female" if woman else "male")
            assert value["birth_date"] == f"19{number[:2]}-{int(number[2:4]) - 50 * woman:02d}-{number[4:]}"
        assert 0 < women < 288
        assert people["client-20"]["district"] == source("berka", "district.asc", delimiter=";")[45]["A2"]


class TestAnz:
    def test_counts(self, anz: tuple[ImportReport, list[EventLine]]) -> None:
        """3,366 transactions of 25 customers in Australian dollars, with their kinds."""
        _, lines = anz
        got = values(lines, "bank.transactions")
        assert len(got) == len(lines) == 3366
        assert len({value["customer_id"] for value in got}) == len(by_account(lines)) == 25
        assert {value["currency"] for value in got} == {"AUD"}
        assert Counter(value["kind"] for value in got) == {
            "card": 2294, "payment": 656, "salary": 235, "transfer": 181,
        }  # fmt: skip
        assert {value["direction"] for value in got if value["kind"] == "salary"} == {"credit"}

    def test_times_and_amounts_are_the_files(self, anz: tuple[ImportReport, list[EventLine]]) -> None:
        """Times are UTC to the second, in no other order; amounts and balances are untouched."""
        _, lines = anz
        got = {value["event_id"]: value for value in values(lines, "bank.transactions")}
        for row in source("anz", "anz.csv"):
            value = got[row["transaction_id"]]
            assert value["occurred_at"] == row["extraction"].replace(".000+0000", "Z")
            assert (value["amount"], value["balance_after"], value["account_id"]) == (
                row["amount"], row["balance"], row["account"],
            )  # fmt: skip

    def test_how_far_the_balances_add_up(self, anz: tuple[ImportReport, list[EventLine]]) -> None:
        """3,170 of 3,341 steps add up by timestamp, 2,716 in the file's order.

        The rest are postings stamped with a full hour that were booked at another; ordering within a second cannot
        mend them, and the timestamps are the bank's.
        """
        report, _ = anz
        chain = report.outputs[0].chain
        assert chain is not None
        assert (chain.steps, chain.exact_in_file, chain.exact_ordered) == (3341, 3170, 3170)
        balances: dict[str, Decimal] = {}
        adding_up = 0
        for row in source("anz", "anz.csv"):
            signed = Decimal(row["amount"]) * (1 if row["movement"] == "credit" else -1)
            before = balances.get(row["account"])
            adding_up += before is not None and before + signed == Decimal(row["balance"])
            balances[row["account"]] = Decimal(row["balance"])
        assert adding_up == 2716

    def test_no_personal_column_comes_out(self, anz: tuple[ImportReport, list[EventLine]]) -> None:
        """No first name, place or position of a customer stands anywhere in the output."""
        _, lines = anz
        text = "\n".join(line.value.decode() for line in lines)
        rows = source("anz", "anz.csv")
        for column in ("first_name", "long_lat", "merchant_suburb"):
            found = {row[column] for row in rows if row[column]}
            assert found
            assert not [value for value in found if f'"{value}"' in text or (len(value) > 4 and value in text)]
