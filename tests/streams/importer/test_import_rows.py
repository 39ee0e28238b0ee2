"""Every way a row becomes an event, and every way it does not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.importer import ImportReport, ImportStopped, import_files

HEADER = "id,customer,account,at,type,amount,balance"
Errors = Callable[[ImportReport], list[str]]


def rows(*lines: str, header: str = HEADER) -> str:
    return "\n".join([header, *lines]) + "\n"


GOOD = "e1,c1,a1,2020-03-02 10:00:00,C,10.50,10.50"


def one(bench: Any, row: str = GOOD, header: str = HEADER, **parts: Any) -> dict[str, Any]:
    """The single event of a single good row."""
    report = bench.run(rows(row, header=header), **parts)
    assert report.errors == []
    (value,) = bench.values()
    return value


class TestEvents:
    def test_a_row_becomes_an_envelope(self, bench: Any) -> None:
        """Topic, key and value stand on one line; money is exact text, the time has its zone's offset."""
        bench.run(rows(GOOD))
        assert json.loads((bench.folder / "out.jsonl").read_text()) == {
            "topic": "bank.transactions",
            "key": "c1",
            "value": {
                "schema_version": 1,
                "tenant": "test",
                "event_id": "e1",
                "occurred_at": "2020-03-02T10:00:00+01:00",
                "customer_id": "c1",
                "account_id": "a1",
                "sequence": 1,
                "direction": "credit",
                "amount": "10.50",
                "currency": "CZK",
                "balance_after": "10.50",
            },
        }

    def test_the_output_is_sorted_by_event_time_and_numbered_per_account(self, bench: Any) -> None:
        """Rows in any order come out by time; each account counts from 1 without a gap."""
        report = bench.run(
            rows(
                "e3,c1,a1,2020-03-04 10:00:00,C,1,3",
                "e1,c1,a1,2020-03-02 10:00:00,C,1,1",
                "x1,c2,a2,2020-03-03 09:00:00,C,1,1",
                "e2,c1,a1,2020-03-03 10:00:00,C,1,2",
            )
        )
        got = [(value["event_id"], value["sequence"]) for value in bench.values()]
        assert got == [("e1", 1), ("x1", 1), ("e2", 2), ("e3", 3)]
        assert (report.rows_read, report.written, report.rejected, report.filtered) == (4, 4, 0, 0)
        assert report.first is not None
        assert report.last is not None
        assert (report.first.isoformat(), report.last.isoformat()) == (
            "2020-03-02T09:00:00+00:00",
            "2020-03-04T09:00:00+00:00",
        )

    def test_runs_on_disk_give_the_same_bytes(self, bench: Any) -> None:
        """Sorting in runs of three rows writes what sorting in memory writes, and leaves no file behind."""
        lines = [f"e{n},c{n % 7},a{n % 7},2020-03-{n % 28 + 1:02d} 10:00:00,C,1,{n}" for n in range(100)]
        bench.run(rows(*lines))
        whole = (bench.folder / "out.jsonl").read_bytes()
        bench.run(rows(*lines), run_length=3)
        assert (bench.folder / "out.jsonl").read_bytes() == whole
        assert sorted(path.name for path in bench.folder.iterdir()) == ["mapping.yaml", "out.jsonl", "rows.csv"]

    def test_gzip_by_suffix_in_and_out(self, bench: Any) -> None:
        """A file ending in .gz is unpacked, an output ending in .gz packed, the same bytes each time."""
        packed = bench.write("rows.csv.gz", gzip.compress(rows(GOOD).encode()))
        out = bench.folder / "out.jsonl.gz"
        import_files(bench.mapping(), [str(packed)], out)
        first = out.read_bytes()
        import_files(bench.mapping(), [str(packed)], out)
        assert out.read_bytes() == first
        assert json.loads(gzip.decompress(first))["key"] == "c1"

    def test_the_tenant_can_be_overridden(self, bench: Any) -> None:
        """The caller's tenant stands in every record."""
        bench.write("rows.csv", rows(GOOD))
        import_files(bench.mapping(), [str(bench.folder)], bench.folder / "out.jsonl", tenant="other")
        assert bench.values()[0]["tenant"] == "other"


