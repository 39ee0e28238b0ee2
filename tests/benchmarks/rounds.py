"""The rounds of a mode: so many, or as many as there is time for."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many, and for how long."""
    parser.add_argument("--rounds", type=int, default=5)
    time_for = parser.add_mutually_exclusive_group()
    time_for.add_argument(
        "--minutes", type=float, help="begin no further round that would end later, by the longest so far"
    )
    time_for.add_argument(
        "--until",
        type=float,
        metavar="MINUTES",
        help="the same, with the minutes that other modes took whose figures are in the folder of --json: what one has "
        "left over is the next one's",
    )


class Rounds:
    """The numbers of the rounds that are begun. The time runs from when it is made: what is set up counts too."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._wanted: int = given.rounds
        self._seconds: float | None = None if given.minutes is None else given.minutes * 60
        if given.until is not None:
            self._seconds = given.until * 60 - (spent(given.json.parent) if given.json is not None else 0.0)
        self._began = time.monotonic()
        self.made = 0

    def __iter__(self) -> Iterator[int]:
        longest = 0.0
        for number in range(self._wanted):
            begun = time.monotonic()
            late = self._seconds is not None and begun - self._began + longest > self._seconds
            if late and number:
                print(f"no time for more than {number} of {self._wanted} rounds", flush=True)
                return
            yield number
            self.made = number + 1
            longest = max(longest, time.monotonic() - begun)

    def __str__(self) -> str:
        return f"{self.made} rounds" + (f" (there was no time for {self._wanted})" if self.made < self._wanted else "")


def spent(folder: Path) -> float:
    """The seconds that the modes took whose figures are in a folder."""
    return sum(json.loads(file.read_text("utf-8"))["seconds"] for file in folder.glob("*.json"))


def turns(members: Sequence[_T], number: int) -> list[_T]:
    """The order in which they run in round ``number``: each is once the first, so that no place favours one."""
    first = number % len(members) if members else 0
    return [*members[first:], *members[:first]]
