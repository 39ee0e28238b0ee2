"""What the commands that run rule sets share: whose they take, and how they end where one is of nobody they trust."""

from __future__ import annotations

from pathlib import Path

from streams.commands.console import Exit, fail
from streams.settings import Settings
from streams.signing import ANYONE, SETTING, KeyUnusable, NotSigned, Release, Trust, read_public_keys, release
from triggers.language.model import RuleSet


def trust_or_exit(settings: Settings) -> Trust:
    """The public keys of the settings, or exit code 3 with what is wrong with them."""
    if settings.ruleset_public_keys is None:
        return ANYONE
    try:
        return read_public_keys(settings.ruleset_public_keys)
    except KeyUnusable as error:
        fail(f"{SETTING}: {error}", Exit.SETTINGS)


def release_or_exit(ruleset: RuleSet, path: Path, trust: Trust) -> Release:
    """The rule set with its signatures, or exit code 5 with why it is not taken."""
    try:
        return release(ruleset, path, trust)
    except NotSigned as error:
        fail(str(error), Exit.REFUSED)