class TestFiles:
    def test_separator_quote_encoding_and_no_header(self, bench: Any) -> None:
        """A quoted separator is text, latin-1 is read, the mapping names the columns."""
        columns = "[id, customer, account, at, type, amount, balance, shop]"
        source = f""", separator: ";", encoding: latin-1, quote: "'", header: false, columns: {columns}"""
        row = "e1;c1;a1;2020-03-02 10:00:00;C;10.50;10.50;'Kov\xe1\xf8;Praha'\n".encode("latin-1")
        report = bench.run(row, source=source, record={"merchant": "shop"})
        assert report.errors == []
        assert bench.values()[0]["merchant"] == "Kováø;Praha"

    def test_a_byte_order_mark_is_no_part_of_the_first_column(self, bench: Any) -> None:
        """What spreadsheet programs put before utf-8 is passed over."""
        assert bench.run(b"\xef\xbb\xbf" + rows(GOOD).encode()).written == 1

    def test_files_by_order_name_and_several_for_one_source(self, bench: Any) -> None:
        """Names that fit nothing go by order; source=path says it outright; two files of a source are both read."""
        odd = str(bench.write("history", rows(GOOD)))
        mapping, out = bench.mapping(), bench.folder / "out.jsonl"
        assert import_files(mapping, [odd], out).written == 1
        more = str(bench.write("more", rows(GOOD.replace("e1", "e2"))))
        assert import_files(mapping, [f"rows={odd}", f"rows={more}"], out).written == 2

    def test_a_line_break_inside_quotes_keeps_the_lines_right(self, bench: Any, errors_of: Errors) -> None:
        """A row's line is where it begins, also after a row of two lines."""
        text = rows(
            'e1,c1,a1,2020-03-02 10:00:00,C,1,1,"two\nlines"', "e2,c1,a1,never,C,1,1,x", header=HEADER + ",note"
        )
        report = bench.run(text)
        assert errors_of(report) == [
            'rows.csv:4 column "at": R013 expected a time that exists, written iso (for occurred_at)'
        ]
        assert report.written == 1


