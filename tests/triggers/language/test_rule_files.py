"""What lies in a folder of rules: whatever it is, it is read within bounds or it is a located problem."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.triggers.language.rule_texts import GOOD
from triggers.language import rule_files
from triggers.language.document import MAX_BYTES
from triggers.language.loader import load_ruleset
from triggers.language.rule_files import find_files

ROOT = Path(__file__).parents[3]
_CHECK = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from triggers.language.loader import load_ruleset
for problem in load_ruleset([Path(sys.argv[1])]).problems:
    print(problem)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good trigger."""
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path


def like_good(name: str) -> str:
    """The good trigger under another name."""
    return GOOD.replace("trigger: good", f"trigger: {name}")


def make_sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(50 << 20)


STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (lambda path: os.mkfifo(path), "E001 this is no ordinary file"),
    "zeros": (lambda path: path.symlink_to("/dev/zero"), "E001 this is no ordinary file"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "E001 "),
    "loop": (lambda path: path.symlink_to(path.name), "E001 cannot be read: Too many levels of symbolic links"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "E001 does not exist"),
    "fifty_mb": (lambda path: path.write_bytes(b"a: " + b"x" * (50 << 20)), f"E001 the file has {MAX_BYTES + 1}"),
    "sparse": (make_sparse, f"E001 the file has {MAX_BYTES + 1}"),
    "keys": (lambda path: path.write_text("".join(f"k{n}: 1\n" for n in range(100_000))), "E005 more than"),
    "strange_keys": (lambda path: path.write_text("".join(f"k{n}: 1\n" for n in range(24_000))), "E010 unknown key"),
    "twice": (lambda path: path.write_text("k: 1\n" * 24_000), "E003 the key"),
    "deep": (lambda path: path.write_text("[" * 500_000), "E005 nested more than"),
    "deep_blocks": (
        lambda path: path.write_text("".join(" " * n + "a:\n" for n in range(1_000))),
        "E005 nested more than",
    ),
    "laughs": (
        lambda path: path.write_text("a: &a [x,x]\n" + "".join(f"b{n}: &b{n} [*a,*a]\n" for n in range(9))),
        "E004 an anchor",
    ),
    "scalar": (lambda path: path.write_text("trigger: " + "x" * 900_000), "E011 missing key"),
    "expression": (lambda path: path.write_text(like_good("expression").replace("peak * 0.7", "(" * 900_000)), "E035 "),
    "rows": (lambda path: path.write_text("- " * 300_000), "E005 "),
    "questions": (lambda path: path.write_text("? " * 300_000), "E0"),
    "braces": (lambda path: path.write_text("{a: " * 100_000), "E005 "),
    "escapes": (lambda path: path.write_text('"' + "\\x41" * 200_000 + '"'), "E012 "),
    "lines": (lambda path: path.write_text("trigger: >\n" + "  x\n" * 200_000), "E014 "),
    "empties": (lambda path: path.write_text("[" + "{}," * 300_000), "E005 "),
    "comment": (lambda path: path.write_text("# " + "x" * 1_000_000), "E011 "),
    "names": (
        lambda path: path.write_text(
            like_good("names")
            .replace("peak * 0.7", "1")
            .replace("drop: ", "".join(f"f{n}: peek_{n} + peek, " for n in range(9_000)))
        ),
        "E031 unknown name",
    ),
    "features": (
        lambda path: path.write_text(
            like_good("features").replace(
                "when:", "".join(f"  p{n}: {{max: customer.balanse, over: 7d}}\n" for n in range(5_000)) + "when:"
            )
        ),
        "E014 a trigger has at most",
    ),
    "numbers": (
        lambda path: path.write_text(like_good("numbers").replace("priority: 80", "priority: " + "9" * 900_000)),
        "E012 ",
    ),
    "comments": (
        lambda path: path.write_text(like_good("comments") + "# noqa: E104 it is so\n" * 40_000),
        "E005 more than 200 noqa comments",
    ),
}
"""What a stranger may leave in the folder, and how the report on it begins."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The problems of a folder of all these and a good trigger, from a process with a minute and a GiB for them."""
    folder = tmp_path_factory.mktemp("strange")
    (folder / "good.yaml").write_text(GOOD)
    for name, (make, _) in STRANGE.items():
        make(folder / f"{name}.yaml")
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [line.removeprefix(f"{folder}/") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", STRANGE)
def test_whatever_lies_there_is_reported_within_bounds(report: list[str], name: str) -> None:
    """In bounded time and memory, at a line of that file, and not without end."""
    lines = [line for line in report if line.startswith(f"{name}.yaml:")]
    assert any(line.split(" ", 1)[1].startswith(STRANGE[name][1]) for line in lines), lines[:3]
    assert len(lines) <= 210


def test_a_good_trigger_beside_them_is_good(report: list[str]) -> None:
    """Nothing is said of it."""
    assert [line for line in report if line.startswith("good.yaml:")] == []


def test_links_to_files_are_followed_and_links_to_folders_are_told(folder: Path) -> None:
    """Mounted configuration is made of links to files; a loop of folders would have no end."""
    rules = folder / "rules"
    rules.mkdir()
    (rules / "good.yaml").symlink_to(folder / "good.yaml")
    assert load_ruleset([rules]).problems == []
    (rules / "again").symlink_to(rules)
    (problem,) = load_ruleset([rules]).problems
    assert (problem.file, problem.code) == (str(rules / "again"), "E001")
    assert "not followed" in problem.message


def test_hidden_files_and_folders_are_left_alone(folder: Path) -> None:
    """Editors and version control keep theirs there."""
    (folder / ".git").mkdir()
    (folder / ".git" / "x.yaml").write_text("- x")
    (folder / ".x.yaml").write_text("- x")
    (folder / "folder.yaml").mkdir()
    assert load_ruleset([folder]).problems == []


def test_a_pipe_given_by_name_is_not_waited_for(tmp_path: Path) -> None:
    """Nor is a folder that cannot be read passed over."""
    os.mkfifo(tmp_path / "x.yaml")
    assert [problem.code for problem in load_ruleset([tmp_path / "x.yaml"]).problems] == ["E001"]


def test_a_name_that_is_no_text_can_be_printed(folder: Path) -> None:
    """Its bytes are shown as replaced ones."""
    with open(os.fsencode(folder) + b"/\xff.yaml", "wb") as stream:  # noqa: PTH123  # a Path cannot name it
        stream.write(b"{}")
    (problem,) = load_ruleset([folder]).problems
    assert problem.file.endswith("\ufffd.yaml")
    assert str(problem).encode()


@pytest.mark.parametrize(
    ("bound", "value", "says"),
    [("MOST_FILES", 2, "rule files"), ("MOST_ENTRIES", 3, "files and folders"), ("MOST_BYTES", 2000, "bytes in all")],
)
def test_a_folder_that_is_too_large_is_not_walked_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, says: str
) -> None:
    """Whoever gives the root of the disk is told soon."""
    monkeypatch.setattr(rule_files, bound, value)
    for number in range(20):
        (folder / f"x{number}.yaml").write_text(GOOD)
    found = find_files([folder], ())
    assert [problem.code for problem in found.problems] == ["E005"]
    assert says in found.problems[0].message
    assert len(found.files) <= value + 1
