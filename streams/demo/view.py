"""What the demo shows: a live table on a terminal, a line now and then elsewhere, and the summary at its end."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from schemas.base import from_ms
from streams.demo.check import Verdict
from streams.demo.stories import Story
from streams.demo.tap import Tally
from streams.simulator.records import ZONE

_LINE_EVERY_S: Final = 2.0
_LIVE_REASONS: Final = 6
_LIVE_FRAME: Final = 13
"""Lines of a screen that are no rows: the frames and heads of the tables, the headline (two where it is long)."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the demo is. ``p50_ms`` and ``p99_ms`` are from publishing an event to reading its action."""

    phase: str
    published: int
    of: int
    reached_ms: int
    seconds: float
    feedback: int
    tally: Tally
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo did. Times are in the unit of the name, ``None`` where nothing was measured."""

    events: int
    seconds: float
    duplicates: int
    feedback: int
    notifier: dict[str, int]
    tally: Tally
    measured: int
    p50_ms: float | None
    p99_ms: float | None
    verdict: Verdict
    total_seconds: float
    stories: Sequence[Story] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def events_per_second(self) -> float:
        """Records that came in and were processed, over the time from the first to the last."""
        return (self.events + self.feedback) / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """The summary for a machine."""
        return {
            "ok": self.verdict.passed,
            "events": self.events,
            "duplicates": self.duplicates,
            "feedback": self.feedback,
            "seconds": round(self.seconds, 2),
            "events_per_second": round(self.events_per_second),
            "actions": _nested(self.tally.actions),
            "withdrawn": _nested(self.tally.cancellations),
            "suppressed": dict(self.tally.suppressed.most_common()),
            "dead_letters": dict(self.tally.dead_letters.most_common()),
            "desks": dict(self.tally.steps.most_common()),
            "notifier": self.notifier,
            "latency_ms": {"measured": self.measured, "p50": self.p50_ms, "p99": self.p99_ms},
            "check": [
                {"name": f.name, "ok": f.passed, "compared": f.compared, "difference": f.difference}
                for f in self.verdict.findings
            ],
            "repeats": self.verdict.repeats,
            "stories": {story.kind: story.text for story in self.stories},
            "total_seconds": round(self.total_seconds, 1),
            **self.extra,
        }


class View(Protocol):
    """Shows progress while it is entered, then the summary."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...
    def show(self, progress: Progress) -> None: ...
    def conclude(self, summary: Summary) -> None: ...
    def say(self, text: str) -> None: ...


def make_view(*, as_json: bool) -> View:
    """The view that fits where the output goes."""
    if as_json:
        return JsonView()
    console = Console()
    return LiveView(console) if console.is_terminal else LineView()