class TestValues:
    def test_decimal_comma_thousands_and_scaling(self, bench: Any) -> None:
        """1.234,50 is a number where the mapping says so; cents become units exactly."""
        record = {
            "amount": '{column: amount, as: number, decimal: ",", thousands: "."}',
            "balance_after": "{column: balance, as: integer, times: 0.01}",
        }
        value = one(bench, 'e1,c1,a1,2020-03-02 10:00:00,C,"1.234,50",123456', record=record)
        assert (value["amount"], value["balance_after"]) == ("1234.50", "1234.56")

    @pytest.mark.parametrize(
        ("text", "century", "born"), [("150601", 1920, "2015-06-01"), ("150601", 1890, "1915-06-01")]
    )
    def test_two_digit_years_fall_into_the_century_named(self, bench: Any, text: str, century: int, born: str) -> None:
        """century_from is the first of the hundred years."""
        assert one_date(bench, text, century) == born

    def test_months_are_added_to_the_last_day(self, bench: Any) -> None:
        """A month after 31 January is the end of February; days are added after."""
        output = (
            "    values: {due: {column: at, as: date, format: iso, plus: {months: {column: n, as: integer}, days: 1}}}"
        )
        value = one(
            bench,
            "e1,c1,a1,2020-01-31,C,1,1,1",
            header=HEADER + ",n",
            output=output,
            record={"occurred_at": '{value: due, at: "08:30"}'},
            sequence="    sequence: {per: account}",
        )
        assert value["occurred_at"] == "2020-03-01T08:30:00+01:00"

    def test_the_timezone_follows_the_season(self, bench: Any) -> None:
        """Local times get the offset of their day; a time with an offset keeps its own."""
        bench.run(
            rows(
                "e1,c1,a1,2020-01-02 10:00:00,C,1,1",
                "e2,c1,a1,2020-07-02 10:00:00,C,1,1",
                "e3,c1,a1,2020-07-03 10:00:00+05:30,C,1,1",
            )
        )
        assert [value["occurred_at"][19:] for value in bench.values()] == ["+01:00", "+02:00", "+05:30"]

    def test_slice_transform_template_and_first_of(self, bench: Any) -> None:
        """Text is cut, changed, put together, and the first that is there is taken."""
        record = {
            "customer_id": '{template: "{bank}-{customer}"}',
            "merchant": "{first_of: [shop, {column: account, slice: [1, 2], transform: upper}]}",
        }
        output = "    values: {bank: {const: B1}}"
        value = one(
            bench, "e1,c1,aqr,2020-03-02 10:00:00,C,1,1,", header=HEADER + ",shop", output=output, record=record
        )
        assert (value["customer_id"], value["merchant"]) == ("B1-c1", "QR")

    def test_named_tables_defaults_and_missing(self, bench: Any) -> None:
        """A table may stand apart; its default serves unknown and missing texts; a null marker leaves a field out."""
        tables = "tables: {kinds: {SAL: salary, BUY: card}}"
        record = {
            "kind": "{column: kind, table: kinds, default: other}",
            "merchant": "{column: shop, missing: [NULL]}",
            "own_account": "{column: own, table: {Y: true, N: false}}",
        }
        report = bench.run(
            rows(
                "e1,c1,a1,2020-03-02 10:00:00,C,1,1,SAL,NULL,Y",
                "e2,c1,a1,2020-03-03 10:00:00,C,1,1,WHAT,Shop,N",
                "e3,c1,a1,2020-03-04 10:00:00,C,1,1,,Shop,",
                header=HEADER + ",kind,shop,own",
            ),
            tables=tables,
            record=record,
        )
        assert report.errors == []
        got = [(v["kind"], v.get("merchant"), v.get("own_account")) for v in bench.values()]
        assert got == [("salary", None, True), ("other", "Shop", False), ("other", "Shop", None)]

    def test_where_filters_and_counts(self, bench: Any) -> None:
        """Rows that the conditions leave out are counted, not written, and hold no number."""
        report = bench.run(
            rows(
                "e1,c1,a1,2020-03-02 10:00:00,C,1,1,ok",
                "e2,c1,a1,2020-03-03 10:00:00,C,1,1,void",
                "e3,c1,a1,2020-03-04 10:00:00,C,1,1,",
                "e4,c1,a1,2020-03-05 10:00:00,C,1,1,ok",
                header=HEADER + ",status",
            ),
            output="    where: {status: {not: [void, null]}}",
        )
        assert (report.written, report.filtered) == (2, 2)
        assert [(v["event_id"], v["sequence"]) for v in bench.values()] == [("e1", 1), ("e4", 2)]

    def test_a_join_finds_the_row_its_where_allows(self, bench: Any) -> None:
        """The customer is the owner, not the one who may also sign; a join can rest on a join."""
        bench.write("people.csv", "acc,client,type\na1,s9,SIGN\na1,o7,OWNER\n")
        bench.write("towns.csv", "client,town\no7,Brno\n")
        sources = "  people: {file: people.csv}\n  towns: {file: towns.csv}"
        output = (
            "    join:\n"
            "      owner: {source: people, on: {account: acc}, where: {type: OWNER}}\n"
            "      home: {source: towns, on: {owner.client: client}, required: false}"
        )
        record = {"customer_id": "owner.client", "merchant": "home.town"}
        value = one(bench, sources=sources, output=output, record=record)
        assert (value["customer_id"], value["merchant"]) == ("o7", "Brno")

    def test_objects_and_lists_of_a_profile(self, bench: Any) -> None:
        """Nested fields are built from columns; what is missing is left out."""
        mapping = bench.write(
            "mapping.yaml",
            """\
sources: {rows: {file: rows.csv}}
tables: {yes: {Y: true, N: false}}
outputs:
  profiles:
    topic: bank.profiles
    from: rows
    record:
      event_id: id
      customer_id: id
      occurred_at: {const: "2020-01-01T00:00:00Z"}
      segments: {list: [first, second]}
      consents: {object: {sms: {column: sms, table: yes}, email: {column: email, table: yes}}}
    sequence: {per: id}
""",
        )
        bench.write("rows.csv", "id,first,second,sms,email\nc1,vip,,Y,\n")
        report = import_files(mapping, [str(bench.folder)], bench.folder / "out.jsonl")
        assert report.errors == []
        (value,) = bench.values()
        assert (value["segments"], value["consents"]) == (["vip"], {"sms": True})


def one_date(bench: Any, text: str, century: int) -> str:
    """The birth date that a profile's two-digit year becomes."""
    mapping = bench.write(
        "mapping.yaml",
        f"""\
sources: {{rows: {{file: rows.csv}}}}
outputs:
  profiles:
    topic: bank.profiles
    from: rows
    record:
      event_id: id
      customer_id: id
      occurred_at: {{const: "2020-01-01T00:00:00Z"}}
      birth_date: {{column: day, as: date, format: "%y%m%d", century_from: {century}}}
    sequence: {{per: id}}
""",
    )
    bench.write("rows.csv", f"id,day\nc1,{text}\n")
    report = import_files(mapping, [str(bench.folder)], bench.folder / "out.jsonl")
    assert report.errors == []
    return str(bench.values()[0]["birth_date"])


