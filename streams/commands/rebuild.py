"""``state rebuild``: lost states made again from what Kafka keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.console import ConfigOption, Exit, fail, run, say, settings_or_exit
from streams.commands.library import ruleset_or_exit
from streams.commands.trusting import release_or_exit, trust_or_exit
from streams.settings import Settings
from triggers.language.loader import load_ruleset

if TYPE_CHECKING:
    from streams.rebuilder import Request
    from streams.signing import Release, Trust

EXAMPLE = "Example: bank-triggers state rebuild --partition 3 --dry-run"


def rebuild(
    partition: Annotated[
        list[int] | None, typer.Option(min=0, help="A partition; several may be given. Else all that are lost.")
    ] = None,
    config: ConfigOption = None,
    rules: Annotated[
        list[Path] | None, typer.Option(help="A folder of trigger files that is no longer kept elsewhere.")
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Also where Kafka no longer keeps everything: see what that means.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also partitions that the store holds; what it holds is replaced.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Makes the states of partitions that the store has lost again, and sends nothing.

    Every batch of the journal is run again as it was, over the records that Kafka still has: the states come out as
    they were. A worker goes on from there. Stop the workers first. A rebuild that is broken off changes nothing and
    may be begun again.

    With --incomplete also where Kafka no longer keeps the first batches. What was processed before the time that is
    named is then unknown: balances, windows, holdings, profiles with their consents, handovers, waiting steps of
    ladders. Contacts are known from the decisions, so that caps and cooldowns hold, and those refusals and exclusions
    that ever held back an action. Have profiles and open holdings published again before a worker starts.
    """
    # Only here: the clients take as long to import as an author's command takes to run.
    from streams.rebuilder import Request
    from streams.refusals import Refused
    from streams.store import Fenced, StoreCorrupt

    settings = settings_or_exit(config)
    trust = trust_or_exit(settings)
    request = Request(
        partition, _load(rules or [], trust), trust, incomplete=incomplete, replace=replace, dry_run=dry_run
    )
    try:
        run(lambda: _rebuild(settings, request, ask=not yes))
    except Refused as error:
        fail(str(error), Exit.REFUSED)
    except (Fenced, StoreCorrupt) as error:
        fail(f"nothing is changed: {error}", Exit.REFUSED)


def _load(folders: Sequence[Path], trust: Trust) -> dict[str, Release]:
    releases = {}
    for folder in folders:
        ruleset = ruleset_or_exit(load_ruleset([folder]), folder)
        releases[ruleset.hash] = release_or_exit(ruleset, folder, trust)
    return releases


async def _rebuild(settings: Settings, request: Request, *, ask: bool) -> None:
    from streams.connections import await_kafka, await_store
    from streams.rebuilder import Rebuilder, check_nobody_runs
    from streams.worker import open_store

    def agreed(partitions: int) -> None:
        if ask:
            typer.confirm(f"Rebuild {partitions} partitions?", abort=True)

    await await_kafka(settings)
    store = open_store(settings)
    try:
        await await_store(store, settings)
        await check_nobody_runs(settings)
        await Rebuilder(settings, store, request, say).run(agreed)
    finally:
        await store.close()
