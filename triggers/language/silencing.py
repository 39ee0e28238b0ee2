"""Comments that silence a check: ``# noqa: E104 why that is right here``.

Such a comment stands at the end of the line that the problem is reported on, or of the first or last line of a text
that goes over several; at the head of a file, before everything else, it holds for the whole file. It needs a code
that may be silenced and a reason, and something to silence.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from triggers.errors import Problem
from triggers.language import codes
from triggers.language.codes import Code
from triggers.language.document import Document, Node, shorten

_MARK: Final = re.compile(r"#\s*noqa\b", re.IGNORECASE)
_NOQA: Final = re.compile(r"#\s*noqa\s*:\s*(?P<codes>\w+(?:\s*,\s*\w+)*)(?P<reason>.*)", re.IGNORECASE)
_COMMENT: Final = re.compile(r"(?:^|(?<=[ \t]))#[^\n]*", re.MULTILINE)
_EXAMPLE: Final = "such as # noqa: E104 the silent case is tested elsewhere"
_SHORTEST_REASON: Final = 8
_MOST_COMMENTS: Final = 200
_FAR: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Silenced:
    """A problem that a comment silences, and the reason given."""

    problem: Problem
    reason: str


@dataclass(frozen=True, slots=True)
class _Comment:
    """A comment, where it stands, and the lines it speaks of."""

    text: str
    line: int
    column: int
    first: int
    last: int


def silence(
    documents: Mapping[str, Document], problems: Sequence[Problem], known: Sequence[Code]
) -> tuple[list[Problem], list[Silenced]]:
    """The problems that are left, with those of the comments themselves; and those that were silenced.

    ``known`` are all codes there are.
    """
    kept = list(problems)
    silenced: list[Silenced] = []
    by_id = {code.id: code for code in known}
    for document in documents.values():
        for number, comment in enumerate(_noqas(document)):
            if number == _MOST_COMMENTS:
                message = f"more than {_MOST_COMMENTS} noqa comments in one file; the rest is not read"
                kept.append(Problem(document.file, comment.line, comment.column, codes.TOO_BIG.id, message))
                break
            kept, more = _apply(comment, document, kept, by_id)
            silenced += more
    return kept, silenced


def _apply(
    comment: _Comment, document: Document, problems: list[Problem], known: Mapping[str, Code]
) -> tuple[list[Problem], list[Silenced]]:
    def problem(code: Code, message: str) -> Problem:
        path = _path_at(document.root, comment.line)
        return Problem(document.file, comment.line, comment.column, code.id, message, path, code.severity)

    match = _NOQA.match(comment.text)
    if match is None:
        return [*problems, problem(codes.BAD_SILENCE, f"noqa names what it silences, and why: {_EXAMPLE}")], []
    reason = match["reason"].strip(" \t:-—")
    if len(reason) < _SHORTEST_REASON:
        return [
            *problems,
            problem(codes.BAD_SILENCE, f"noqa needs a reason of some words after the code, {_EXAMPLE}"),
        ], []
    found: list[Problem] = []
    silenced: list[Silenced] = []
    for name in dict.fromkeys(part.strip().upper() for part in match["codes"].split(",")):
        code = known.get(name)
        if code is None:
            found.append(problem(codes.NOT_SILENCEABLE, f"there is no code {shorten(name)}; check --list shows all"))
            continue
        if not code.silenceable:
            found.append(problem(codes.NOT_SILENCEABLE, f"{name} cannot be silenced: {code.about}"))
            continue
        meant = [one for one in problems if one.code == name and _covers(comment, document, one)]
        silenced += [Silenced(one, reason) for one in meant]
        problems = [one for one in problems if one not in meant]
        if not meant and not _half_read(document, problems, known):
            where = "in this file" if comment.last == _FAR else "on this line"
            found.append(problem(codes.NOTHING_SILENCED, f"there is no {name} {where} to silence: remove the comment"))
    return [*problems, *found], silenced


def _covers(comment: _Comment, document: Document, problem: Problem) -> bool:
    return problem.file == document.file and comment.first <= problem.line <= comment.last


def _half_read(document: Document, problems: Sequence[Problem], known: Mapping[str, Code]) -> bool:
    """Whether a mistake kept the checks from seeing the file whole: then nothing can be said of what they miss."""
    own = (codes.BAD_SILENCE.id, codes.NOT_SILENCEABLE.id)
    return any(
        problem.file == document.file
        and problem.severity == "error"
        and not known[problem.code].silenceable
        and problem.code not in own
        for problem in problems
    )


def _noqas(document: Document) -> Iterator[_Comment]:
    if _MARK.search(document.text) is not None:
        yield from (comment for comment in _comments(document.text) if _MARK.match(comment.text))


def _comments(text: str) -> Iterator[_Comment]:
    """The comments of a YAML text. Only what YAML itself takes for no part of a value is one."""
    tokens = [
        token
        for token in yaml.scan(text, Loader=yaml.CSafeLoader)
        if not isinstance(token, yaml.StreamStartToken | yaml.DocumentStartToken)
    ]
    begin = tokens[0].start_mark.index if tokens else 0
    spans = [_span(token, text) for token in tokens if isinstance(token, yaml.ScalarToken)]
    starts = [first for first, _, _, _ in spans]
    beside: dict[int, list[int]] = {}
    for _, _, first, last in spans:
        if last > first:
            beside.setdefault(first, []).extend((first, last))
            beside.setdefault(last, []).extend((first, last))
    at, line, counted = 0, 1, 0
    while match := _COMMENT.search(text, at):
        holder = spans[bisect_right(starts, match.start()) - 1] if starts and starts[0] <= match.start() else None
        if holder is not None and match.start() < holder[1]:
            at = holder[1]
            continue
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        column = match.start() - text.rfind("\n", 0, match.start())
        lines = [line, *beside.get(line, ())] if match.start() >= begin else [1, _FAR]
        yield _Comment(match[0], line, column, min(lines), max(lines))
        at = match.end()


def _span(token: yaml.ScalarToken, text: str) -> tuple[int, int, int, int]:
    """Where a scalar's own text begins and ends, and the lines it is on."""
    start, end = token.start_mark.index, token.end_mark.index
    first, last = token.start_mark.line + 1, token.end_mark.line + 1
    if token.style in ("|", ">"):  # a comment may follow the sign; the text ends before the line of the next token
        start, last = text.find("\n", start) + 1, last - 1
        end = max(start, end)
    return start, end, first, max(first, last)


def _path_at(root: Node | None, line: int) -> str:
    """The key path of the last key that begins on a line."""
    if root is None:
        return ""
    path = ""
    waiting = [root]
    while waiting:
        value = waiting.pop(0).value
        if isinstance(value, dict):
            path = next((entry.place.path for entry in reversed(value.values()) if entry.place.line == line), path)
            waiting += [entry.value for entry in value.values()]
        elif isinstance(value, list):
            waiting += value
    return path
