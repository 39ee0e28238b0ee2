"""The command ``bank-triggers``: what can be typed, and where it is carried out.

The module of a command is imported when that command is asked for: ``check`` does not wait for Kafka's client.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from streams.collector import THRESHOLDS
from streams.commands.console import EXIT_CODES

COMMANDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "worker": ("running", "worker", "WORKER_EXAMPLE"),
    "demo": ("running", "demo", "DEMO_EXAMPLE"),
    "new": ("authoring", "new", "NEW_EXAMPLE"),
    "fmt": ("authoring", "fmt", "FMT_EXAMPLE"),
    "check": ("checking", "check_rules", "CHECK_EXAMPLE"),
    "test": ("testing", "run_cases", "TEST_EXAMPLE"),
    "explain": ("explaining", "explain_trigger", "EXPLAIN_EXAMPLE"),
    "backtest": ("backtest", "backtest", "BACKTEST_EXAMPLE"),
    "publish": ("events", "publish", "PUBLISH_EXAMPLE"),
    "import": ("events", "import_", "IMPORT_EXAMPLE"),
    "simulate": ("events", "simulate", "SIMULATE_EXAMPLE"),
    "actions": ("queues", "actions", "ACTIONS_EXAMPLE"),
    "why": ("why", "why", "WHY_EXAMPLE"),
    "report": ("report", "report", "REPORT_EXAMPLE"),
    "decisions": ("queues", "decisions", "DECISIONS_EXAMPLE"),
}
"""Each command's module under ``streams.commands``, its function there, and the example that its help ends with."""

GROUPS: Final[Mapping[str, tuple[str, str]]] = {
    "dead-letters": ("dead_letters", "app"),
    "topics": ("topics", "app"),
    "state": ("state", "app"),
    "rules": ("rules", "app"),
    "schemas": ("contracts", "schemas"),
}
"""Each group of commands: its module and the group there."""


class _OnDemand(Mapping[str, Any]):
    """The commands by name, each made when it is first looked up."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        yield from COMMANDS
        yield from GROUPS

    def __len__(self) -> int:
        return len(COMMANDS) + len(GROUPS)


class _Commands(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _OnDemand()  # type: ignore[assignment]  # nothing is added to it


def _make(name: str) -> Any:
    """A command or a group as it stands under ``app``. Raises ``KeyError`` for another name."""
    parent = typer.Typer(rich_markup_mode=None)
    if name in COMMANDS:
        place, function, example = COMMANDS[name]
        module = import_module(f"streams.commands.{place}")
        parent.command(name=name, epilog=getattr(module, example))(getattr(module, function))
    else:
        place, group = GROUPS[name]
        parent.add_typer(getattr(import_module(f"streams.commands.{place}"), group), name=name)
    return typer.main.get_group(parent).commands[name]


app = typer.Typer(
    name="bank-triggers",
    cls=_Commands,
    help="Real-time triggers for retail banks: events in, next-best actions out.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    """Typer wants a command or a callback before it makes a group."""


def main() -> None:
    """Runs the command line."""
    # Modules and rule sets are many objects that stay: walked as often as Python would, they cost a command a fourth
    # of its time.
    gc.set_threshold(*THRESHOLDS)
    app()


if __name__ == "__main__":
    main()
