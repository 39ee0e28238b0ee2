"""What the commands about rule files share: the triggers that ship, the paths argument, how problems are shown."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

import triggers
from schemas.base import to_ms
from streams.commands.console import Exit, complain, fail, say
from streams.commands.problem_formats import Format, formatted
from triggers.language.calendar import WEEKDAYS
from triggers.language.grammar import CHANNELS
from triggers.language.loader import Loaded, load_ruleset
from triggers.language.model import Policy, RuleSet
from triggers.language.reader import DAY_MS, show_duration

SCHEMAS_FOLDER = ".schemas"
"""Where the schemas for editors are, beside the rule files or a few folders above."""
SHIPPED = Path(next(iter(triggers.__path__))) / "library"
"""The triggers that ship with the product."""

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(help="Trigger files or folders; without any, the triggers that ship.", show_default=False),
]


def rules_at(paths: list[Path] | None, *, quiet: bool) -> list[Path]:
    """The paths given; without any the triggers that ship, and a line that says so where ``quiet`` is not set."""
    if not paths and not quiet:
        complain("the triggers that ship:")
    return paths or [SHIPPED]


def tell_defaults(loaded: Loaded) -> None:
    """Says on the error output what holds where no policy and no calendar was found beside the triggers."""
    found = {Path(file).name for file in loaded.files.values()}
    policy = Policy()
    if found and "policy.yaml" not in found:
        caps = [f"at most {cap.at_most} contacts in {_days(cap.per_ms)}" for cap in policy.caps]
        consent = ", ".join(channel for channel in CHANNELS if channel in policy.consent)
        quiet = "quiet hours" if policy.quiet else "no quiet hours"
        said = "; ".join([*caps, f"consent for {consent}", quiet])
        complain(f"no policy.yaml: the defaults apply ({said})")
    if found and "calendar.yaml" not in found:
        weekend = ", ".join(WEEKDAYS[day] for day in sorted(policy.calendar.weekend))
        holidays = "holidays" if policy.calendar.holidays else "no holidays"
        said = f"{policy.timezone.key}; closed on {weekend}; {holidays}"
        complain(f"no calendar.yaml: the defaults apply ({said})")


def _days(length_ms: int) -> str:
    return f"{length_ms // DAY_MS} days" if length_ms % DAY_MS == 0 else show_duration(length_ms)


def ruleset_or_exit(loaded: Loaded, path: Path, code: Exit = Exit.FAILED) -> RuleSet:
    """The rule set that was read from a path, or this exit code where it has errors."""
    if loaded.ruleset is None:
        fail(f"{path}: the triggers have errors; see: bank-triggers check {path}", code)
    return loaded.ruleset


def policy_of(path: Path) -> Policy:
    """The policy of trigger files, as far as they can be read; the defaults where they cannot."""
    loaded = load_ruleset([path])
    ruleset = loaded.ruleset or loaded.sound
    if loaded.ruleset is None:
        complain(f"{path}: the triggers have errors; see: bank-triggers check {path}")
    return ruleset.policy if ruleset is not None else Policy()


def moment_option(option: str, text: str | None, zone: ZoneInfo, *, end: bool) -> int | None:
    """A time in ms; a day is its beginning or its end, and a time without an offset is the bank's."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            fail(f"{option}: expected a day or a time such as 2026-03-02 or 2026-03-02T10:00:00+08:00", Exit.USAGE)
        return to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))
    begin = datetime.combine(day + timedelta(days=1) if end else day, datetime.min.time(), tzinfo=zone)
    return to_ms(begin) - end


def report_problems(loaded: Loaded, *, as_json: bool) -> None:
    """Every problem, a line each: on the error output, or as JSON on the output."""
    write_problems(loaded, Format.JSON if as_json else Format.TEXT)


def write_problems(loaded: Loaded, form: Format) -> None:
    """The problems in a format: text goes to the error output, what a machine reads to the output."""
    write = complain if form is Format.TEXT else say
    for line in formatted(loaded, form):
        write(line)
