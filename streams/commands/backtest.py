"""``backtest``: what a rule set would have done on recorded events, on a terminal, as JSON and as a page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from schemas.topics import INBOUND
from streams.backtest.page import never_fired, never_true, nothing_live, number, over_time, render, share
from streams.backtest.parts import Take
from streams.backtest.report import as_json as report_json
from streams.backtest.report import place
from streams.backtest.run import Options, Result, run_backtest, run_files
from streams.backtest.sources import CUSTOMER_TOPICS, NoEvents, find_files
from streams.backtest.workers import WorkerLost
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
from streams.commands.library import PathsArgument, moment_option, report_problems, rules_at, tell_defaults
from triggers.casework.backtest import drafts_in_shadow
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

BACKTEST_EXAMPLE = "Example: bank-triggers backtest ./my-triggers --events events.jsonl.gz --html report.html"

_TOPIC_NAMES: Final = tuple(topic.name for topic in INBOUND)
_DAYS_SHOWN: Final = 31


def backtest(
    paths: PathsArgument = None,
    events: Annotated[
        list[str] | None,
        typer.Option("--events", "-e", help="An event file, a folder of them, or a topic's name; may be repeated."),
    ] = None,
    from_topics: Annotated[
        bool, typer.Option("--from-topics", help="Read all customers' topics from Kafka, as far as they reach now.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="Leave out events before this time or day (the events' own time).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Leave out events after this time or day; the clock runs on to it.")
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Evaluate drafts in shadow, beside what is live.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes; without it, all cores.", show_default=False)
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML page.")] = None,
    actions: Annotated[
        Path | None, typer.Option("--actions", help="Write every action and withdrawal, a JSON object a line.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="The tenant whose events count; else the first event's, or the settings'.")
    ] = None,
    show_errors: Annotated[int, typer.Option(min=0, max=10_000, help="How many input errors are listed.")] = 20,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where the input has any error.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shows what triggers would have done on recorded events: through the production engine, sending nothing."""
    ruleset = _ruleset(rules_at(paths, quiet=as_json), shadow=shadow, as_json=as_json)
    zone = ruleset.policy.timezone
    options = Options(
        jobs=jobs or len(os.sched_getaffinity(0)),
        tenant=tenant,
        since_ms=moment_option("--since", since, zone, end=False),
        until_ms=moment_option("--until", until, zone, end=True),
        show_errors=show_errors,
        actions=actions,
    )
    if options.since_ms is not None and options.until_ms is not None and options.since_ms > options.until_ms:
        fail("--since is later than --until", Exit.USAGE)
    try:
        result = _run(ruleset, events or [], from_topics, options, config)
        if html is not None:
            html.write_text(render(result), "utf-8")
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    except NoEvents as error:
        fail(str(error))
    except WorkerLost as error:
        fail(f"the backtest could not be finished: {error}")
    except OSError as error:
        fail(f"{error.filename or 'a file'}: cannot be written ({error.strerror or type(error).__name__})")
    if as_json:
        say_json(report_json(result))
    else:
        _show(result)
    _complain(result)
    if not result.complete or (strict and result.tally.errors):
        raise typer.Exit(Exit.FAILED)


def _ruleset(paths: Sequence[Path], *, shadow: bool, as_json: bool) -> RuleSet:
    loaded = load_ruleset(paths)
    if not as_json:
        tell_defaults(loaded)
    if loaded.ruleset is None:
        report_problems(loaded, as_json=False)
        raise typer.Exit(Exit.FAILED)
    drafts = sum(trigger.status == "draft" for trigger in loaded.ruleset.triggers)
    if drafts and not shadow:
        what = (
            "drafts do not run; --shadow shows what they"
            if drafts > 1
            else "draft does not run; --shadow shows what it"
        )
        complain(f"{drafts} {what} would have done")
    return drafts_in_shadow(loaded.ruleset) if shadow else loaded.ruleset


def _run(ruleset: RuleSet, events: Sequence[str], from_topics: bool, options: Options, config: Path | None) -> Result:
    named = [name for name in events if name in _TOPIC_NAMES and not Path(name).exists()]
    files = [Path(name) for name in events if name not in named]
    if not events and not from_topics:
        fail("nothing to run; give --events FILE, FOLDER or TOPIC, or --from-topics", Exit.USAGE)
    if files and (named or from_topics):
        fail("events come from files or from Kafka, not from both", Exit.USAGE)
    with progress_on(Console(stderr=True)) as progress:
        if files:
            return run_files(ruleset, find_files(files), options, progress)
        # Kafka's client takes long to import, and files do without.
        from streams.backtest.topics import find_topics, read_topics, topics_named

        settings = settings_or_exit(config)
        topics = list(CUSTOMER_TOPICS) if from_topics else topics_named(named)
        found = run(lambda: find_topics(settings, topics))

        def fill_from_kafka(take: Take) -> None:
            async def read() -> None:
                async for arrival in read_topics(settings, topics, found):
                    take(arrival)

            run(read)

        options = replace(options, tenant=options.tenant or settings.tenant)
        return run_backtest(ruleset, found.names, fill_from_kafka, options, progress)


@contextmanager
def progress_on(console: Console) -> Iterator[_Shown]:
    """A progress bar where the console is a terminal, and nothing elsewhere."""
    # Told to refresh by the work itself: a thread must not stand beside the fork of the processes.
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        auto_refresh=False,
        disable=not console.is_terminal,
    )
    with bar:
        yield _Shown(bar)


