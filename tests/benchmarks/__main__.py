"""``python -m tests.benchmarks [MODE]``: figures, never asserts. Nothing else should run on the machine meanwhile.

Each mode is a module of this folder with its help text ``ABOUT``, ``add_arguments(parser)`` and ``run(given)``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.benchmarks import (
    authoring,
    backtest,
    drain,
    engine,
    expressions,
    functions,
    growth,
    latency,
    profile,
    recovery,
    report,
)
from tests.benchmarks.results import before, tell_void

MODES: Final[dict[str, ModuleType]] = {
    "drain": drain,
    "engine": engine,
    "latency": latency,
    "growth": growth,
    "backtest": backtest,
    "authoring": authoring,
    "expressions": expressions,
    "functions": functions,
    "recovery": recovery,
    "profile": profile,
    "report": report,
}
DEFAULT: Final = "drain"


def parse(arguments: list[str]) -> argparse.Namespace:
    """A mode's name, the default one where there is none, and its options."""
    if not arguments or (arguments[0] not in MODES and arguments[0] not in ("-h", "--help")):
        arguments = [DEFAULT, *arguments]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True)
    for name, module in MODES.items():
        module.add_arguments(modes.add_parser(name, help=module.ABOUT, description=module.__doc__, allow_abbrev=False))
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Runs one mode."""
    given = parse(arguments)
    json: Path | None = getattr(given, "json", None)
    if json is not None:
        # What an earlier run left there is not this run's.
        json.unlink(missing_ok=True)
        before()
    try:
        MODES[given.mode].run(given)
    except (Exception, SystemExit) as error:
        if json is not None and not json.exists():
            tell_void(json, f"{type(error).__name__}: {error}"[-4_000:])
        raise


if __name__ == "__main__":
    main(sys.argv[1:])
