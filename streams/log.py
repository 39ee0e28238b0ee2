"""The log of a process: one line per event on standard error, plain or JSON, times in UTC."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from streams.tls import chain_of

_OURS = ("streams", "triggers", "schemas")
_SAME_LETTERS = 60
_MOST_TEXTS = 1_000
_QUOTING = (LookupError, ValueError, ArithmeticError, msgspec.MsgspecError)
"""Errors whose texts quote the value that they are about, which may be a customer's."""


def configure_log(level: Literal["debug", "info", "warning", "error"], style: Literal["plain", "json"]) -> None:
    """Sets the log up for this process, in place of whatever was set up before.

    Libraries log warnings and errors only, whatever the level: their finer lines quote keys and values.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Plain())
    handler.addFilter(Seldom())
    handler.addFilter(_without_values)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())


class Seldom(logging.Filter):
    """Lets a library say the same thing once in ``seconds``, and then how often it was said meanwhile.

    Kafka's client reports each attempt to reach a broker that is away, twenty a second. What is the same is told by
    the logger, the level and the text before its values are put in: one broker's reports hide another's for a while.
    """

    def __init__(self, seconds: float = 30.0, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._now = now
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] in _OURS:
            return True
        # A text that was put together before it was logged has its values in it: its beginning must do.
        what = record.name, record.levelno, str(record.msg)[:_SAME_LETTERS]
        now = self._now()
        since, more = self._said.get(what, (now - self._seconds, 0))
        if now - since < self._seconds:
            self._said[what] = since, more + 1
            return False
        if len(self._said) >= _MOST_TEXTS:
            self._said.clear()
        self._said[what] = now, 0
        if more:
            record.msg, record.args = f"{record.getMessage()} (and {more} more like it)", None
        return True


def trace_of(error: BaseException) -> str:
    """As Python shows an error and those that led to it, oldest first; but no text that may quote a value."""
    links = [
        f"Traceback (most recent call last):\n{''.join(traceback.format_tb(link.__traceback__))}{_told(link)}"
        for link in chain_of(error)
    ]
    return "\n\nthen:\n\n".join(reversed(links))


def _told(error: BaseException) -> str:
    kind, text = type(error), str(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if _quotes(error):
        return f"{name} (what it says is left out: it may quote a record)"
    return f"{name}: {text}" if text else name


def _quotes(error: BaseException) -> bool:
    # A certificate that is not accepted is of both kinds, and is no record's.
    return isinstance(error, _QUOTING) and not isinstance(error, OSError)


def _without_values(record: logging.LogRecord) -> bool:
    """Puts the name in the place of an error that is logged as a value of a line."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            _told(arg) if isinstance(arg, BaseException) and _quotes(arg) else arg for arg in record.args
        )
    return True


class _Formatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's
        return trace_of(ei[1])


class _Plain(_Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's
        return _utc(record)


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _utc(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
