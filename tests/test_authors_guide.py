"""The author's guide is true: its files are written, its commands run, and they say what it shows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app

GUIDE = Path(__file__).resolve().parents[1] / "triggers" / "README.md"
_BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text."""

    language: str
    about: str
    text: str

    def option(self, name: str) -> str | None:
        """``exit=1`` and the like."""
        found = re.search(rf"\b{name}=(\S+)", self.about)
        return found[1] if found else None


def blocks() -> list[Block]:
    """Every block that says what it is for."""
    return [Block(*found) for found in _BLOCK.findall(GUIDE.read_text("utf-8")) if found[1]]


def test_the_walk_works_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever types the guide from top to bottom sees what it shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    output = ""
    ran = 0
    for block in blocks():
        if (name := block.option("file")) is not None:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        elif (name := block.option("edit")) is not None:
            edit(tmp_path / name, block.text)
        elif "run" in block.about.split():
            output = ""
            for line in block.text.strip().splitlines():
                words = shlex.split(line)
                assert words[0] == "bank-triggers"
                result = CliRunner().invoke(app, words[1:], catch_exceptions=False)
                output += result.output
                assert result.exit_code == int(block.option("exit") or 0), f"{line}\n{result.output}"
                ran += 1
        elif "output" in block.about.split():
            assert shown_in(block.text, output), f"the guide shows\n{block.text}\nthere came\n{output}"
        else:
            pytest.fail(f"a block nobody reads: {block.about}")
    assert ran > 5
    page = (tmp_path / "year.html").read_text("utf-8")
    assert "money_moves_out" in page


def edit(path: Path, change: str) -> None:
    """Applies a diff without context: lines to take out stand once in the file; lines only added go to its end."""
    text = path.read_text("utf-8")
    for old, new in re.findall(r"((?:^-.*\n)*)((?:^\+.*\n)+)", change, re.MULTILINE):
        before, after = (re.sub("^[-+]", "", lines, flags=re.MULTILINE) for lines in (old, new))
        if not before:
            text += after
            continue
        assert text.count(before) == 1, f"{before!r} is not in the file once"
        text = text.replace(before, after)
    path.write_text(text, "utf-8")


def shown_in(expected: str, output: str) -> bool:
    """Whether the output is what the guide shows; … stands for any text."""
    wanted = [line.rstrip() for line in expected.strip().splitlines()]
    pattern = "\n".join(re.escape(line).replace("…", ".*?") for line in wanted)
    came = "\n".join(line.rstrip() for line in output.strip().splitlines())
    return re.fullmatch(pattern, came, re.DOTALL) is not None


def test_every_example_named_ships() -> None:
    """Each trigger that the guide points at is there."""
    named = re.findall(r"`(library/[a-z_/]+\.yaml)`", GUIDE.read_text("utf-8"))
    assert len(named) > 10
    assert [name for name in named if not (GUIDE.parent / name).is_file()] == []


def test_the_comparison_sees_a_difference() -> None:
    """A line that differs, is missing or too much is seen."""
    assert shown_in("a\n…\nd", "a\nb\nc\nd")
    assert shown_in("a … c", "a b c")
    assert not shown_in("a\nb", "a\nc")
    assert not shown_in("a\nb", "a\nb\nc")
    assert not shown_in("a\n…\nd", "a\nb")
