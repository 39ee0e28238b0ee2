"""What the README shows works: its trigger passes its own tests, its commands and settings exist."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from streams.cli import app
from streams.commands.console import Exit
from streams.settings import PREFIX, Settings
from tests.streams.test_cli import every_command
from triggers.casework.case_runner import run_case
from triggers.casework.report import report
from triggers.language.loader import load_documents

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_trigger_passes_its_own_tests() -> None:
    """A newcomer who copies it gets a green run."""
    (text,) = blocks("yaml")
    loaded = load_documents({"balance_drop.yaml": text})
    assert loaded.problems == []
    assert loaded.ruleset is not None
    (trigger,) = loaded.ruleset.triggers
    results = [run_case(loaded.ruleset, trigger, case) for case in trigger.cases]
    assert len(results) == 2
    assert [report(result) for result in results] == [[], []]


def test_every_command_shown_exists() -> None:
    """Nothing in a shell block or in the text names a command that cannot be typed."""
    known = {" ".join(path) for path in every_command(get_command(app))}
    groups = {name.partition(" ")[0] for name in known if " " in name}
    of_group = "|".join(sorted(groups))
    shown = re.findall(rf"(?:bank-triggers |`)((?:{of_group}) [a-z-]+)", README)
    shown += [name for name in re.findall(r"bank-triggers ([a-z-]+)", README) if name not in groups]
    assert len(set(shown)) > 10
    assert set(shown) - known == set()


def test_every_setting_shown_exists() -> None:
    """Each environment variable is a setting's."""
    shown = set(re.findall(rf"{PREFIX}([A-Z_]+[A-Z])", README))
    assert shown
    assert {name for name in shown if name.lower() not in Settings.model_fields} == set()


def test_every_folder_named_exists() -> None:
    """The table of folders is true."""
    folders = re.findall(r"^\| `([a-z]+/)` \|", README, re.MULTILINE)
    assert len(folders) == 5
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_the_exit_codes_are_those_of_the_commands() -> None:
    """The table has each of them."""
    table = README.partition("| exit code | meaning |")[2].partition("\n\n")[0]
    assert set(map(int, re.findall(r"^\| (\d+) \|", table, re.MULTILINE))) == set(map(int, Exit))
