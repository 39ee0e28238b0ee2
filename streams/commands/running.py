"""``worker`` and ``demo``."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.console import ConfigOption, Exit, JsonOption, complain, fail, settings_or_exit
from streams.commands.library import SHIPPED, ruleset_or_exit, tell_defaults
from streams.commands.trusting import release_or_exit, trust_or_exit
from streams.connections import NotReachable
from streams.log import configure_log
from streams.signing import Release, Trust
from triggers.language.loader import load_ruleset

log = logging.getLogger(__name__)

WORKER_EXAMPLE = (
    "Example: BANK_TRIGGERS_KAFKA_BOOTSTRAP=kafka:9092 BANK_TRIGGERS_REDIS_URL=redis://redis:6379/0 "
    "bank-triggers worker --rules ./triggers"
)
DEMO_EXAMPLE = "Example: bank-triggers demo --keep"


def worker(
    config: ConfigOption = None,
    rules: Annotated[Path | None, typer.Option(help="The folder of trigger files; else those that ship.")] = None,
) -> None:
    """Consumes the bank's events and puts next-best actions on the outreach queues, until it is told to stop."""
    from streams.refusals import Refused
    from streams.worker import CannotStart, check_start, run

    settings = settings_or_exit(config, rules=rules)
    configure_log(settings.log_level, settings.log_format)
    trust = trust_or_exit(settings)
    released = _release(settings.rules or SHIPPED, trust)
    try:
        asyncio.run(check_start(settings))
        code = run(settings, released, trust)
    except NotReachable as error:
        fail(str(error), Exit.UNREACHABLE)
    except CannotStart as error:
        for problem in error.problems:
            complain(problem)
        raise typer.Exit(Exit.REFUSED) from None
    except Refused as error:
        fail(str(error), Exit.REFUSED)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    if code:
        raise typer.Exit(Exit.FAILED)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Go on until Ctrl-C instead of ending by itself.")] = False,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long events are published.")] = 20,
    events: Annotated[int, typer.Option(min=100, max=100_000, help="How many events are published.")] = 12_000,
    as_json: JsonOption = False,
) -> None:
    """Shows the whole path on one machine: a bank, a worker, a notifier; then checks it against the pure engine."""
    from streams.demo import DemoOptions, run_demo

    raise typer.Exit(run_demo(DemoOptions(keep=keep, seconds=seconds, events=events, as_json=as_json)))


def _release(path: Path, trust: Trust) -> Release:
    loaded = load_ruleset([path])
    tell_defaults(loaded)
    for problem in loaded.problems:
        complain(str(problem))
    found = release_or_exit(ruleset_or_exit(loaded, path, Exit.REFUSED), path, trust)
    if signers := trust.signers(found.ruleset.document, found.signatures):
        log.info("rule set %s is signed by the key %s", found.ruleset.hash, ", ".join(signers))
    return found
