"""What was tried or measured: the commit of this tree, and whether its files were as committed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def commit(written: Sequence[str] = ()) -> str:
    """Its name, and whether files differ from it; those that a run itself has ``written`` are left out of that."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!{path}" for path in written))
    except (OSError, subprocess.CalledProcessError):
        return "not in a git repository"
    return f"{head}, with changes that are not committed" if changed else head


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
