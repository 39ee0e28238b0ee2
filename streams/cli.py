"""The command ``bank-triggers``: what can be typed, and where it is carried out."""

from __future__ import annotations

import typer

from streams.commands import (
    backtest,
    checking,
    contracts,
    events,
    explaining,
    queues,
    running,
    state,
    testing,
    topics,
)
from streams.commands.console import EXIT_CODES

app = typer.Typer(
    name="bank-triggers",
    help="Real-time triggers for retail banks: events in, next-best actions out.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command(epilog=running.WORKER_EXAMPLE)(running.worker)
app.command(epilog=running.DEMO_EXAMPLE)(running.demo)
app.command(name="check", epilog=checking.CHECK_EXAMPLE)(checking.check_rules)
app.command(name="test", epilog=testing.TEST_EXAMPLE)(testing.run_cases)
app.command(name="explain", epilog=explaining.EXPLAIN_EXAMPLE)(explaining.explain_trigger)
app.command(epilog=backtest.BACKTEST_EXAMPLE)(backtest.backtest)
app.command(epilog=events.PUBLISH_EXAMPLE)(events.publish)
app.command(name="import", epilog=events.IMPORT_EXAMPLE)(events.import_)
app.command(epilog=events.SIMULATE_EXAMPLE)(events.simulate)
app.command(epilog=queues.ACTIONS_EXAMPLE)(queues.actions)
app.command(epilog=queues.DECISIONS_EXAMPLE)(queues.decisions)
app.add_typer(queues.dead_letters, name="dead-letters")
app.add_typer(topics.app, name="topics")
app.add_typer(state.app, name="state")
app.add_typer(contracts.schemas, name="schemas")


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
