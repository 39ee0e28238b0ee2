"""Rule files, read again whenever one changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from watchfiles import Change, watch
from watchfiles.main import FileChange

from triggers.language.loader import Loaded, load_ruleset

_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_LOOK_MS: Final = 200
"""How often the watch returns without a change: as long as the first look may take at most."""


def watch_rules(paths: Sequence[Path]) -> Iterator[tuple[Loaded, list[str]]]:
    """What loading the paths gives, now and after each change, with the files that changed (none the first time).

    The watch stands before the files are read, so no change falls between the two. It is set up anew after every
    change, because an editor that saves by renaming leaves a watch on a file that is gone.
    """
    changed: list[str] = []
    beside: set[Path] = set()
    while True:
        watched = _existing({*paths, *beside})
        changes = watch(*watched, watch_filter=_is_rule_file, rust_timeout=_LOOK_MS, yield_on_timeout=True)
        before = next(changes)
        loaded = load_ruleset(paths)
        # Policy and calendar may stand above the paths given: they are known once they have been read.
        read = {Path(file) for file in loaded.files.values()}
        outside = {file for file in read if not any(file.is_relative_to(path) for path in paths)}
        if not outside <= beside:
            beside = outside
            changes.close()
            continue
        yield loaded, sorted({*changed, *_names(before)})
        changed = _names(next(filter(None, changes)))
        changes.close()


def _is_rule_file(_change: Change, path: str) -> bool:
    return Path(path).suffix in _SUFFIXES


def _names(changes: set[FileChange]) -> list[str]:
    here = Path.cwd()
    paths = {Path(path) for _, path in changes}
    return sorted(str(path.relative_to(here) if path.is_relative_to(here) else path) for path in paths)


def _existing(paths: set[Path]) -> list[Path]:
    """The paths; of one that is not there, the nearest folder above it that is."""
    return sorted({next(path for path in (path, *path.absolute().parents) if path.exists()) for path in paths})
