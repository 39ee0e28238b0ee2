"""``bank-triggers schemas editor``: schemas that editors find, and how to tell them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.console import Exit
from triggers.language.editor_schema import editor_schemas


def test_the_schemas_are_written(tmp_path: Path) -> None:
    """One for each kind of file, named on the output; the settings for VS Code are shown."""
    folder = tmp_path / "rules" / ".schemas"
    result = CliRunner().invoke(app, ["schemas", "editor", str(folder)])
    assert result.exit_code == Exit.OK, result.output
    assert result.stdout.splitlines() == [str(folder / name) for name in editor_schemas()]
    for name, schema in editor_schemas().items():
        assert json.loads((folder / name).read_text("utf-8")) == schema
    settings = json.loads(result.stderr.partition("\n")[2])["yaml.schemas"]
    assert settings[f"{folder}/policy.schema.json"] == f"{tmp_path}/rules/**/policy.yaml"


def test_without_a_folder_they_are_where_new_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a new trigger points at them."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["schemas", "editor"]).exit_code == Exit.OK
    options = ["--kind", "silence", "--id", "quiet", "--owner", "team", "--dir", "rules/retention"]
    assert CliRunner().invoke(app, ["new", *options]).exit_code == Exit.OK
    first = Path("rules/retention/quiet.yaml").read_text("utf-8").splitlines()[0]
    target = first.partition("$schema=")[2]
    assert Path("rules/retention", target).resolve() == (tmp_path / ".schemas" / "trigger.schema.json")
    assert Path("rules/retention", target).is_file()


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """Exit code 1, and what was expected."""
    (tmp_path / "file").write_text("", "utf-8")
    result = CliRunner().invoke(app, ["schemas", "editor", str(tmp_path / "file")])
    assert result.exit_code == Exit.FAILED
    assert "expected a folder" in result.stderr
