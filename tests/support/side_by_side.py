"""Work that is split over processes, where a machine has several cores and nothing is measured."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

_T = TypeVar("_T")


def in_processes(parts: Sequence[Callable[[], _T]]) -> list[_T]:
    """What each part returns, run in a process of its own; the last one in this. What one raises is raised here.

    The processes are forked: what parts are given need not be sent, which the functions of a rule set cannot be. They
    must not touch connections of this process.
    """
    context = multiprocessing.get_context("fork")
    running: list[tuple[Any, Connection[Any, Any]]] = []
    try:
        for part in parts[:-1]:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(part, theirs), daemon=True)
            process.start()
            theirs.close()
            running.append((process, ours))
        here = [part() for part in parts[-1:]]
        return [*(_answer(process, connection) for process, connection in running), *here]
    finally:
        for process, connection in running:
            connection.close()
            process.kill()
            process.join()


def _run(part: Callable[[], Any], answer: Connection[Any, Any]) -> None:
    try:
        found = part(), None
    except BaseException as error:  # noqa: BLE001 - raised again by whom it concerns
        found = None, error
    answer.send(found)


def _answer(process: Any, connection: Connection[Any, Any]) -> Any:
    try:
        found, error = connection.recv()
    except EOFError:
        process.join()
        raise AssertionError(f"a process ended with {process.exitcode} before its work did") from None
    if error is not None:
        raise error
    return found
