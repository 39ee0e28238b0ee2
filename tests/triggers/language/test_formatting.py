"""One way to write a rule file: what is put in order, what stays, and that it means the same afterwards."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from triggers.language import formatting
from triggers.language.formatting import WIDTH, CannotFormat, format_text
from triggers.language.forms import ByName, Form, Items, Key, Text
from triggers.language.grammar import FILES, POLICY, TRIGGER, form_of
from triggers.language.loader import ROLES, load_documents

ROOT = Path(__file__).parents[3]
FOLDERS = [ROOT / "triggers" / "library", *(ROOT / "tests" / "data" / "rules" / name for name in ("anz", "berka"))]


def fmt(text: str, form: Form = TRIGGER) -> str:
    formatted, problems = format_text("f.yaml", text, form)
    assert formatted is not None, [str(problem) for problem in problems]
    return formatted


MESSY = """\
# yaml-language-server: $schema=x

version:   1
trigger: messy   # the id
'title': 'A "messy" one'


owner: "retail"
on: {silence: transaction,for: '90d'}
# what is sent
action:
    ladder:
    - push    # first
    # then
    - {use: sms, after: 2d}
    offer: call
    message: {template: messy-v1,
      drop: customer.balance}     # shown
    # the end of the action
    category: retention
status: live
when: customer.balance > 10
  and customer.tier == "mid"
tests:
- expect: []
  name: "silent: always"
  events:
  - {transaction: {amount: 5, direction: debit}, at: 2026-03-02 10:00}
# the end
"""
TIDY = """\
# yaml-language-server: $schema=x

trigger: messy   # the id
version: 1
title: A "messy" one

owner: retail
status: live
on: {silence: transaction, for: 90d}
when: customer.balance > 10 and customer.tier == "mid"
# what is sent
action:
  offer: call
  # the end of the action
  category: retention
  ladder:
    - push    # first
    # then
    - {after: 2d, use: sms}
  message: {template: messy-v1, drop: customer.balance}  # shown
tests:
  - name: "silent: always"
    events:
      - {at: "2026-03-02 10:00", transaction: {direction: debit, amount: 5}}
    expect: []
