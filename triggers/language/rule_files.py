"""The rule files on disk. Whatever lies in a folder, its bytes are read within bounds or it is a problem."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from triggers.errors import Problem
from triggers.language import codes
from triggers.language.codes import Code
from triggers.language.document import MAX_BYTES

MOST_FILES: Final = 5_000
MOST_ENTRIES: Final = 100_000
"""How many files and folders of any kind are looked at: more means that a wrong folder was given."""
MOST_BYTES: Final = 64 * MAX_BYTES
_LOOK_UP: Final = 3
"""How many folders above a path are searched for the files beside the triggers."""


@dataclass(slots=True)
class Found:
    """Files by their name in the rule set, and how each is shown to its author."""

    files: dict[str, bytes] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    size: int = 0


def find_files(paths: Sequence[Path], roles: Iterable[str]) -> Found:
    """Every ``*.yaml`` under the paths (files or folders), with the files of these roles.

    Those are looked for under the paths and, where they are not there, beside and a few folders above.
    """
    found = Found()
    for path in paths:
        _collect(path, found)
    given = {PurePosixPath(name).name for name in found.files}
    for role in roles:
        if role not in given:
            _look_up(role, paths, found)
    if not found.problems and given <= set(roles):
        where = ", ".join(map(str, paths)) or "no path given"
        found.problems.append(file_problem(where, codes.UNREADABLE, "no trigger file (*.yaml) found"))
    return found


def file_problem(file: str, code: Code, message: str) -> Problem:
    """A problem of a file as a whole."""
    return Problem(file, 1, 1, code.id, message)


def _collect(path: Path, found: Found) -> None:
    if not path.is_dir():
        _read(path, path.name, found)
        return
    for number, file in enumerate(_walk(path, found)):
        if file is None:
            pass
        elif file.suffix == ".yml":
            _report(file, codes.UNREADABLE, "rule files end in .yaml: rename it, or it is never read", found)
        elif file.suffix == ".yaml":
            _read(file, file.relative_to(path).as_posix(), found)
        beyond = _beyond(number, found)
        if beyond:
            _report(path, codes.TOO_BIG, f"{beyond}; is this the folder of the rules?", found)
            return


def _walk(path: Path, found: Found) -> Iterator[Path | None]:
    """The files in a folder and below, in order, and ``None`` for each folder; hidden ones are left out."""

    def fail(error: OSError) -> None:
        _report(Path(error.filename), codes.UNREADABLE, f"cannot be read: {_reason(error)}", found)

    for folder, names, files in os.walk(path, onerror=fail):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in names:
            inner = Path(folder, name)
            if inner.is_symlink():
                _report(inner, codes.UNREADABLE, "a link to a folder is not followed: name that folder itself", found)
            yield None
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(folder, name)


def _beyond(number: int, found: Found) -> str:
    if len(found.files) > MOST_FILES:
        return f"more than {MOST_FILES} rule files"
    if number >= MOST_ENTRIES:
        return f"more than {MOST_ENTRIES} files and folders"
    if found.size > MOST_BYTES:
        return f"rule files of more than {MOST_BYTES} bytes in all"
    return ""


def _read(file: Path, name: str, found: Found) -> None:
    shown = str(file)
    if found.shown.get(name) == shown:
        return
    if name in found.files:
        message = f"the rule set has a file {name} already: {found.shown[name]}"
        _report(file, codes.SECOND_FILE, message, found)
        return
    if not _is_text(shown):
        _report(file, codes.UNREADABLE, "the name of the file is not UTF-8", found)
        return
    try:
        data = _bytes_of(file)
    except FileNotFoundError:
        _report(file, codes.UNREADABLE, "does not exist", found)
        return
    except OSError as error:
        _report(file, codes.UNREADABLE, f"cannot be read: {_reason(error)}", found)
        return
    if data is None:
        _report(file, codes.UNREADABLE, "this is no ordinary file", found)
        return
    found.files[name] = data
    found.shown[name] = shown
    found.size += len(data)


def _bytes_of(file: Path) -> bytes | None:
    """The first bytes of a file, one more than may be; ``None`` for a pipe, a device or a folder."""
    # Opening a pipe would wait for a writer, reading a device would never end.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _look_up(name: str, paths: Sequence[Path], found: Found) -> None:
    for path in paths:
        for folder in list(path.absolute().parents)[:_LOOK_UP]:
            if (folder / name).is_file():
                _read(folder / name, name, found)
                return


def _report(file: Path, code: Code, message: str, found: Found) -> None:
    shown = str(file)
    found.problems.append(
        file_problem(shown if _is_text(shown) else os.fsencode(file).decode("utf-8", "replace"), code, message)
    )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: OSError) -> str:
    return error.strerror or "an input error"
