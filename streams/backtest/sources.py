"""Where events come from: event files and folders of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.topics import INBOUND
from streams.event_file import EventLine, Part, parts_of, read_events
from triggers.casework.backtest import Arrival, Located
from triggers.errors import Problem

CUSTOMER_TOPICS: Final = tuple(topic for topic in INBOUND if topic.stage == "customer")
"""The topics whose events concern a customer; those of other stages do not take part."""

TOGETHER_BYTES = 16 * 1024 * 1024
"""From this size on a file is read by several processes."""
_TOPICS: Final = {topic.name: topic for topic in CUSTOMER_TOPICS}
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
    for index, source in enumerate(sources):
        yield from read_part(source, index)


def read_part(source: Source, index: int = 0, part: Part | None = None) -> Iterator[Arrival | Located | Stray]:
    """The same of one file, or of a part of it. ``index`` is its place among the sources."""
    topics, new = _TOPICS, tuple.__new__
    for event in read_events(source.path, part):
        if type(event) is not EventLine:
            assert isinstance(event, Problem)
            yield Located(index, event.line, event.column, event.code, event.path, event.message)
            continue
        name, key, value, line = event
        topic = topics.get(name)
        if topic is None:
            yield Stray(name)
        else:
            # As ``Arrival(…)``, without its call: this is done for every event.
            yield new(
                Arrival, (topic, None if key is None else key.encode("utf-8", "surrogatepass"), value, index, line)
            )


def parts_for(sources: Sequence[Source], readers: int) -> list[Part]:
    """The parts in which several processes may read the sources side by side; none where one has to.

    That is so for several sources, whose events come side by side, for a packed file, and where a file is too small to
    be worth it.
    """
    if readers == 1 or len(sources) != 1 or sources[0].path.suffix == ".gz":
        return []
    try:
        if sources[0].path.stat().st_size < TOGETHER_BYTES:
            return []
        return parts_of(sources[0].path, readers)
    except OSError:
        return []  # whoever reads it says what is wrong with it