# the end
"""


def test_a_messy_file_is_put_in_order() -> None:
    """Keys, indentation, quotes, blank lines; each comment goes with what it is about."""
    assert fmt(MESSY) == TIDY


def test_what_is_in_order_stays_as_it_is() -> None:
    """Formatting twice is formatting once."""
    assert fmt(TIDY) == TIDY


@pytest.mark.parametrize(
    ("written", "tidy"),
    [
        ("title: 'plain'", "title: plain"),
        ('title: "12"', 'title: "12"'),
        ("title: 'true'", 'title: "true"'),
        ('title: "yes"', 'title: "yes"'),
        ('title: "0x1F"', 'title: "0x1F"'),
        ("title: 2026-03-02", "title: 2026-03-02"),
        ('title: "2026-03-02"', 'title: "2026-03-02"'),
        ("title: 2026-03-02 10:00", 'title: "2026-03-02 10:00"'),
        ("title: 09:00", 'title: "09:00"'),
        ('title: "09:00"', 'title: "09:00"'),
        ("title: 'say \"x\"'", 'title: say "x"'),
        ("title: '\"x\": y'", "title: '\"x\": y'"),
        ('title: "it\'s"', "title: it's"),
        ('title: "# no comment"', 'title: "# no comment"'),
        ('title: "a #b"', 'title: "a #b"'),
        ('title: "a: b"', 'title: "a: b"'),
        ('title: "a:"', 'title: "a:"'),
        ('title: " a"', 'title: " a"'),
        ('title: ""', 'title: ""'),
        ('title: "-"', 'title: "-"'),
        ('title: "上海"', "title: 上海"),
        ('title: "a\\nb"', 'title: "a\\nb"'),
        ('title: {en: "a, b", zh: "c"}', 'title: {en: "a, b", zh: c}'),
        ('title: "a, b"', "title: a, b"),
        ("title: 1.50", "title: 1.50"),
        ("title: ~", "title: ~"),
        ("title:", "title:"),
    ],
)
def test_quotes_stand_where_they_are_needed(written: str, tidy: str) -> None:
    """Also where only older readers of YAML would bend the text, and for every date and time."""
    assert fmt(written + "\n") == tidy + "\n"


def test_long_brackets_become_lines() -> None:
    """And short ones stay, also within; a condition that is too long is broken before and and or."""
    offer = "{kind: deposit, title: {en: A, zh: B}, product_id: " + "x" * 60 + ", term: 90, complexity: simple}"
    form = FILES["offers.yaml"]
    assert fmt(f"offers:\n  a: {offer}\n", form).splitlines()[2:4] == ["    kind: deposit", "    title: {en: A, zh: B}"]
    condition = " and ".join(f"customer.balance > {number}00000" for number in range(1, 6))
    lines = fmt(f"when: {condition}\n").splitlines()
    assert lines[0] == "when: >-"
    assert [line.split()[0] for line in lines[1:]] == ["customer.balance", "and", "and", "and", "and"]
    assert fmt("\n".join(lines) + "\n").splitlines() == lines


def test_a_line_that_a_comment_speaks_of_is_not_broken() -> None:
    """A comment that silences a check stands on the line of the problem."""
    long = "on: [" + ", ".join(["transaction"] * 12) + "]  # noqa: E018 that is meant so"
    assert fmt(long + "\n") == long + "\n"
    assert len(long) > WIDTH


def test_text_in_lines_keeps_its_lines() -> None:
    """Only its indentation changes."""
    text = "when: >-\n      a\n        b\n\n      c\nowner: |\n   x\n    y\n"
    assert fmt(text) == "owner: |\n  x\n   y\nwhen: >-\n  a\n    b\n\n  c\n"


def test_the_comment_at_the_head_stays_there() -> None:
    """Whichever key comes first."""
    assert fmt("# head\ntitle: x\ntrigger: y\n") == "# head\ntrigger: y\ntitle: x\n"


def test_names_that_authors_choose_keep_their_order() -> None:
    """Features, offers, the fields of a message."""
    text = "features:\n  b: {over: 7d, max: customer.balance}\n  a: {count: true, over: 1d}\n"
    assert fmt(text) == "features:\n  b: {max: customer.balance, over: 7d}\n  a: {count: true, over: 1d}\n"


def test_unknown_keys_come_last() -> None:
    """A mistake is check's to tell; it stays where it can be found."""
    assert fmt("b: 1\na: 2\nversion: 1\n") == "version: 1\nb: 1\na: 2\n"


@pytest.mark.parametrize("text", ["a: b: c\n", "a: &x 1\n", "\ta: 1\n", "a: 1\na: 2\n", "--- 1\n--- 2\n", "a: \x07\n"])
def test_what_cannot_be_read_is_reported(text: str) -> None:
    """With its place, and nothing is made of it."""
    formatted, problems = format_text("f.yaml", text, TRIGGER)
    assert formatted is None
    assert all(problem.file == "f.yaml" and problem.line for problem in problems)
    assert problems


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda text: text.replace("90d", "91d"), "its values would change"),
        (lambda text: text.replace("# first", "# last"), "a comment would be lost"),
        (lambda text: text.replace("title:", "title: :"), "E002"),
    ],
)
def test_a_mistake_of_the_formatter_is_no_loss(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[str], str], says: str
) -> None:
    """What it makes is read again and compared; where that differs, it is not handed out."""
    right = formatting._file
    monkeypatch.setattr(formatting, "_file", lambda *given: wrong("\n".join(right(*given))).split("\n"))
    with pytest.raises(CannotFormat, match=says):
        format_text("f.yaml", MESSY, TRIGGER)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "\n\n", "just text\n", "- a\n", "[]\n", "{}\n"])
