"""Whether the tests of faults see what they are there for: with a mechanism taken out, a named test must fail.

``python -m tests.faults.selftest`` (``make faults-selftest``). Each mutation replaces texts in a copy of the tree; a
text that does not stand there exactly once is an error of this file. The test that is named must fail in the mutated
copy with the message that belongs to the mutation, and must pass in the copy as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("schemas", "triggers", "streams", "deploy", "tests", "pyproject.toml")

KILLED: Final = (
    "tests/faults/test_f01_kill.py::test_workers_killed_at_each_moment_of_a_batch_lose_nothing_and_repeat_nothing_else"
)
STOPPED: Final = (
    "tests/faults/test_f02_stop.py::"
    "test_sigterm_while_the_store_takes_nothing_acknowledges_nothing_that_is_not_committed"
)
FENCED: Final = "tests/faults/test_f03_rebalance.py::test_the_announce_of_an_old_epoch_is_refused"


@dataclass(frozen=True, slots=True)
class Edit:
    """``old`` in ``file`` becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """A mechanism taken out; ``test`` must then fail with a message that holds ``because``."""

    name: str
    edits: Sequence[Edit]
    test: str
    because: str


_ACKNOWLEDGE: Final = """\
        for queued, end in taken:
            self._waiting_records -= end - queued.begin
            queued.begin = end
            if end == len(queued.records):
                self._queue.popleft()
                queued.done()
"""
_PUBLISH: Final = (
    "        await (publisher or services.publisher).publish(self.number, result.messages, first=journal)\n"
)
_COMMITTED: Final = "        self.sequence = entry.sequence\n"
_POSITIONS: Final = "            positions = {}\n"
_FROM_KAFKA: Final = """\
            known = {route.topic.name: committed[route.kafka_topic, number] for route in routes}
            taken.positions.clear()
            taken.positions.update({topic: at for topic, at in known.items() if at is not None})
"""

MUTATIONS: Final = (
    Mutation(
        "the intent removed",
        [
            Edit("streams/lua/fence.lua", "redis.call('HSET', META, 'intent_seq', ARGV[2], 'intent', intent)", ""),
            Edit("streams/lua/commit.lua", "elseif p.intent_seq ~= sequence then", "elseif false then"),
            # The journal, which is ahead of the store then, would stand in for it.
            Edit("streams/processor.py", "if newest > taken.sequence + (unfinished is not None):", "if False:"),
        ],
        KILLED,
        "stands in the journal with other bytes",
    ),
    Mutation(
        "the fence removed",
        [Edit("streams/lua/fence.lua", "elseif stored > epoch then", "elseif false then")],
        FENCED,
        "a worker that was replaced announced a batch and published it",
    ),
    Mutation(
        "acknowledge before commit",
        [
            Edit("streams/owner.py", _ACKNOWLEDGE, ""),
            Edit("streams/owner.py", "        if records:\n", _ACKNOWLEDGE + "        if records:\n"),
        ],
        STOPPED,
        "is acknowledged, ",
    ),
    Mutation(
        "commit before publish",
        [
            Edit("streams/partition.py", _PUBLISH, ""),
            Edit("streams/partition.py", _COMMITTED, _PUBLISH + _COMMITTED),
        ],
        KILLED,
        "is missing",
    ),
    Mutation(
        "the position kept only in Kafka",
        [
            Edit("streams/processor.py", _POSITIONS, _FROM_KAFKA + _POSITIONS),
            Edit("streams/processor.py", "elif first is not None and first != position:", "elif False:"),
        ],
        KILLED,
        " begins at ",
    ),
)


class OutOfDate(Exception):
    """A mutation names a text that does not stand in its file exactly once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: whether it is as it must be, and in a few words."""

    what: str
    test: str
    good: bool
    said: str
    seconds: float


def mutated(mutation: Mutation, read: Mapping[str, str]) -> dict[str, str]:
    """The changed files, from their texts as they are. Raises ``OutOfDate``."""
    texts: dict[str, str] = {}
    for edit in mutation.edits:
        text = texts.get(edit.file, read[edit.file])
        if text.count(edit.old) != 1:
            raise OutOfDate(
                f"{mutation.name}: {edit.file} holds this {text.count(edit.old)} times, not once:\n{edit.old}"
            )
        texts[edit.file] = text.replace(edit.old, edit.new)
    return texts


def sources() -> dict[str, str]:
    """The files that are mutated, as they are."""
    return {edit.file: (ROOT / edit.file).read_text() for mutation in MUTATIONS for edit in mutation.edits}


def main() -> int:
    """Runs all; 0 where each mutation was caught by its test for its reason, and nothing failed without one."""
    print("| taken out | test | came to | time |\n|---|---|---|---|", flush=True)
    texts = sources()
    changed = [(mutation, mutated(mutation, texts)) for mutation in MUTATIONS]
    with tempfile.TemporaryDirectory(prefix="faults-selftest-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, copy / name)
        tests = list(dict.fromkeys(mutation.test for mutation in MUTATIONS))
        outcomes = [_unmutated(copy, tests)]
        _show(outcomes[-1])
        for mutation, files in changed if outcomes[0].good else ():
            _write(copy, files)
            outcomes.append(_caught(copy, mutation))
            _write(copy, {file: texts[file] for file in files})
            _show(outcomes[-1])
    good = sum(outcome.good for outcome in outcomes)
    print(f"\n{good} of {1 + len(changed)} as it must be")
    return 0 if good == 1 + len(changed) else 1


def _unmutated(copy: Path, tests: Sequence[str]) -> Outcome:
    code, text, seconds = _run(copy, *tests)
    return Outcome("nothing", f"{len(tests)} tests", code == 0, "passed" if code == 0 else text[-4_000:], seconds)


def _caught(copy: Path, mutation: Mutation) -> Outcome:
    code, text, seconds = _run(copy, mutation.test)
    test = mutation.test.rpartition("::")[2]
    errors = [line for line in text.splitlines() if line.startswith("E ")]
    if code == 0:
        return Outcome(mutation.name, test, False, "NOT CAUGHT: the test passed", seconds)
    if code != 1 or not any(mutation.because in line for line in errors):
        said = f"FAILED FOR ANOTHER REASON than {mutation.because!r}:\n{text[-6_000:]}"
        return Outcome(mutation.name, test, False, said, seconds)
    return Outcome(mutation.name, test, True, f"caught: {mutation.because.strip()}", seconds)


def _run(copy: Path, *tests: str) -> tuple[int, str, float]:
    """pytest's exit code in the copy, and what it wrote."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, time.monotonic() - began


def _write(copy: Path, files: Mapping[str, str]) -> None:
    for file, text in files.items():
        (copy / file).write_text(text)


def _show(outcome: Outcome) -> None:
    print(f"| {outcome.what} | {outcome.test} | {outcome.said} | {outcome.seconds:.0f} s |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
