"""``bank-triggers new``: a file that passes check and test, asked for or told, and nothing overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.console import Exit
from streams.commands.library import SHIPPED
from triggers.language.starters import starters


def call(command: str, *arguments: Any, answers: str | None = None) -> Any:
    return CliRunner().invoke(app, [command, *map(str, arguments)], input=answers)


def new(folder: Path, kind: str = "balance_drop", name: str = "mine", **more: str) -> Any:
    options = [part for option, value in more.items() for part in (f"--{option}", value)]
    return call("new", "--kind", kind, "--id", name, "--owner", "team", "--dir", folder, *options)


@pytest.mark.parametrize("kind", list(starters()))
def test_every_kind_passes_check_and_test(tmp_path: Path, kind: str) -> None:
    """As it is written, in a folder that was not there before."""
    folder = tmp_path / "rules"
    result = new(folder, kind)
    assert result.exit_code == Exit.OK, result.output
    assert result.stdout.splitlines()[-1] == str(folder / "mine.yaml")
    for command in ("check", "test"):
        passed = call(command, folder)
        assert passed.exit_code == Exit.OK, passed.output
    assert call("fmt", "--check", folder).exit_code == Exit.OK


def test_it_asks_for_what_it_is_not_told(tmp_path: Path) -> None:
    """The kind by number or name, the id, the owner."""
    kinds = list(starters())
    for number, answer in enumerate((str(kinds.index("silence") + 1), "silence")):
        result = call("new", "--dir", tmp_path, answers=f"{answer}\nquiet_{number}\nretail\n")
        assert result.exit_code == Exit.OK, result.output
        text = (tmp_path / f"quiet_{number}.yaml").read_text("utf-8")
        assert f"trigger: quiet_{number}\n" in text
        assert "owner: retail\n" in text
        assert "silence: transaction" in text
    assert "nothing came for a long time" in result.stderr


def test_without_answers_it_says_what_to_give(tmp_path: Path) -> None:
    """No terminal, no answer: exit code 2, and nothing is written."""
    result = call("new", "--dir", tmp_path, answers="")
    assert result.exit_code == Exit.USAGE
    assert "--kind, --id and --owner" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_answer_is_asked_again(tmp_path: Path) -> None:
    """With the reason: an unknown kind, no answer, no id, an id that is taken, an owner that YAML would misread."""
    assert new(tmp_path, name="taken").exit_code == Exit.OK
    answers = "99\nslience\n\nsilence\nMy Id\ntaken\nquiet\nteam: #1\nretail team\n"
    result = call("new", "--dir", tmp_path, answers=answers)
    assert result.exit_code == Exit.OK, result.output
    for reason in (
        'there is no kind "99"; there are balance_drop,',
        'did you mean "silence"?',
        "an answer is needed",
        '"My Id" is no id',
        "there is a trigger of this id",
        '"team: #1" is no team',
    ):
        assert reason in result.stderr
    assert "owner: retail team\n" in (tmp_path / "quiet.yaml").read_text("utf-8")


def test_the_end_of_the_answers_ends_it(tmp_path: Path) -> None:
    """After a wrong answer too: exit code 2, and nothing is written. Each question has a line of its own."""
    command = [sys.executable, "-m", "streams", "new", "--kind", "silence", "--dir", str(tmp_path)]
    ended = subprocess.run(command, input="My Id\nmine\n", capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == Exit.USAGE
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "Its id (such as big_fall):",
        '"My Id" is no id: small letters, digits and _, beginning with a letter',
        "Its id (such as big_fall):",
        "Who answers for it (a team):",
        "no answer; give --kind, --id and --owner",
    ]
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_it_is_asked_again_as_well(tmp_path: Path) -> None:
    """On the error output; the output has the file's name alone."""
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "streams", "new", "--kind", "silence", "--dir", str(tmp_path)]
    os.write(terminal, b"My Id\n\nquiet\nretail\n")
    try:
        asked = subprocess.run(command, stdin=end, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(terminal)
        os.close(end)
    assert asked.returncode == Exit.OK, asked.stderr
    assert asked.stderr.count("Its id (such as big_fall):") == 3
    assert '"My Id" is no id' in asked.stderr
    assert asked.stdout.strip() == str(tmp_path / "quiet.yaml")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Neither the file nor another of that id in a folder below."""
    (tmp_path / "growth").mkdir()
    there = tmp_path / "growth" / "mine.yaml"
    there.write_text("mine", "utf-8")
    result = new(tmp_path)
    assert result.exit_code == Exit.FAILED
    assert f"{there}: there is a trigger of this id" in result.stderr
    assert there.read_text("utf-8") == "mine"
    assert not (tmp_path / "mine.yaml").exists()


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [("balance_dorp", "mine", 'did you mean "balance_drop"?'), ("balance_drop", "My Trigger", "is no id")],
)
def test_a_wrong_answer_is_refused(tmp_path: Path, kind: str, name: str, says: str) -> None:
    """With what would be right; exit code 2."""
    result = new(tmp_path, kind, name)
    assert result.exit_code == Exit.USAGE
    assert says in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_offers_what_the_catalogue_has(tmp_path: Path) -> None:
    """The first service of offers.yaml; one that it has not is refused before anything is written."""
    (tmp_path / "offers.yaml").write_text(
        "offers:\n  a_deposit: {kind: deposit}\n  b_call: {kind: service}\n  c_call: {kind: service}\n", "utf-8"
    )
    assert new(tmp_path).exit_code == Exit.OK
    assert "offer: b_call\n" in (tmp_path / "mine.yaml").read_text("utf-8")
    result = new(tmp_path, name="other", offer="d_call")
    assert result.exit_code == Exit.FAILED
    assert "E038" in result.stderr
    assert not (tmp_path / "other.yaml").exists()


def test_it_fits_into_what_ships(tmp_path: Path) -> None:
    """The files beside the triggers are those of the folders above."""
    for file in SHIPPED.glob("*.yaml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    folder = tmp_path / "a" / "b"
    assert new(folder).exit_code == Exit.OK
    assert call("test", folder / "mine.yaml").exit_code == Exit.OK


def test_a_policy_under_which_its_cases_fail_is_told(tmp_path: Path) -> None:
    """It would not pass test there: nothing is written."""
    (tmp_path / "policy.yaml").write_text("caps:\n  - {at_most: 0, per: 7d}\n", "utf-8")
    result = new(tmp_path)
    assert result.exit_code == Exit.FAILED
    assert "fires at exactly 30 percent" in result.stderr
    assert not (tmp_path / "mine.yaml").exists()


def test_tags_that_lack_what_it_needs_are_left(tmp_path: Path) -> None:
    """What to add is shown; without a file of tags one is written."""
    tags = "tags:\n  other:\n    when: customer.balance > 1\n"
    (tmp_path / "tags.yaml").write_text(tags, "utf-8")
    result = new(tmp_path, "tag_added")
    assert result.exit_code == Exit.FAILED
    assert 'there is no tag "balance_halved"' in result.stderr
    assert "balance_halved:" in result.stderr
    assert (tmp_path / "tags.yaml").read_text("utf-8") == tags
    assert not (tmp_path / "mine.yaml").exists()


def test_it_tells_editors_where_the_schema_is(tmp_path: Path) -> None:
    """In the nearest folder above that has the schemas; where none has, how to write them is told instead."""
    folder = tmp_path / "x" / "y"
    result = new(folder, name="one")
    assert (folder / "one.yaml").read_text("utf-8").splitlines()[0] == "trigger: one"
    assert f"bank-triggers schemas editor {folder / '.schemas'}\n" in result.stderr
    (tmp_path / ".schemas").mkdir()
    (tmp_path / ".schemas" / "trigger.schema.json").write_text("{}", "utf-8")
    for name, way in (("two", folder), ("three", folder / ".." / "y")):
        assert "schemas editor" not in new(way, name=name).stderr
        first = (folder / f"{name}.yaml").read_text("utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=../../.schemas/trigger.schema.json"


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    """A file stands in the way."""
    (tmp_path / "file").write_text("", "utf-8")
    result = new(tmp_path / "file")
    assert result.exit_code == Exit.FAILED
    assert "cannot be written" in result.stderr