BAD_ROWS = [
    ("e1,c1,a1,2020-03-02 10:00:00,C,NaN,1", "amount", "R012 expected a number such as 1234.50"),
    ("e1,c1,a1,2020-03-02 10:00:00,C,1e5,1", "amount", "R012"),
    ('e1,c1,a1,2020-03-02 10:00:00,C,"1,5",1', "amount", "R012"),
    ("e1,c1,a1,2020-03-02 10:00:00,C,,1", "amount", "R010 the field needs a value, and here it is missing"),
    ("e1,c1,a1,2020-03-02 10:00:00,C,1.23456,1", "amount", "R030 expected at most 4 decimals"),
    ("e1,c1,a1,2020-03-02 10:00:00,C,-1,1", "amount", "R030 expected zero or more"),
    ("e1,c1,a1,2020-02-30 10:00:00,C,1,1", "at", "R013 expected a time that exists, written iso"),
    ("e1,c1,a1,2020-03-29 02:30:00,C,1,1", "at", "R013 the clock of Europe/Prague skips this time"),
    ("e1,c1,a1,2300-03-02 10:00:00,C,1,1", "at", "R030 expected a time between the years 1900 and 2200"),
    ("e1,c1,a1,2020-03-02 10:00:00,X,1,1", "type", "R011 the text is not in the table of this value; it knows 'C'"),
    ("e 1,c1,a1,2020-03-02 10:00:00,C,1,1", "id", "R030"),
    ("e1,c1,,2020-03-02 10:00:00,C,1,1", "account", "R010 the row cannot be numbered: the value is missing"),
    ("e1,c1,a1,2020-03-02 10:00:00,C,1", "", "R002 expected 7 fields, found 6"),
    ("e1,c1,a1,2020-03-02 10:00:00,C,1,5,1", "", "R002 expected 7 fields, found 8: is a separator inside"),
    ('e1,c1,a1,2020-03-02 10:00:00,C,"1"5,1', "", "R001 the row cannot be read"),
    (b"e1,c\xe91,a1,2020-03-02 10:00:00,C,1,1", "customer", "R003 a byte is not utf-8 text"),
]  # fmt: skip


