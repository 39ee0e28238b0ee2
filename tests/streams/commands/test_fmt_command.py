"""``bank-triggers fmt``: files in one way, none half written, none touched that cannot be read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands import authoring
from streams.commands.console import Exit
from triggers.language.formatting import CannotFormat

MESSY = "version: 1\ntrigger: 'a' # the id\n"
TIDY = "trigger: a # the id\nversion: 1\n".replace("a #", "a   #")


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["fmt", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One file in order, one that is not, one in a role of its own, and a note that is no rule file."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "tidy.yaml").write_text(TIDY, "utf-8")
    (tmp_path / "deep" / "messy.yaml").write_text(MESSY, "utf-8")
    (tmp_path / "policy.yaml").write_text("caps: []\ncurrency: CNY\n", "utf-8")
    (tmp_path / "note.txt").write_text(MESSY, "utf-8")
    return tmp_path


def test_files_are_written_in_order(folder: Path) -> None:
    """Those that change are named; each by the form of its role; a second run changes nothing."""
    result = call(folder)
    assert result.exit_code == Exit.OK, result.output
    assert result.stdout.splitlines() == [str(folder / "policy.yaml"), str(folder / "deep" / "messy.yaml")]
    assert "2 changed, 1 in order" in result.stderr
    assert (folder / "deep" / "messy.yaml").read_text("utf-8") == TIDY
    assert (folder / "policy.yaml").read_text("utf-8") == "currency: CNY\ncaps: []\n"
    assert (folder / "note.txt").read_text("utf-8") == MESSY
    again = call(folder)
    assert (again.exit_code, again.stdout) == (Exit.OK, "")
    assert sorted(path.name for path in folder.iterdir()) == ["deep", "note.txt", "policy.yaml", "tidy.yaml"]


def test_check_names_and_writes_nothing(folder: Path) -> None:
    """Exit code 1 where something would change, 0 where all is in order."""
    result = call("--check", folder)
    assert result.exit_code == Exit.FAILED
    assert str(folder / "deep" / "messy.yaml") in result.stdout
    assert (folder / "deep" / "messy.yaml").read_text("utf-8") == MESSY
    assert call("--check", folder / "tidy.yaml").exit_code == Exit.OK


def test_what_cannot_be_read_is_reported_and_left(folder: Path) -> None:
    """With its place; the others are written all the same."""
    broken = folder / "broken.yaml"
    broken.write_text("a: &x 1\n", "utf-8")
    (folder / "latin.yaml").write_bytes(b"title: caf\xe9\n")
    result = call(folder)
    assert result.exit_code == Exit.FAILED
    assert f"{broken}:1:4 E004" in result.stderr
    assert f"{folder / 'latin.yaml'}:1:11 E001" in result.stderr
    assert "2 cannot be formatted" in result.stderr
    assert broken.read_text("utf-8") == "a: &x 1\n"
    assert (folder / "latin.yaml").read_bytes() == b"title: caf\xe9\n"
    assert (folder / "deep" / "messy.yaml").read_text("utf-8") == TIDY


def test_a_file_that_would_change_its_meaning_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the formatter ever be wrong, nothing is lost by it."""

    def wrong(*_: Any) -> Any:
        raise CannotFormat("its values would change")

    monkeypatch.setattr(authoring, "format_text", wrong)
    result = call(folder / "deep" / "messy.yaml")
    assert result.exit_code == Exit.FAILED
    assert "its values would change" in result.stderr
    assert (folder / "deep" / "messy.yaml").read_text("utf-8") == MESSY


def test_mode_and_link_stay(folder: Path) -> None:
    """The file that a link leads to is written, with the rights it had."""
    messy = folder / "deep" / "messy.yaml"
    messy.chmod(0o640)
    link = folder / "link.yaml"
    link.symlink_to(messy)
    assert call(link).exit_code == Exit.OK
    assert link.is_symlink()
    assert messy.read_text("utf-8") == TIDY
    assert stat.S_IMODE(messy.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_ours_is_told(folder: Path) -> None:
    """A located complaint, exit code 1, the file as it was."""
    (folder / "deep").chmod(0o500)
    try:
        result = call(folder)
    finally:
        (folder / "deep").chmod(0o700)
    assert result.exit_code == Exit.FAILED
    assert "cannot be written" in result.stderr
    assert (folder / "deep" / "messy.yaml").read_text("utf-8") == MESSY


def test_no_file_is_a_mistake(tmp_path: Path) -> None:
    """A folder without rule files, or a path that is not there, is not success."""
    assert call(tmp_path).exit_code == Exit.FAILED
    assert call(tmp_path / "gone.yaml").exit_code == Exit.FAILED
    assert call().exit_code == Exit.USAGE


def test_a_comma_that_cuts_a_value_is_said_as_check_says_it(tmp_path: Path) -> None:
    """And the file is left."""
    file = tmp_path / "cut.yaml"
    text = "trigger: cut\nfeatures:\n  a: {sum: max(event.amount, peak_30d), over: 30d}\n"
    file.write_text(text, "utf-8")
    result = call(file)
    assert result.exit_code == Exit.FAILED
    said = result.stderr.splitlines()[0]
    assert said.startswith(f"{file}:3:12 E004 inside {{ }} a comma ends the value")
    assert said in CliRunner().invoke(app, ["check", str(file)]).stderr.splitlines()
    assert file.read_text("utf-8") == text
