"""The report as one self-contained HTML page: no script, nothing from outside, to be read on a screen or on paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from streams.backtest import charts
from streams.backtest.report import as_json
from streams.backtest.run import Result
from triggers.casework.reasons import MEANINGS

_TEMPLATE: Final = Path(__file__).with_name("page.html.j2")
_DAILY: Final = 62
_WEEKLY: Final = 7 * 104
_CONTACT_ROWS: Final = (
    *((str(count), count) for count in range(6)),
    ("6–10", 10),
    ("11–20", 20),
    ("21–50", 50),
    ("51–100", 100),
)
_MOST_CONTACTS: Final = "over 100"


def render(result: Result) -> str:
    """The page of a backtest. The same result gives the same text."""
    report = as_json(result)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    environment.filters["share"] = share
    environment.filters["moment"] = lambda text: moment(text, result.ruleset.policy.timezone)
    environment.filters["grouped"] = grouped
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    return template.render(
        report=report,
        over_time=over_time(report["actions"]["cells"]),
        charts=_Charts(),
        meanings=MEANINGS,
        nothing_live=nothing_live(report),
        never_true=never_true,
        never_fired=never_fired,
    )


def number(value: float | None) -> str:
    """A number as it is read: thousands apart, a missing one as a dash."""
    if value is None:
        return "–"
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """A share in percent; a small one keeps enough digits to differ from none."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.0f}%" if percent >= 10 or part == 0 else f"{percent:.2g}%"


def moment(text: str | None, zone: ZoneInfo) -> str:
    """A time as it is read, to the second, in the bank's time zone."""
    return "–" if text is None else f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def nothing_live(report: Mapping[str, Any]) -> str:
    """Why there is nothing to tell of actions: no trigger is live. Empty where one is."""
    statuses = [one["status"] for one in report["triggers"]]
    if "live" in statuses:
        return ""
    found = ", ".join(f"{statuses.count(status):,} {status}" for status in sorted(set(statuses))) or "there is none"
    hint = "; --shadow shows what drafts would have done" if "draft" in statuses else ""
    return f"No trigger is live ({found}), so nothing is told of actions, contacts and what was held back{hint}."


def never_true(threshold: Mapping[str, Any], measure: Mapping[str, Any], every: int) -> str:
    """What is to be said of a comparison that was true at no look; empty where it was true at one."""
    if threshold["held"]:
        return ""
    where = "in these events" if every == 1 else "at the moments measured"
    return f"never {'true' if measure['known'] else 'known'} {where}"


def never_fired(shadow: Mapping[str, Any]) -> bool:
    """Whether the condition of a trigger in shadow was never true: else something would have become of it."""
    return not (shadow["would_send"] or shadow["would_wait"] or shadow["would_be_held_back"])


def grouped(contacts: Mapping[str, int]) -> dict[str, int]:
    """Customers by number of contacts, in few rows: one for each up to five, then wider ones."""
    found: dict[str, int] = {}
    for count, customers in contacts.items():
        label = next((name for name, most in _CONTACT_ROWS if int(count) <= most), _MOST_CONTACTS)
        found[label] = found.get(label, 0) + customers
    return found


@dataclass(frozen=True, slots=True)
class OverTime:
    """Actions in equal steps of time, without a gap. ``parts`` are the triggers, those with most actions first."""

    step: str
    parts: tuple[str, ...]
    columns: tuple[charts.Column, ...]


def over_time(cells: Sequence[dict[str, Any]]) -> OverTime:
    """Actions by day; over longer times by week (its Monday) or by month."""
    if not cells:
        return OverTime("day", (), ())
    totals: dict[str, int] = {}
    for cell in cells:
        totals[cell["trigger"]] = totals.get(cell["trigger"], 0) + cell["actions"]
    ranked = sorted(totals, key=lambda trigger: (-totals[trigger], trigger))
    named = ranked if len(ranked) <= charts.COLOURS else ranked[: charts.COLOURS - 1]
    parts = tuple(named) if len(named) == len(ranked) else (*named, "others")
    days = [date.fromisoformat(cell["day"]) for cell in cells]
    span = (max(days) - min(days)).days + 1
    step = "day" if span <= _DAILY else "week" if span <= _WEEKLY else "month"
    counts = {begin: [0] * len(parts) for begin in _begins(min(days), max(days), step)}
    place = {trigger: index for index, trigger in enumerate(named)}
    for cell, day in zip(cells, days, strict=True):
        counts[_begin(day, step)][place.get(cell["trigger"], len(parts) - 1)] += cell["actions"]
    label = "%Y-%m" if step == "month" else "%Y-%m-%d"
    found = tuple(charts.Column(begin.strftime(label), tuple(parts)) for begin, parts in counts.items())
    return OverTime(step, parts, found)


def _begin(day: date, step: str) -> date:
    if step == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if step == "month" else day


def _begins(first: date, last: date, step: str) -> Iterable[date]:
    begin = _begin(first, step)
    while begin <= last:
        yield begin
        begin = _begin(begin + timedelta(days={"day": 1, "week": 7, "month": 31}[step]), step)


class _Charts:
    """The charts of the page, each under an id of its own."""

    def bars(self, name: str, title: str, counts: dict[str, int], *, narrow: bool = False) -> str:
        """A bar for each, the longest first; labels that begin with numbers keep their order."""
        rows = list(counts.items())
        if not any(label[:1].isdigit() for label in counts):
            rows.sort(key=lambda row: (-row[1], row[0]))
        said = "; ".join(f"{label} {count:,}" for label, count in rows)
        return charts.bars(name, f"{title}: {said or 'none'}", rows, narrow=narrow)

    def columns(self, name: str, found: OverTime) -> str:
        """Actions over time."""
        most = max(found.columns, key=lambda column: column.total)
        title = f"Actions by {found.step}; most, {most.total:,}, at {most.label}"
        return charts.columns(name, title, found.columns, found.parts)

    def strip(self, name: str, measure: dict[str, Any]) -> str:
        """The spread of a measure beside its thresholds; nothing where no value was known."""
        at = measure["percentiles"]
        if at["50"] is None:
            return ""
        thresholds = tuple(float(threshold["number"]) for threshold in measure["thresholds"])
        spread = charts.Spread(at["5"], at["25"], at["50"], at["75"], at["95"], thresholds)
        said = ", ".join(f"{t['operator']} {t['number']}" for t in measure["thresholds"])
        title = f"{measure['measure']}: half between {number(at['25'])} and {number(at['75'])}"
        return charts.strip(name, f"{title}; thresholds {said}" if said else title, spread)
