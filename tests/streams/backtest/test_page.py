"""The page of a backtest: self-contained, complete, safe with any text, and the same each time."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from schemas.base import Record
from streams.backtest import charts
from streams.backtest.page import grouped, over_time, render, share
from streams.backtest.report import as_json
from streams.backtest.run import Result
from streams.commands.library import SHIPPED
from tests.support.bank import at, profile, transaction
from tests.support.browser import find_browser
from triggers.casework.backtest import drafts_in_shadow
from triggers.language.loader import load_ruleset

HOSTILE = '<script>alert("1")</script>&amp;'
VOID = {"meta", "br"}


def rules() -> Any:
    loaded = load_ruleset([SHIPPED]).ruleset
    assert loaded is not None
    changed = [
        replace(one, title=HOSTILE) if one.id == "threshold_up" else one
        for one in loaded.triggers
        if one.id != "dormancy"
    ]
    (dormant,) = (replace(one, status="draft") for one in loaded.triggers if one.id == "dormancy")
    return drafts_in_shadow(replace(loaded, triggers=(*changed, dormant)))


def history() -> list[Record | str]:
    """Balances that go up and down for a hundred days, of seven customers."""
    records: list[Any] = []
    for who in range(7):
        name = f"c{who}"
        records.append(profile(f"p{who}", 1, customer_id=name, tier=("mid", "high")[who % 2], employee=False))
        balance = 20_000
        for day in range(1, 100, 3 + who):
            step = 45_000 if balance < 50_000 else -50_000
            balance += step
            moment = at(day, hours=who)
            records.append(
                transaction(f"t{who}-{day}", day, step, balance, customer_id=name, account_id=name, occurred_at=moment)
            )
    records.sort(key=lambda record: record.occurred_at)
    return [*records, '{"topic":"bank.transactions","value":{}}', "<b>bad</b>"]


@pytest.fixture
def result(bench: Any) -> Result:
    found: Result = bench.run(rules(), bench.write("events<1>.jsonl", history()), until_ms=None)
    assert found.tally.actions.total() > 20
    return found


class Reader(HTMLParser):
    """Checks that every element is closed, and gathers what a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.asked: list[str] = []
        self.tags: set[str] = set()
        self.labelled: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.labelled += [given.get("aria-labelledby") or ""] if tag == "svg" else []
        self.asked += [str(value) for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_the_page_stands_alone(result: Result) -> None:
    """No script, no address to fetch from, every element closed, no id twice; it prints and has a dark side."""
    page = render(result)
    reader = read(page)
    assert reader.asked == []
    assert not re.search(r"url\(|@import|https?:", page)
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert len(reader.ids) == len(set(reader.ids)) > 5
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page


def test_no_text_of_the_input_becomes_markup(result: Result) -> None:
    """A title, a file's name and a problem with brackets are shown as they are written."""
    page = render(result)
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    assert "events&lt;1&gt;.jsonl" in page


def test_every_chart_has_a_title_that_says_its_numbers(result: Result) -> None:
    """So that it can be read aloud; the same numbers stand in the tables beside it."""
    page, report = render(result), as_json(result)
    reader = read(page)
    assert reader.labelled
    assert set(reader.labelled) <= set(reader.ids)
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # well-formed
    for trigger, count in report["actions"]["by_trigger"].items():
        assert f"{trigger} {count:,}" in drawings[0]
        assert re.search(rf"<code>{trigger}</code>.*?<td class=\"n\">{count:,}</td>", page)


def test_the_report_adds_up(result: Result) -> None:
    """Every way of counting the actions gives the same sum; so does every way of counting customers."""
    report = as_json(result)
    actions = report["actions"]
    for by in ("by_trigger", "by_tier", "by_channel", "by_day"):
        assert sum(actions[by].values()) == actions["total"], by
    contacts = report["contacts"]["customers_by_contacts"]
    assert sum(contacts.values()) == report["input"]["customers"] == 7
    assert sum(int(count) * customers for count, customers in contacts.items()) == actions["total"]
    assert report["errors"]["by_code"] == {"F002": 1, "MISSING_FIELD": 1}
    (shadow,) = report["shadow"]
    assert shadow["trigger"] == "dormancy"
    assert {one["trigger"]: one["status"] for one in report["triggers"]}["dormancy"] == "shadow"


def test_the_same_result_gives_the_same_page(bench: Any, result: Result) -> None:
    """A second run of the same events."""
    again = bench.run(rules(), bench.folder / "events<1>.jsonl", until_ms=None)
    assert render(again) == render(result)


def cells(days: int, triggers: int = 1) -> list[dict[str, Any]]:
    first = date(2026, 1, 7)
    return [
        {"trigger": f"t{number}", "day": (first + timedelta(days=day)).isoformat(), "actions": triggers - number}
        for day in (0, days - 1)
        for number in range(triggers)
    ]


@pytest.mark.parametrize(
    ("days", "step", "columns", "first", "last"),
    [
        (1, "day", 1, "2026-01-07", "2026-01-07"),
        (62, "day", 62, "2026-01-07", "2026-03-09"),
        (63, "week", 10, "2026-01-05", "2026-03-09"),
        (729, "month", 25, "2026-01", "2028-01"),
    ],
)
def test_long_times_are_counted_by_week_or_month(days: int, step: str, columns: int, first: str, last: str) -> None:
    """Without a gap; what lies between is nothing, not left out."""
    found = over_time(cells(days))
    assert (found.step, len(found.columns)) == (step, columns)
    assert (found.columns[0].label, found.columns[-1].label) == (first, last)
    assert sum(column.total for column in found.columns) == len(cells(days))


def test_beyond_six_triggers_the_smallest_are_others() -> None:
    """None is lost."""
    found = over_time(cells(1, triggers=8))
    assert found.parts == ("t0", "t1", "t2", "t3", "t4", "others")
    assert found.columns[0].parts == (16, 14, 12, 10, 8, 6 + 4 + 2)
    assert over_time(cells(1, triggers=6)).parts == ("t0", "t1", "t2", "t3", "t4", "t5")


def test_many_numbers_of_contacts_take_few_rows() -> None:
    """None is lost, the order stands."""
    contacts = {str(count): count for count in (0, 1, 5, 6, 10, 11, 34, 51, 100, 101, 999)}
    found = grouped(contacts)
    assert found == {
        "0": 0,
        "1": 1,
        "5": 5,
        "6–10": 16,
        "11–20": 11,
        "21–50": 34,
        "51–100": 151,
        "over 100": 1100,
    }
    assert list(found) == ["0", "1", "5", "6–10", "11–20", "21–50", "51–100", "over 100"]


@pytest.mark.parametrize(("most", "top"), [(0, 1), (1, 1), (5, 5), (6, 6), (7, 8), (23, 25), (99, 100), (1234, 1500)])
def test_a_scale_ends_at_a_round_number(most: int, top: int) -> None:
    """With at most five steps to it."""
    got, step = charts.scale(most)
    assert got == top
    assert got % step == 0
    assert got // step <= 5


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(0, 0, "–"), (0, 5, "0%"), (1, 3, "33%"), (1, 3000, "0.033%"), (1, 1, "100%")]
)
def test_a_small_share_is_not_none(part: int, whole: int, text: str) -> None:
    """It keeps two digits."""
    assert share(part, whole) == text


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the first row's bytes of a PNG of 8 bits a colour."""
    width, height = struct.unpack(">II", png[16:24])
    data, offset = b"", 8
    while offset < len(png):
        (length,) = struct.unpack(">I", png[offset : offset + 4])
        if png[offset + 4 : offset + 8] == b"IDAT":
            data += png[offset + 8 : offset + 8 + length]
        offset += length + 12
    return width, height, zlib.decompress(data)[1:4]


def test_a_real_browser_shows_and_prints_it(result: Result, tmp_path: Path) -> None:
    """It is laid out as written, dark where the reader wants it, and prints to A4 pages with white paper."""
    browser = find_browser()
    path = tmp_path / "report.html"
    path.write_text(render(result), "utf-8")
    dom = browser.page(path)
    assert dom.count("<svg") == render(result).count("<svg") > 5
    assert HOSTILE not in dom
    light = pixels(browser.screenshot(path, tmp_path / "light.png"))
    dark = pixels(browser.screenshot(path, tmp_path / "dark.png", dark=True))
    assert light[:2] == dark[:2] == (1100, 1400)
    assert max(dark[2]) < 60
    assert min(light[2]) > 240
    printed = browser.pdf(path, tmp_path / "report.pdf")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12
    assert re.search(rb"/MediaBox\s*\[\s*0 0 59[45][.\d]* 84[12][.\d]*\s*\]", printed)
