"""Every code has a page, and what its page calls wrong is wrong, what it calls right is right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

import pytest

from tests.triggers.language.rule_texts import GOOD
from triggers.language.checks import ALL_CODES, pages
from triggers.language.checks.pages import page_of
from triggers.language.loader import load_documents

_ABOUT = {code.id: code.about for code in ALL_CODES}
_NOT_IN_A_FILE = {"E001", "E005"}
"""What is wrong with these is not in a text that could be shown."""


def blocks(text: str, indent: str = "") -> dict[str, str]:
    """The keys of a mapping in block form, each with its lines; a key that stands twice with all of them."""
    found: dict[str, str] = {}
    key = ""
    for line in text.splitlines(keepends=True):
        match = re.match(rf"{indent}(\w+):", line)
        key = match[1] if match else key
        found[key] = found.get(key, "") + line
    return found


def laid_over(fragment: str, without: str) -> str:
    """The good trigger with the keys of a fragment in place of its own, those of the action and features one by one."""
    whole = blocks(GOOD)
    for key, text in blocks(fragment).items():
        if key in ("action", "features") and key in whole:
            head, _, rest = text.partition("\n")
            inner = blocks(whole[key].partition("\n")[2], "  ") | blocks(rest, "  ")
            text = f"{head}\n{''.join(inner.values())}"
        whole[key] = text
    outer, _, inner_key = without.partition(".")
    if inner_key:
        head, _, rest = whole[outer].partition("\n")
        kept = blocks(rest, "  ")
        del kept[inner_key]
        whole[outer] = f"{head}\n{''.join(kept.values())}"
    elif outer:
        del whole[outer]
    return "".join(whole.values())


def files_of(example: str, without: str) -> Mapping[str, str]:
    """The files of an example: one that names none changes the good trigger, which stands beside the others too."""
    parts = re.split(r"^# (\S+\.yaml)\n", f"{example}\n", flags=re.MULTILINE)
    named = dict(zip(parts[1::2], parts[2::2], strict=True))
    if not named:
        return {"good.yaml": laid_over(example + "\n", without)}
    triggers = {name for name in named if name.endswith(("good.yaml", "other.yaml"))}
    files = {name: laid_over(text, "") if name in triggers else text for name, text in named.items()}
    return files if triggers else {"good.yaml": GOOD, **files}


def examples(code: str) -> list[tuple[str, str]]:
    """The two examples of a page, each with what it leaves out of the good trigger."""
    return [
        (match[2], match[1] or "")
        for match in re.finditer(r"^```yaml(?: without=(\S+))?\n(.*?)^```$", page_of(code), re.MULTILINE | re.DOTALL)
    ]


def codes_in(example: tuple[str, str]) -> set[str]:
    return {problem.code for problem in load_documents(files_of(*example), date(2026, 6, 1)).problems}


@pytest.mark.parametrize("code", _ABOUT)
def test_every_code_has_a_page(code: str) -> None:
    """Title, text, a wrong example and a right one. A new code needs its page beside the others."""
    title, _, rest = page_of(code).partition("\n\n")
    assert title == f"# {code}: {_ABOUT[code]}"
    text, wrong, right = re.split(r"\n\n(?:Wrong|Right):\n\n", rest)
    assert len(text) > 60
    assert wrong != right
    assert all(part.startswith("```") and part.rstrip().endswith("```") for part in (wrong, right))


@pytest.mark.parametrize("code", sorted(set(_ABOUT) - _NOT_IN_A_FILE))
def test_the_examples_of_a_page_are_what_they_say(code: str) -> None:
    """The wrong one has this mistake and no other; the right one has none."""
    wrong, right = examples(code)
    assert codes_in(wrong) == {code}
    assert codes_in(right) == set()


def test_no_page_is_left_over() -> None:
    """A page on a code that is gone would mislead."""
    from importlib.resources import files

    named = {entry.name for entry in files(pages.__name__).iterdir() if entry.name.endswith(".md")}
    assert named == {f"{code}.md" for code in _ABOUT}


def test_what_is_not_in_a_file_is_shown_as_a_command() -> None:
    """A missing file or a folder that is too large has no text."""
    for code in _NOT_IN_A_FILE:
        assert "```sh\nbank-triggers check " in page_of(code)
