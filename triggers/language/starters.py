"""The triggers that ``new`` writes: one template for each kind, a file of its own that is checked and tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from string import Template
from typing import Final

_FOLDER: Final = "triggers.language.templates"
_MARK: Final = "#: "
_BESIDE: Final[Mapping[str, str]] = {"tag_added": "tags.yaml"}
"""The file beside the triggers that a kind cannot do without."""


@dataclass(frozen=True, slots=True)
class Starter:
    """A kind of trigger: what it is about in one line, its text with places to fill in, and what it needs beside."""

    kind: str
    about: str
    text: str
    beside: Mapping[str, str] = field(default_factory=dict)

    def fill_in(self, trigger_id: str, owner: str, offer: str) -> str:
        """The trigger's text."""
        return Template(self.text).substitute(id=trigger_id, owner=owner, offer=offer)

    def fill_in_beside(self, owner: str) -> dict[str, str]:
        """The texts of the files it needs beside, by name."""
        return {name: Template(text).substitute(owner=owner) for name, text in self.beside.items()}


def starters() -> dict[str, Starter]:
    """Every kind by name, in the order of names."""
    beside = set(_BESIDE.values())
    names = [file.name for file in resources.files(_FOLDER).iterdir() if file.name.endswith(".yaml")]
    return {kind: _starter(kind) for kind in sorted(name.removesuffix(".yaml") for name in names if name not in beside)}


def _starter(kind: str) -> Starter:
    about, _, text = _read(f"{kind}.yaml").partition("\n")
    needed = [_BESIDE[kind]] if kind in _BESIDE else []
    return Starter(kind, about.removeprefix(_MARK), text, {name: _read(name) for name in needed})


def _read(name: str) -> str:
    return resources.files(_FOLDER).joinpath(name).read_text("utf-8")
