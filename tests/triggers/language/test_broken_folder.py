"""A folder of deliberately broken files: one run of ``check`` finds exactly what each file says it has."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

from typer.testing import CliRunner

from streams.cli import app
from triggers.language.checks import ALL_CODES
from triggers.language.loader import load_ruleset

TODAY = date(2026, 6, 1)
BROKEN = Path(__file__).parents[2] / "data" / "rules" / "broken"
_EXPECT = re.compile(r"^# expect: (\w+) (\d+):(\d+) ?(.*)$", re.MULTILINE)

Place = tuple[str, int, int, str, str]


def expected() -> list[Place]:
    """File, line, column, code and key path as the comments at the end of each file say, in whatever encoding."""
    found = []
    for file in sorted(BROKEN.rglob("*.y*ml")):
        text = file.read_bytes().replace(b"\0", b"").decode("latin-1")
        name = file.relative_to(BROKEN).as_posix()
        comments = _EXPECT.findall(text)
        assert comments or "# expect: nothing\n" in text, f"{name} does not say what is wrong with it"
        found += [(name, int(line), int(column), code, path) for code, line, column, path in comments]
    return sorted(found)


def test_there_are_enough_of_them() -> None:
    """More than twenty trigger files, the files beside them, and among them nearly every code there is."""
    files = [file.name for file in BROKEN.rglob("*.yaml")]
    assert len(files) >= 40
    assert {"policy.yaml", "calendar.yaml", "tiers.yaml", "tags.yaml", "offers.yaml", "desks.yaml"} <= set(files)
    # A tag is called unread or untested, and a category unused, only where no file has a mistake that may explain it.
    # A calendar that ends covers a year, and this one covers none.
    assert {code.id for code in ALL_CODES} - {code for _, _, _, code, _ in expected()} <= {
        "W115",
        "W116",
        "W125",
        "W128",
    }


def test_one_run_finds_exactly_what_they_say() -> None:
    """Every problem of every file, with its code, line, column and key path, and nothing else."""
    found = [
        (problem.file.removeprefix(f"{BROKEN}/"), problem.line, problem.column, problem.code, problem.path)
        for problem in load_ruleset([BROKEN], TODAY).problems
    ]
    assert sorted(found) == expected()


def test_the_command_says_the_same() -> None:
    """With the exit code of a failure."""
    result = CliRunner().invoke(app, ["check", str(BROKEN), "--format", "json", "--today", TODAY.isoformat()])
    assert result.exit_code == 1
    problems = [json.loads(line) for line in result.stdout.splitlines()]
    places = [
        (one["file"].removeprefix(f"{BROKEN}/"), one["line"], one["column"], one["code"], one["path"])
        for one in problems
    ]
    assert sorted(places) == expected()
