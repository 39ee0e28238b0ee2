"""What the operator's guide names exists: commands with their options, settings, metrics, texts that are looked for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
from typer.main import get_command

from streams.cli import app
from streams.metrics import DEFINITIONS
from streams.settings import PREFIX, Settings
from tests.streams.test_cli import every_command

ROOT: Final = Path(__file__).resolve().parents[1]
GUIDE: Final = (ROOT / "streams" / "README.md").read_text("utf-8")
SHOWN: Final = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL))
"""What stands in the text as code."""
METRICS: Final = {
    one.name + ("_total" if one.kind == "counter" and not one.name.endswith("_total") else ""): one.labels
    for one in DEFINITIONS
}
"""The labels of each metric, by its name without what all names begin with."""


def _typed() -> list[str]:
    """Every command line of a block, and each in the text that begins with the program or with one of its groups."""
    lines = re.findall(r"^bank-triggers ([^#\n]+)", GUIDE, re.MULTILINE)
    first = {path[0] for path in every_command(get_command(app))}
    for text in SHOWN:
        words = text.removeprefix("bank-triggers ")
        if " " in words and words.split()[0] in first:
            lines.append(words)
    return sorted({line.strip() for line in lines})


def test_it_shows_commands() -> None:
    """Enough of them for what follows to look at something."""
    assert len(_typed()) >= 20
    assert {line.split()[0] for line in _typed()} >= {"dead-letters", "state", "topics", "rules"}


@pytest.mark.parametrize("line", _typed())
def test_each_command_can_be_typed(line: str) -> None:
    """It exists, and has the options that are shown; in the text a command may stand without what it must be given."""
    command: Any = get_command(app)
    words = shlex.split(line)
    while hasattr(command, "commands"):
        assert words, f"{line}: a group of commands, and none of them"
        assert words[0] in command.commands, f"{line}: there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_each_setting_exists() -> None:
    """Environment variables, and names with an underscore that are no metric's and no label's."""
    variables = set(re.findall(rf"{PREFIX}([A-Z][A-Z_]*[A-Z])", GUIDE))
    assert variables
    assert {name.lower() for name in variables} <= Settings.model_fields.keys()
    named = {text for text in SHOWN if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", text)}
    assert len(named & Settings.model_fields.keys()) >= 12
    assert named <= Settings.model_fields.keys() | METRICS.keys()


def test_each_metric_exists() -> None:
    """With the labels that are shown; the alarms and the table name several."""
    shown = [re.fullmatch(r"([a-z_]+)\{([a-z_]+)=\"[a-z]+\"\}", text) for text in SHOWN]
    with_labels = [(found[1], found[2]) for found in shown if found]
    assert with_labels
    for name, label in with_labels:
        assert label in METRICS.get(name, ()), name
    assert len(METRICS.keys() & set(SHOWN)) >= 5


def test_each_file_linked_exists() -> None:
    """Relative to the guide."""
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE)
    assert links
    assert all((ROOT / "streams" / link).exists() for link in links)


def test_each_text_to_look_for_is_one_that_the_program_says() -> None:
    """The column of what is seen: whoever looks for it in the log must find it. For what is put in stands … or N."""
    source = " ".join(
        file.read_text("utf-8") for file in sorted((ROOT / "streams").rglob("*.*")) if file.suffix in (".py", ".lua")
    )
    # Texts are broken over lines in the source.
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    rows = [line.split("|") for line in GUIDE.splitlines() if line.startswith("| ") and line.count("|") >= 5]
    texts = {text for row in rows for text in re.findall(r"`([^`]+)`", row[3]) if " " in text}
    assert len(texts) >= 10
    of_clients = {"Unable connect to node"}
    for text in texts - of_clients:
        parts = [part.strip() for part in re.split(r"…|\bN\b|\b[0-9]+ of [0-9]+\b|bank\.", text) if part.strip()]
        assert parts
        for part in parts:
            assert part in source, f"{text}: nothing in streams says {part!r}"
