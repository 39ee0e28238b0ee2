"""``report``: what contacts came to: the funnel, the lift against those held out, and whose salary stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from schemas.topics import DECISIONS, TOPIC
from streams.backtest.page import number, share
from streams.backtest.sources import CUSTOMER_TOPICS, NoEvents, find_files
from streams.commands.console import (
    ConfigOption,
    Exit,
    JsonOption,
    complain,
    fail,
    run,
    say,
    say_json,
    settings_or_exit,
    show_rows,
)
from streams.commands.library import SHIPPED, moment_option, policy_of
from streams.connections import await_kafka, kafka_options
from streams.outcomes import Fill, Options, as_json, sum_up
from streams.record_files import read_records
from streams.settings import Settings
from streams.topic_reader import NoSuchTopic, read_topic
from triggers.casework.backtest import Arrival
from triggers.casework.lift import CONFIDENCE
from triggers.casework.reasons import MEANINGS
from triggers.errors import Problem

REPORT_EXAMPLE = "Example: bank-triggers report --since 2026-03-01 --until 2026-03-31 --within 14"

_TOPICS: Final = (TOPIC[DECISIONS], *CUSTOMER_TOPICS)
_SHOWN: Final = 10
_DAYS_SHOWN: Final = 31
_STEPS: Final = ("candidates", "waiting", "allowed", "sent", "actions", "opened", "bought", "withdrawn")


def report(
    records: Annotated[
        list[Path] | None,
        typer.Option(
            "--records",
            help="Files or folders instead of Kafka: event files, and what `decisions --json` prints. May be repeated.",
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option("--rules", help="Trigger files, whose time zone and currency hold; else the setting's, or ours."),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Leave out what began before this time or day.")] = None,
    until: Annotated[
        str | None, typer.Option(help="How far the records reach, a time or day; else to the newest decision.")
    ] = None,
    within: Annotated[int, typer.Option(min=1, max=366, help="Days in which a purchase counts for the lift.")] = 30,
    kept_days: Annotated[int, typer.Option(min=1, max=31, help="Days after payday to see what is left.")] = 7,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the lift's interval.")] = CONFIDENCE,
    config: ConfigOption = None,
    as_json_: JsonOption = False,
) -> None:
    """Shows how far candidates came, what contacts brought beside the customers held out, and whose salary stays.

    It reads decisions, feedback and the customers' events, from the topics or from files. Shares are of the row before;
    a purchase counts for the lift whatever led to it, for those held out answer to nothing.
    """
    if records is not None and config is not None:
        fail("expected either --records or --config", Exit.USAGE)
    settings = settings_or_exit(config) if records is None else None
    policy = policy_of(rules or (settings.rules if settings else None) or SHIPPED)
    zone = policy.timezone
    options = Options(
        zone=zone,
        currency=policy.currency,
        tenant=settings.tenant if settings else "",
        since_ms=moment_option("--since", since, zone, end=False),
        until_ms=moment_option("--until", until, zone, end=True),
        within_days=within,
        kept_days=kept_days,
        confidence=confidence,
    )
    if options.since_ms is not None and options.until_ms is not None and options.since_ms > options.until_ms:
        fail("--since is later than --until", Exit.USAGE)
    problems: list[str] = []
    try:
        found = as_json(sum_up(_fill(settings, records or [], problems.append), options))
    except (NoEvents, NoSuchTopic) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'a file'}: cannot be written ({error.strerror or type(error).__name__})")
    if as_json_:
        say_json(found)
    else:
        _show(found)
    _complain(found, problems)
    if any(" F001 " in problem for problem in problems):
        raise typer.Exit(Exit.FAILED)


def _fill(settings: Settings | None, paths: Sequence[Path], note: Callable[[str], None]) -> Fill:
    def from_files(take: Callable[[Arrival], None]) -> None:
        for source in find_files(paths):
            for line in read_records(source.path):
                if isinstance(line, Problem):
                    note(str(line))
                elif line.topic in _TOPICS:
                    take(line)

    if settings is None:
        return from_files

    async def read(take: Callable[[Arrival], None]) -> None:
        await await_kafka(settings)
        options = kafka_options(settings)

        async def of(number: int) -> None:
            topic = _TOPICS[number]
            async for raw in read_topic(options, settings.topic_prefix + topic.name):
                take(Arrival(topic, raw.key, raw.value or b"", number, raw.offset))

        # Side by side: the sums do not depend on the order.
        await asyncio.gather(*map(of, range(len(_TOPICS))))

    return lambda take: run(lambda: read(take))


def _show(found: Mapping[str, Any]) -> None:
    funnel = found["funnel"]
    reach = f"until {found['until']}" if found["since"] is None else f"{found['since']} to {found['until']}"
    say(f"{found['tenant']}: {number(found['customers'])} customers, {reach} (days of {found['timezone']})")
    total = [
        ("events", number(funnel["events"]), ""),
        ("candidates", number(funnel["candidates"]), ""),
        ("allowed", number(funnel["allowed"]), share(funnel["allowed"], funnel["candidates"])),
        ("sent", number(funnel["sent"]), share(funnel["sent"], funnel["allowed"])),
        ("opened", number(funnel["opened"]), share(funnel["opened"], funnel["sent"])),
        ("bought", number(funnel["bought"]), share(funnel["bought"], funnel["opened"])),
    ]
    show_rows("The funnel", ("step", "number", "of the step before"), total)
    for dimension in ("trigger", "channel", "tier", "waited", "day"):
        rows: Mapping[str, Mapping[str, int]] = funnel[f"by_{dimension}"]
        name = dimension
        if dimension == "day" and len(rows) > _DAYS_SHOWN:
            rows, name = _by_month(rows), "month"
        show_rows(
            f"By {name}",
            (name, *_STEPS, "bought of sent"),
            [
                (key, *(number(row[step]) for step in _STEPS), share(row["bought"], row["sent"]))
                for key, row in rows.items()
            ],
        )
    held = found["not_sent"]
    show_rows(
        "Not sent, by reason",
        ("reason", "candidates", "share", "meaning"),
        [
            (reason, number(count), share(count, held["total"]), MEANINGS.get(reason, ""))
            for reason, count in held["by_reason"].items()
        ],
    )
    _show_lift(found["lift"])
    payroll = found["payroll"]
    show_rows(
        f"Payroll: who comes back, and what is kept for {payroll['kept_days']} days",
        ("month", "customers", "came back", "share", "salaries", "paid", "kept", "share kept"),
        [
            (
                name,
                number(month["customers"]),
                "not over yet" if month["came_back"] is None else number(month["came_back"]),
                _percent(month["came_back_share"]),
                number(month["salaries"]),
                month["paid"],
                month["kept"],
                _percent(month["kept_share"]),
            )
            for name, month in payroll["by_month"].items()
        ],
    )


def _show_lift(lift: Mapping[str, Any]) -> None:
    rows = []
    for name, one in [("the bank", lift["bank"]), *lift["by_trigger"].items()]:
        interval = "–" if one["low"] is None else f"{_points(one['low'])} to {_points(one['high'])}"
        rows.append(
            (
                name,
                f"{number(one['contacted_bought'])} of {number(one['contacted'])}",
                f"{number(one['held_out_bought'])} of {number(one['held_out'])}",
                "–" if one["difference"] is None else _points(one["difference"]),
                interval,
                number(one["under_way"]),
                one["verdict"],
            )
        )
    show_rows(
        f"Lift: bought within {lift['within_days']} days ({lift['confidence']:.0%} interval, Newcombe–Wilson)",
        ("of", "contacted", "held out", "difference", "interval", "under way", "what it says"),
        rows,
    )


def _by_month(days: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    months: dict[str, dict[str, int]] = {}
    for day, row in days.items():
        month = months.setdefault(day[:7], dict.fromkeys(_STEPS, 0))
        for step in _STEPS:
            month[step] += row[step]
    return months


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{100 * part:.1f}%"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


def _complain(found: Mapping[str, Any], problems: Sequence[str]) -> None:
    for problem in problems[:_SHOWN]:
        complain(problem)
    if len(problems) > _SHOWN:
        complain(f"… and {len(problems) - _SHOWN} more mistakes")
    if found["no_records"]:
        told = ", ".join(f"{reason} {count:,}" for reason, count in found["no_records"].items())
        complain(f"messages that are no records, and take no part: {told}")
    if not found["funnel"]["candidates"]:
        complain("no decision of that time is among the records")
