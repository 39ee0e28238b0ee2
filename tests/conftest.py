"""What all tests share: one real Apache Kafka broker per session, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kafka_broker import KafkaBroker


def pytest_configure(config: pytest.Config) -> None:
    """kafka-python reads its protocol files by a function that Python 3.11 deprecates; warnings are errors here."""
    config.addinivalue_line("filterwarnings", r"ignore:(open|read)_text is deprecated:DeprecationWarning")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a real broker. Tests share it: use topics and groups of your own."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka") / "broker") as broker:
        yield broker.bootstrap
