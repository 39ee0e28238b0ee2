"""What people read of the library: every trigger, tag, offer and desk request has an English and a Chinese title."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.support.requirements import LIBRARY
from triggers.desk.records import TITLES

CHINESE = re.compile("[一-鿿]")
TITLED = {
    **{path.stem: yaml.safe_load(path.read_text("utf-8"))["title"] for path in LIBRARY.glob("*/*.yaml")},
    **{name: tag["title"] for name, tag in yaml.safe_load((LIBRARY / "tags.yaml").read_text("utf-8"))["tags"].items()},
    **{
        f"offer {name}": offer["title"]
        for name, offer in yaml.safe_load((LIBRARY / "offers.yaml").read_text("utf-8"))["offers"].items()
    },
    **{f"{name} {part}": titles[part] for name, titles in TITLES.items() for part in (0, 1)},
}


@pytest.mark.parametrize("name", TITLED)
def test_it_is_told_in_both_languages(name: str) -> None:
    """The English title in English, the Chinese one in Chinese, each short enough for a line of a list."""
    title = TITLED[name]
    assert isinstance(title, dict), "one line for all: the desks work in Chinese"
    assert title.keys() == {"en", "zh"}
    assert title["en"].isascii()
    assert CHINESE.search(title["zh"])
    assert re.search("[A-Za-z]{3}", title["zh"]) is None
    assert len(title["en"]) <= 60
    assert len(title["zh"]) <= 20


def test_no_two_have_the_same_title() -> None:
    """A desk can tell what it is called for."""
    triggers = [TITLED[path.stem]["zh"] for path in LIBRARY.glob("*/*.yaml")]
    assert len(triggers) == len(set(triggers))