class _Shown:
    """Shows how far the backtest has come, on a terminal."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("reading", total=None)

    def reading(self, messages: int) -> None:
        self._bar.update(self._task, description=f"{messages:,} events read", refresh=True)

    def running(self, done: int, total: int) -> None:
        self._bar.update(self._task, description=f"running {total:,} events", total=total, completed=done, refresh=True)


def _complain(result: Result) -> None:
    """The input's errors, on the error output."""
    errors = result.tally.errors
    for error in result.tally.located:
        field = f"{error.field}: " if error.field else ""
        complain(f"{place(result, error)} {error.code} {field}{error.problem}")
    if errors.total() > len(result.tally.located):
        complain(f"… and {errors.total() - len(result.tally.located)} more input errors")
    if errors:
        complain("input errors: " + ", ".join(f"{code} {count:,}" for code, count in sorted(errors.items())))
    if not result.tally.customers:
        complain("no event took part")


def _show(result: Result) -> None:
    """The tables."""
    report = report_json(result)
    given, actions, shadow = report["input"], report["actions"], report["shadow"]
    say(
        f"{sum(given['events'].values()):,} events of {given['customers']:,} customers"
        + (f", {given['first']} to {given['last']}" if given["first"] else "")
        + f"; {actions['total']:,} actions, {report['suppressed']['total']:,} held back, "
        f"{report['cancelled']['total']:,} withdrawn"
        + (f"; in shadow {sum(one['would_send'] for one in shadow):,} would have been sent" if shadow else "")
    )
    if given["not_of_customers"]:
        say(f"besides, events that are not by customer, left out: {_listed(given['not_of_customers'])}")
    if given["outside_the_range"]:
        say(f"besides, outside the time range: {given['outside_the_range']:,}")
    _show_shadow(shadow)
    if why := nothing_live(report):
        say(why)
    else:
        _show_live(report)
    _show_measures(report)


def _show_live(report: dict[str, Any]) -> None:
    """What the live triggers did."""
    actions = report["actions"]
    total = actions["total"]
    show_rows(
        "Actions by trigger",
        ("trigger", "status", "actions", "share", "withdrawn", "waited", "held back"),
        [
            (
                one["trigger"],
                one["status"],
                number(actions["by_trigger"].get(one["trigger"], 0)),
                share(actions["by_trigger"].get(one["trigger"], 0), total),
                number(sum(report["cancelled"]["by_trigger"].get(one["trigger"], {}).values())),
                number(sum(report["deferred"]["by_trigger"].get(one["trigger"], {}).values())),
                number(sum(report["suppressed"]["by_trigger"].get(one["trigger"], {}).values())),
            )
            for one in report["triggers"]
        ],
    )
    for what in ("tier", "channel"):
        rows = [(name, number(count), share(count, total)) for name, count in actions[f"by_{what}"].items()]
        show_rows(f"Actions by {what}", (what, "actions", "share"), rows)
    by_time = over_time(actions["cells"])
    if len(by_time.columns) <= _DAYS_SHOWN:
        rows = [(column.label, number(column.total), share(column.total, total)) for column in by_time.columns]
        show_rows(f"Actions by {by_time.step}", (by_time.step, "actions", "share"), rows)
    else:
        months: dict[str, int] = {}
        for day, count in actions["by_day"].items():
            months[day[:7]] = months.get(day[:7], 0) + count
        rows = [(month, number(count), share(count, total)) for month, count in months.items()]
        show_rows("Actions by month (by day: --json, --html)", ("month", "actions", "share"), rows)
    held = report["suppressed"]["by_reason"]
    all_held = report["suppressed"]["total"]
    rows = [(reason, number(count), share(count, all_held)) for reason, count in held.items()]
    show_rows("Held back, by reason", ("reason", "times", "share"), rows)
    show_rows(
        "Customers with most contacts",
        ("customer", "contacts", "by trigger"),
        [(one["customer"], number(one["contacts"]), _listed(one["by_trigger"])) for one in _most(report)],
    )


def _show_shadow(shadow: list[dict[str, Any]]) -> None:
    show_rows(
        "In shadow",
        ("trigger", "would send", "beside a live action", "would wait", "would be held back"),
        [
            (
                one["trigger"],
                number(one["would_send"]),
                number(one["of_these_beside_a_live_action"]),
                number(one["would_wait"]),
                "its condition was never true in these events"
                if never_fired(one)
                else _listed(one["would_be_held_back"]),
            )
            for one in shadow
        ],
    )


def _most(report: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report["contacts"]["most_contacted"]
    return found


def _show_measures(report: dict[str, Any]) -> None:
    every = report["measured_one_moment_in"]
    title = "Measures beside their thresholds" + (f" (one moment in {every})" if every > 1 else "")
    show_rows(
        title,
        ("trigger", "measure", "known", "p5", "p50", "p95", "thresholds, share of looks true"),
        [
            (
                one["trigger"],
                one["measure"],
                number(one["known"]),
                *(number(one["percentiles"][percent]) for percent in ("5", "50", "95")),
                ", ".join(
                    f"{threshold['operator']} {threshold['number']} {share(threshold['held'], one['known'])}"
                    + (f" ({never})" if (never := never_true(threshold, one, every)) else "")
                    for threshold in one["thresholds"]
                )
                or "; ".join(one["clauses"]),
            )
            for one in report["measures"]
        ],
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "–"