class LiveView:
    """A table that moves."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        head = Text(_headline(progress), style="bold")
        # As many rows as the terminal has room for beside the rest; the summary at the end has all.
        reasons = _other_table(progress.tally, _LIVE_REASONS)
        room = max(_LIVE_REASONS, self._console.height - reasons.row_count - _LIVE_FRAME)
        self._live.update(Group(head, _action_table(progress.tally, room), reasons))

    def conclude(self, summary: Summary) -> None:
        self._console.print(_action_table(summary.tally))
        self._console.print(_other_table(summary.tally))
        check = Table("check against the pure engine", "compared", "result", title=None)
        for finding in summary.verdict.findings:
            result = Text("equal", style="green") if finding.passed else Text(finding.difference, style="bold red")
            check.add_row(finding.name, f"{finding.compared:,}", result)
        self._console.print(check)
        told = Table("for example", "")
        for story in summary.stories:
            told.add_row(story.kind, story.text or "none this time")
        self._console.print(told)
        for line in _closing_lines(summary):
            self._console.print(line, highlight=False)

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)


class LineView:
    """Plain lines, for a log or a pipe."""

    def __init__(self) -> None:
        self._next = 0.0
        self._phase = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        pass

    def show(self, progress: Progress) -> None:
        if time.monotonic() < self._next and progress.phase == self._phase:
            return
        self._next, self._phase = time.monotonic() + _LINE_EVERY_S, progress.phase
        self.say(_headline(progress))

    def conclude(self, summary: Summary) -> None:
        tally = summary.tally
        for (trigger, channel), count in sorted(tally.actions.items()):
            self.say(f"actions\t{trigger}\t{channel}\t{count}")
        for (trigger, reason), count in sorted(tally.cancellations.items()):
            self.say(f"withdrawn\t{trigger}\t{reason}\t{count}")
        for reason, count in tally.suppressed.most_common():
            self.say(f"suppressed\t{reason}\t{count}")
        for reason, count in tally.dead_letters.most_common():
            self.say(f"dead letters\t{reason}\t{count}")
        for finding in summary.verdict.findings:
            self.say(f"check\t{finding.name}\t{finding.compared}\t{finding.difference or 'equal'}")
        for story in summary.stories:
            self.say(f"for example\t{story.kind}\t{story.text or 'none this time'}")
        for line in _closing_lines(summary):
            self.say(line)

    def say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


class JsonView:
    """One JSON object at the end, nothing before; remarks go to the error output."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        pass

    def show(self, progress: Progress) -> None:
        pass

    def conclude(self, summary: Summary) -> None:
        sys.stdout.write(json.dumps(summary.to_json(), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        sys.stderr.write(text + "\n")


def _headline(progress: Progress) -> str:
    day = from_ms(progress.reached_ms).astimezone(ZONE).date()
    rate = progress.published / progress.seconds if progress.seconds else 0
    latency = "" if progress.p50_ms is None else f", p50 {progress.p50_ms:.0f} ms, p99 {progress.p99_ms:.0f} ms"
    tally = progress.tally
    return (
        f"{progress.phase}: bank day {day}, {progress.published:,} of {progress.of:,} events ({rate:,.0f}/s), "
        f"{tally.actions.total():,} actions, {tally.suppressed.total():,} suppressed, "
        f"{tally.dead_letters.total():,} dead letters, {progress.feedback:,} feedback{latency}"
    )


def _action_table(tally: Tally, most: int | None = None) -> Table:
    """Actions by trigger and channel; of more triggers than ``most`` the busiest."""
    # Copies: the counters grow in another thread.
    actions, withdrawn = Counter(tally.actions), Counter(tally.cancellations)
    channels = sorted({channel for _, channel in actions})
    table = Table("trigger", *channels, "withdrawn")
    totals = Counter({name: 0 for name, _ in withdrawn})
    for (name, _), count in actions.items():
        totals[name] += count
    busiest = [name for name, _ in totals.most_common(most)]
    for trigger in sorted(busiest):
        counts = [f"{actions[trigger, channel]:,}" if actions[trigger, channel] else "" for channel in channels]
        back = sum(count for (name, _), count in withdrawn.items() if name == trigger)
        table.add_row(trigger, *counts, f"{back:,}" if back else "")
    if len(busiest) < len(totals):
        table.caption = f"the busiest of {len(totals)} triggers"
    return table


def _other_table(tally: Tally, most: int | None = None) -> Table:
    table = Table("suppressed", "", "dead letters", "")
    suppressed = Counter(tally.suppressed).most_common(most)
    dead = Counter(tally.dead_letters).most_common(most or max(6, len(suppressed)))
    for row in range(max(len(suppressed), len(dead), 1)):
        left = (suppressed[row][0], f"{suppressed[row][1]:,}") if row < len(suppressed) else ("", "")
        right = (dead[row][0], f"{dead[row][1]:,}") if row < len(dead) else ("", "")
        table.add_row(*left, *right)
    return table


_STEPS: Final = {
    "assigned": "assigned",
    "handed_over": "handed over",
    "call": "asked to call",
    "recalled": "recalled",
}


def _closing_lines(summary: Summary) -> list[str]:
    tally = summary.tally
    latency = (
        "no action on an event was measured"
        if summary.p50_ms is None
        else f"from publishing an event to reading its action ({summary.measured:,} measured): "
        f"p50 {summary.p50_ms:.1f} ms, p99 {summary.p99_ms:.1f} ms"
    )
    verdict = "yes" if summary.verdict.passed else "NO"
    inflow = (
        f"{summary.events:,} events and {summary.feedback:,} feedback in {summary.seconds:.1f} s: "
        f"{summary.events_per_second:,.0f}/s, {summary.duplicates:,} of them duplicates"
    )
    outflow = (
        f"{tally.actions.total():,} actions, {tally.cancellations.total():,} withdrawn, "
        f"{tally.suppressed.total():,} suppressed, {tally.dead_letters.total():,} dead letters; "
        f"desks: {', '.join(f'{count} {_STEPS[step]}' for step, count in tally.steps.most_common()) or 'nothing'}"
    )
    lines = [
        inflow,
        outflow,
        latency,
        f"actions equal, none lost, none twice: {verdict} ({summary.verdict.repeats} repeats on the topics)",
    ]
    lines += [f"  {f.name}: {f.difference}" for f in summary.verdict.findings if not f.passed]
    return lines


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (first, second), count in sorted(counts.items()):
        nested.setdefault(first, {})[second] = count
    return nested
