"""Comments that silence a check: on its line or for the file, with a reason, and only where there is something."""

from __future__ import annotations

import pytest

from tests.triggers.language.rule_texts import GOOD, found_in, load, vary
from triggers.language.checks import ALL_CODES
from triggers.language.codes import READING
from triggers.language.loader import from_document

NO_SILENT_CASE = ("  - name: silent\n    events: []\n    expect: []\n", "")
UNUSED = "  other: {min: customer.balance, over: 7d}\nwhen:"
WHY = "the silent case is another file's"


def test_a_comment_at_the_end_of_the_line_silences_the_check() -> None:
    """The rule set loads, and what was silenced is told with its reason."""
    loaded = load({"good.yaml": vary(NO_SILENT_CASE, ("tests:\n", f"tests:  # noqa: E104 {WHY}\n"))})
    assert loaded.problems == []
    assert loaded.ruleset is not None
    (silenced,) = loaded.silenced
    assert (silenced.problem.code, silenced.problem.line, silenced.reason) == ("E104", 20, WHY)
    assert from_document(loaded.ruleset.document).hash == loaded.ruleset.hash


@pytest.mark.parametrize(
    "comment",
    [f"# noqa: E104 {WHY}", f"#NOQA:E104 {WHY}", f"# noqa: W107, E104 {WHY}", f"# noqa : e104 - {WHY}"],
)
def test_at_the_head_of_the_file_it_holds_for_all_of_it(comment: str) -> None:
    """Several codes may share a reason; capitals and spaces do not matter."""
    text = f"# A trigger.\n{comment}\n" + vary(NO_SILENT_CASE, ("when:", UNUSED if "W107" in comment else "when:"))
    loaded = load({"good.yaml": text})
    assert loaded.problems == []
    assert {one.reason for one in loaded.silenced} == {WHY}
    assert len(loaded.silenced) == comment.count("10")


@pytest.mark.parametrize(
    "when",
    [
        "when: >-  # noqa: E110 {why}\n  customer.balance <= peak * 0.7\n  and event.amount < 0\n",
        "when: |  # noqa: E110 {why}\n  customer.balance <= peak * 0.7\n  and event.amount < 0\n",
        "when: customer.balance <= peak * 0.7\n  and event.amount < 0\n  and 1 < peak # noqa: E110 {why}\n",
        'when: "customer.balance <= peak * 0.7\n  and event.amount < 0\n  and 1 < peak" # noqa: E110 {why}\n',
    ],
)
def test_a_text_of_several_lines_is_silenced_as_one(when: str) -> None:
    """By a comment on its first or its last line: within it there is no room for one."""
    loaded = load({"good.yaml": vary(("when: customer.balance <= peak * 0.7\n", when.format(why=WHY)))})
    assert loaded.problems == []
    assert [one.problem.line for one in loaded.silenced] == [11 if ">" in when[:8] or "|" in when else 10]


def test_what_looks_like_a_comment_within_a_text_is_none() -> None:
    """Nor is a # without a space before it."""
    for title in (f'"x # noqa: E104 {WHY}"', "x#noqa:E104-it-is-text", f"|\n  x # noqa: E104 {WHY}\n  y"):
        assert found_in(NO_SILENT_CASE, ("title: A good trigger", f"title: {title}"))[-1][2] == "E104"
    quoted = ("title: A good trigger", f'title: "a # b"  # noqa: E104 {WHY}')
    assert [code for _, _, code in found_in(NO_SILENT_CASE, quoted)] == ["W022", "E104"]


def test_a_problem_on_another_line_stays() -> None:
    """And the comment is told that it silences nothing; so is one on a line of its own."""
    beside = ("title: A good trigger", f"title: A good trigger  # noqa: E104 {WHY}")
    assert found_in(NO_SILENT_CASE, beside) == [(3, 24, "W022"), (20, 1, "E104")]
    above = ("tests:\n", f"# noqa: E104 {WHY}\ntests:\n")
    assert found_in(NO_SILENT_CASE, above) == [(20, 1, "W022"), (21, 1, "E104")]


@pytest.mark.parametrize(
    ("comment", "code", "says"),
    [
        ("# noqa", "E020", "what it silences"),
        ("# noqa E104 the colon is missing", "E020", "what it silences"),
        ("# noqa:", "E020", "what it silences"),
        ("# noqa: E104", "E020", "needs a reason"),
        ("# noqa: E104 ok", "E020", "needs a reason"),
        ("# noqa: E999 because it is so", "E021", "there is no code E999"),
        ("# noqa: because it is so", "E021", "there is no code BECAUSE"),
        ("# noqa: E031 the name will exist", "E021", "cannot be silenced"),
        ("# noqa: E101 it is the same trigger", "E021", "cannot be silenced"),
        ("# noqa: W022 it silences nothing", "E021", "cannot be silenced"),
        ("# noqa: E104 it is silent enough", "W022", "no E104 on this line"),
    ],
)
def test_a_comment_that_silences_nothing_is_a_problem_of_its_own(comment: str, code: str, says: str) -> None:
    """Without a code, without a reason, with a code that is none or may not be, or with nothing there."""
    (problem,) = load({"good.yaml": vary(("owner: team", f"owner: team  {comment}"))}).problems
    assert (problem.code, problem.line, problem.column, problem.path) == (code, 4, 14, "owner")
    assert says in problem.message


def test_a_mistake_in_reading_is_never_silenced() -> None:
    """Nor are the codes of the comments themselves, nor what would leave a trigger without meaning."""
    assert not any(code.silenceable for code in READING)
    assert not {code.id for code in ALL_CODES if code.silenceable} & {"E101", "E102", "E105", "E106", "E108", "E109"}
    comment = ("owner: team", "owner: team\nversion: 1  # noqa: E003 it is the same")
    assert [code for _, _, code in found_in(comment)] == ["E003", "E021"]


def test_a_comment_is_not_called_useless_while_the_file_is_half_read() -> None:
    """The check that it speaks of may not have seen the file whole."""
    unused = ("when:", UNUSED.replace("7d}", f"7d}}  # noqa: W107 {WHY}"))
    assert [code for _, _, code in found_in(unused, ("customer.balance <=", "customer.ballance <="))] == ["E031"]


def test_each_file_has_its_own_comments() -> None:
    """One file's silence says nothing of another's."""
    other = vary(NO_SILENT_CASE, ("trigger: good", "trigger: other"))
    loaded = load({"good.yaml": f"# noqa: E104 {WHY}\n{GOOD}", "other.yaml": other})
    assert [(problem.file, problem.code) for problem in loaded.problems] == [
        ("good.yaml", "W022"),
        ("other.yaml", "E104"),
    ]
