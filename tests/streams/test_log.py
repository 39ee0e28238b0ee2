"""The log: one line per event, ours at the level asked for, libraries quiet."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Iterator
from typing import Literal

import msgspec
import pytest

from streams.log import Seldom, configure_log
from streams.refusals import StateLost


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    ours = {name: logging.getLogger(name).level for name in ("streams", "triggers", "schemas")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in ours.items():
        logging.getLogger(name).setLevel(was)


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is an object with time, level, logger and message; an error brings its trace in the same line."""
    configure_log("info", "json")
    logging.getLogger("streams.x").info("began %d", 1)
    try:
        int("of its own")
    except ValueError:
        logging.getLogger("streams.x").exception("ended")
    first, second = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (first["level"], first["logger"], first["message"]) == ("info", "streams.x", "began 1")
    assert first["time"].endswith("+00:00")
    assert second["error"] == "ValueError"
    assert "of its own" in second["trace"]


@pytest.mark.parametrize("style", ["plain", "json"])
def test_an_error_that_quotes_a_value_is_told_without_it(
    capsys: pytest.CaptureFixture[str], style: Literal["plain", "json"]
) -> None:
    """A bug meets a customer's record: where and what kind of error it is, never the value that it names.

    Errors of ours, of the system and of the clients say what they have to say.
    """
    configure_log("info", style)
    customer = "c-" + "4711"
    try:
        try:
            {}[customer]
        except KeyError:
            raise StateLost("bank.transactions", 3, 5) from None
    except StateLost as error:
        caught = error
    for log in (logging.getLogger("streams.x"), logging.getLogger("mode")):
        for broken in (
            lambda: {}[customer],
            lambda: int(customer),
            lambda: msgspec.json.decode(f'"{customer}', type=int),
        ):
            try:
                broken()
            except Exception as error:
                log.exception("it ended: %r", error)  # noqa: TRY401 - as mode logs what it met
        log.error("the state: %s", caught, exc_info=caught)
        log.error("the line: %s", OSError("is down"), exc_info=OSError("is down"))
        log.error("the peer: %s", expired := ssl.SSLCertVerificationError(1, "has expired"), exc_info=expired)
    told = capsys.readouterr().err
    assert customer not in told
    for text in (
        "KeyError (what it says",
        "ValueError (what",
        "DecodeError (what",
        "test_log.py",
        "OSError: is down",
        "has expired",
    ):
        assert text in told
    assert told.count("the state of bank.transactions partition 3 is lost") == 4


def test_libraries_never_log_their_details(capsys: pytest.CaptureFixture[str]) -> None:
    """aiokafka's debug lines quote keys and values: not even our debug level lets them through."""
    configure_log("debug", "plain")
    logging.getLogger("aiokafka.producer").debug("Sending (key=%s)", "customer")
    logging.getLogger("aiokafka.producer").warning("lost")
    logging.getLogger("triggers.x").debug("ours")
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == [
        "WARNING aiokafka.producer: lost",
        "DEBUG triggers.x: ours",
    ]


def test_a_library_says_the_same_thing_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty lines a second about a broker that is away are two a minute, and tell how many they stand for."""
    configure_log("info", "plain")
    now = 0.0
    logging.getLogger().handlers[0].filters[:] = [Seldom(30, lambda: now)]
    for _ in range(100):
        logging.getLogger("aiokafka").error("Unable connect to node with id %s: %s", 1, "refused")
        logging.getLogger("streams.x").info("ours")
        now += 1
    logging.getLogger("aiokafka").error("another text")
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines.count("INFO streams.x: ours") == 100
    assert [line for line in lines if "aiokafka" in line] == [
        "ERROR aiokafka: Unable connect to node with id 1: refused",
        *["ERROR aiokafka: Unable connect to node with id 1: refused (and 29 more like it)"] * 3,
        "ERROR aiokafka: another text",
    ]
