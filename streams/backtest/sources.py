"""Where events come from: event files and folders of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.topics import INBOUND
from streams.event_file import read_events
from triggers.casework.backtest import Arrival, Located
from triggers.errors import Problem

CUSTOMER_TOPICS: Final = tuple(topic for topic in INBOUND if topic.stage == "customer")
"""The topics whose events concern a customer; those of other stages do not take part."""

_ENDINGS: Final = (".jsonl", ".jsonl.gz")
UNREADABLE: Final = "F001"
"""The code of a file that cannot be read, or not to its end."""


class NoEvents(Exception):
    """There is nothing to read where events were looked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of events. ``name`` is its place under the path given, so that a report names no machine's folders."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Stray:
    """An event of another stage than the customers'; it is counted and takes no part."""

    topic: str


def find_files(paths: Sequence[Path]) -> list[Source]:
    """The event files of the paths: a file as it is; of a folder, every ``.jsonl`` and ``.jsonl.gz``, by name.

    Raises ``NoEvents`` for a path that does not exist or a folder without any.
    """
    found: list[Source] = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise NoEvents(f"{path}: there is no such file; expected an event file, a folder of them or a topic")
            found.append(Source(path.name, path))
            continue
        files = sorted(file for file in path.rglob("*") if file.name.endswith(_ENDINGS) and file.is_file())
        if not files:
            raise NoEvents(f"{path}: no event file in this folder; their names end in .jsonl or .jsonl.gz")
        found += [Source(file.relative_to(path).as_posix(), file) for file in files]
    return found


def read_files(sources: Sequence[Source]) -> Iterator[Arrival | Located | Stray]:
    """The messages of the files, one file after the other, and what could not be read, in its place."""
    topics = {topic.name: topic for topic in CUSTOMER_TOPICS}
    for index, source in enumerate(sources):
        for event in read_events(source.path):
            if isinstance(event, Problem):
                yield Located(index, event.line, event.column, event.code, event.path, event.message)
                continue
            name, key, value, line = event
            topic = topics.get(name)
            if topic is None:
                yield Stray(name)
            else:
                key_bytes = None if key is None else key.encode("utf-8", "surrogatepass")
                yield Arrival(topic, key_bytes, value, index, line)