class TestRowErrors:
    @pytest.mark.parametrize(("row", "column", "message"), BAD_ROWS)
    def test_a_bad_row_is_located_and_the_next_one_read(
        self, bench: Any, errors_of: Errors, row: str | bytes, column: str, message: str
    ) -> None:
        """The error names file, line and column; the good rows around it are written; strict stops there."""
        bad = row if isinstance(row, bytes) else row.encode()
        before, after = GOOD.replace("e1", "g1"), GOOD.replace("e1", "g2")
        text = "\n".join([HEADER, before]).encode() + b"\n" + bad + b"\n" + after.encode() + b"\n"
        report = bench.run(text)
        where = f'rows.csv:3 column "{column}": ' if column else "rows.csv:3: "
        matching = [error for error in errors_of(report) if error.startswith(where + message)]
        assert matching, errors_of(report)
        assert (report.rows_read, report.written, report.rejected) == (3, 2, 1)
        assert [value["sequence"] for value in bench.values()] == [1, 2]
        (bench.folder / "out.jsonl").write_text("as it was")
        with pytest.raises(ImportStopped) as stopped:
            bench.run(text, strict=True)
        assert stopped.value.error.line == 3
        assert (bench.folder / "out.jsonl").read_text() == "as it was"

    def test_all_mistakes_of_a_row_are_reported(self, bench: Any, errors_of: Errors) -> None:
        """Three bad columns of one row are three errors and one rejected row."""
        report = bench.run(rows("e1,c1,a1,2020-02-30 10:00:00,X,none,1"))
        assert sorted(error.split('"')[1] for error in errors_of(report)) == ["amount", "at", "type"]
        assert (report.error_count, report.rejected, report.written) == (3, 1, 0)

    def test_a_repeated_event_id_names_the_first(self, bench: Any, errors_of: Errors) -> None:
        """The second row with an id is refused with the line of the first."""
        report = bench.run(rows(GOOD, GOOD.replace("03-02", "03-03")))
        assert [error.replace(f"{bench.folder}/", "") for error in errors_of(report)] == [
            'rows.csv:3 column "id": R031 expected an id of its own; rows.csv:2 has the same one (for event_id)'
        ]
        assert report.written == 1

    def test_a_file_given_twice_gives_its_events_once(self, bench: Any) -> None:
        """Every row of the second reading repeats an event id."""
        path = bench.write("rows.csv", rows(GOOD))
        report = import_files(bench.mapping(), [str(path), str(path)], bench.folder / "out.jsonl")
        assert (report.written, [error.code for error in report.errors]) == (1, ["R031"])

    def test_a_join_without_its_row_and_with_two(self, bench: Any, errors_of: Errors) -> None:
        """The row that lacks a partner, and the second partner of a key, are located each in its own file."""
        bench.write("people.csv", "acc,client\na1,o1\na1,o2\n")
        report = bench.run(
            rows(GOOD, GOOD.replace("e1", "e2").replace("a1", "a2")),
            sources="  people: {file: people.csv}",
            output="    join: {owner: {source: people, on: {account: acc}}}",
            record={"customer_id": "owner.client"},
        )
        people, unjoined = errors_of(report)
        assert people.startswith('people.csv:3 column "acc": R021 expected one row for each key; people.csv:2')
        assert unjoined == 'rows.csv:3 column "account": R020 no row has this acc in people'
        assert [value["customer_id"] for value in bench.values()] == ["o1"]

    def test_rows_that_have_no_common_order(self, bench: Any, errors_of: Errors) -> None:
        """A row whose order value is of another type than the first row's is refused, not a crash of the sort."""
        day = "{column: day, as: date, format: iso}"
        report = bench.run(
            rows(f"{GOOD},2020-03-02", f"{GOOD.replace('e1', 'e2')},", header=HEADER + ",day"),
            sequence=f"    sequence: {{per: account, order: [{{first_of: [{day}, at]}}]}}",
        )
        assert errors_of(report) == [
            (
                'rows.csv:3 column "day": R014 the rows cannot be ordered: '
                "this value is of another type than in the rows before (for sequence.order[0])"
            )
        ]
        assert report.written == 1

    def test_only_a_time_can_be_spread(self, bench: Any) -> None:
        """A constant text as event time cannot be moved: the second row of the day is told so."""
        report = bench.run(
            rows(GOOD, GOOD.replace("e1", "e2")),
            record={"occurred_at": '{const: "2020-03-02T10:00:00Z"}'},
            sequence="    sequence: {per: account, spread_seconds: 60}",
        )
        assert [(error.line, error.code) for error in report.errors] == [(3, "R014")]

    def test_an_open_quote_is_reported_where_it_begins(self, bench: Any, errors_of: Errors) -> None:
        """A quote that is never closed swallows the rest: the error stands at its row."""
        report = bench.run(rows(GOOD, '"e2,c1,a1,2020-03-02 10:00:00,C,1,1', GOOD.replace("e1", "e3")))
        assert errors_of(report)[0].startswith("rows.csv:3: R001 the row cannot be read")
        assert report.written == 1

    def test_errors_are_bounded_and_counted(self, bench: Any) -> None:
        """The list stops at its bound, the count does not."""
        bench.write("rows.csv", rows(*["bad"] * 30))
        report = import_files(bench.mapping(), [str(bench.folder)], bench.folder / "out.jsonl", max_errors=10)
        assert (len(report.errors), report.error_count, report.rejected) == (10, 30, 30)

    def test_no_error_repeats_a_value(self, bench: Any) -> None:
        """Whatever a column holds may be personal: the messages say what would be right instead."""
        secret = "Zuzana77"
        header = HEADER.split(",")
        for index in range(len(header)):
            row = GOOD.split(",")
            row[index] = secret + " é"
            report = bench.run(rows(",".join(row)))
            assert secret not in json.dumps(report.to_json())

    def test_the_report_is_plain_json(self, bench: Any) -> None:
        """Everything in the report can be written as JSON."""
        plain = json.loads(json.dumps(bench.run(rows(GOOD, "bad")).to_json()))
        assert (plain["written"], plain["error_count"], plain["errors"][0]["line"]) == (1, 1, 3)
        assert plain["outputs"][0]["topic"] == "bank.transactions"


def test_a_truncated_gzip_is_reported(bench: Any, errors_of: Errors) -> None:
    """A file cut off in the middle gives what could be read and an error where it ends."""
    lines = [f"e{n},c{n},a{n},2020-03-02 10:00:00,C,{n},{n}" for n in range(5000)]
    packed = gzip.compress(rows(*lines).encode())
    path: Path = bench.write("rows.csv.gz", packed[: len(packed) // 2])
    report = import_files(bench.mapping(), [str(path)], bench.folder / "out.jsonl")
    assert 0 < report.written < 5000
    assert "R001 the file cannot be read from here on: the gzip data is damaged or cut off" in errors_of(report)[-1]