def test_odd_files_survive(text: str) -> None:
    """Nothing is lost, and the second time changes nothing."""
    assert fmt(fmt(text)) == fmt(text)
    assert fmt(text).strip() == text.strip()


def test_the_files_have_forms() -> None:
    """One for each role that the loader knows."""
    assert set(FILES) == set(ROLES)
    assert form_of("policy.yaml") is POLICY
    assert form_of("anything.yaml") is TRIGGER


_PLACES = frozenset({"hash", "document", "line", "evaluate", "place", "places", "begin", "end", "column", "node"})


def meaning(value: Any) -> Any:
    """A rule set without functions and places."""
    if dataclasses.is_dataclass(value):
        fields = (one.name for one in dataclasses.fields(value) if one.name not in _PLACES)
        return type(value).__name__, {name: meaning(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {key: meaning(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [meaning(inner) for inner in value]
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    return repr(value)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_rule_sets_mean_the_same_afterwards(folder: Path) -> None:
    """Also when every file was first written in another order and another style."""
    written = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.yaml")}
    before = load_documents(written)
    assert before.ruleset is not None, before.problems
    tidy = {name: fmt(text, form_of(Path(name).name)) for name, text in written.items()}
    turned = {
        name: yaml.dump(_turned(yaml.load(text, yaml.BaseLoader)), allow_unicode=True, sort_keys=False)  # text alone
        for name, text in written.items()
    }
    for files in (tidy, {name: fmt(text, form_of(Path(name).name)) for name, text in tidy.items()}):
        after = load_documents(files)
        assert after.ruleset is not None, after.problems
        assert meaning(after.ruleset) == meaning(before.ruleset)
        assert files == tidy
    for name, text in turned.items():
        form = form_of(Path(name).name)
        assert yaml.load(fmt(text, form), yaml.BaseLoader) == yaml.load(text, yaml.BaseLoader)


def _turned(value: Any) -> Any:
    """Every mapping the other way round."""
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(list(value))}
    return [_turned(item) for item in value] if isinstance(value, list) else value


def test_the_shipped_files_are_in_order() -> None:
    """As fmt --check would say."""
    for path in FOLDERS[0].rglob("*.yaml"):
        text = path.read_text("utf-8")
        assert fmt(text, form_of(path.name)) == text, path


# --- random files ----------------------------------------------------------------------------------------------------

NESTED = Form("nested", (Key("c", Text(), ""), Key("b", Items(ByName(Text())), ""), Key("a", Text(), "")))
_WORDS = st.sampled_from(
    [
        *(
            "x",
            "true",
            "12",
            "1.50",
            "yes",
            "a b",
            "it's",
            'say "x"',
            "a: b",
            "a #b",
            "#",
            "",
            " ",
            "上",
            "a,b",
            "[x",
            "-",
        ),
        *(
            "?x",
            "10:00",
            "2026-03-02",
            "a\\b",
            "x" * 130,
            "word " * 40,
            "a and b",
            "~",
            "a:",
            "{",
            "&a",
            "*a",
            "!t",
            "%d",
        ),
        *("|", ">-", "word " * 40 + "end", "- x", "? x", "@", "`", "null", ".5", "1_0", "=", "<<"),
    ]
)
_PLAIN = re.compile(r"[A-Za-z0-9.](?:[A-Za-z0-9. ']*[A-Za-z0-9.'])?")


@st.composite
def _scalars(draw: st.DrawFn) -> str:
    """A scalar on one line, in some style."""
    word = draw(_WORDS)
    if _PLAIN.fullmatch(word) and draw(st.booleans()):
        return word
    if draw(st.booleans()):
        return "'" + word.replace("'", "''") + "'"
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def _flows(draw: st.DrawFn, depth: int) -> str:
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(_scalars())
    parts = draw(st.lists(_flows(depth - 1), max_size=3))
    if draw(st.booleans()):
        return "[" + ", ".join(parts) + "]"
    return "{" + ", ".join(f"{key}: {part}" for key, part in zip("xyz", parts, strict=False)) + "}"


class _Writer:
    """Writes random YAML as a careless author would, and remembers the comments."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.comments: list[str] = []

    def comment(self) -> str:
        self.comments.append(f"# remark {len(self.comments)} ")
        return self.comments[-1]

    def maybe(self, often: int = 3) -> bool:
        return self.draw(st.integers(0, often)) == 0

    def above(self, indent: int) -> list[str]:
        lines = [""] * self.draw(st.integers(0, 2)) if self.maybe() else []
        if self.maybe():
            lines.append(" " * max(0, indent + self.draw(st.sampled_from([-2, 0, 0, 0, 2]))) + self.comment())
        return lines

    def beside(self) -> str:
        return " " * self.draw(st.integers(1, 9)) + self.comment() if self.maybe() else ""

    def mapping(self, indent: int, depth: int) -> list[str]:
        keys = self.draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
        lines: list[str] = []
        for key in keys:
            lines += self.above(indent)
            lines += self.value(f"{' ' * indent}{key}:", indent, depth)
        return lines

    def sequence(self, indent: int, depth: int) -> list[str]:
        lines: list[str] = []
        for _ in range(self.draw(st.integers(1, 3))):
            lines += self.above(indent)
            if depth and self.maybe():
                inner = self.mapping(indent + 2, depth - 1)
                first = next(position for position, line in enumerate(inner) if line.strip() and line.strip()[0] != "#")
                lines += [line for line in inner[:first] if line.strip()]
                lines += [" " * indent + "- " + inner[first][indent + 2 :], *inner[first + 1 :]]
            else:
                lines += self.value(" " * indent + "-", indent, depth)
        return lines

    def value(self, opening: str, indent: int, depth: int) -> list[str]:
        step = self.draw(st.integers(1, 4))
        kind = self.draw(st.sampled_from(["flow", "flow", "mapping", "list", "folded", "broken"]))
        if depth == 0 or kind == "flow":
            return [f"{opening} {self.draw(_flows(2))}{self.beside()}"]
        if kind == "broken":
            parts = self.draw(st.lists(_scalars(), min_size=1, max_size=3))
            inner = " " * (indent + step)
            lines = [f"{inner}{part},{self.beside()}" for part in parts]
            return [f"{opening} [{self.beside()}", *lines, f"{inner}]{self.beside()}"]
        if kind == "folded":
            style = self.draw(st.sampled_from([">-", "|", ">", "|-", "|+"]))
            words = st.sampled_from(["one", "# two", "  three", "", "a: b"])
            lines = self.draw(st.lists(words, min_size=1, max_size=4))
            body = [" " * (indent + step) + line if line else "" for line in ["text", *lines]]
            return [f"{opening} {style}{self.beside()}", *body]
        below = self.mapping if kind == "mapping" else self.sequence
        return [f"{opening}{self.beside()}", *below(indent + step, depth - 1)]


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[str]]:
    writer = _Writer(draw)
    lines = writer.mapping(0, 3)
    return "\n".join([*lines, *writer.above(0)]) + "\n", writer.comments


@settings(max_examples=200, deadline=None)
@given(files())
def test_any_file_means_the_same_and_keeps_its_comments(file: tuple[str, list[str]]) -> None:
    """Another reader of YAML finds the same values, every remark is there once, and the second time changes nothing."""
    text, comments = file
    values = yaml.load(text, yaml.BaseLoader)  # text alone
    formatted = fmt(text, NESTED)
    assert yaml.load(formatted, yaml.BaseLoader) == values
    for comment in comments:
        assert formatted.count(comment.rstrip() + "\n") + formatted.count(comment.rstrip() + " ") == 1, comment
    assert fmt(formatted, NESTED) == formatted
