"""What the peers run in: a Python environment of each library's own, and the jars of Kafka Streams.

Both are made once per machine, an environment for each interpreter, in the cache folder outside the tree, from pins
with hashes (Maven checks its own).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from streams.embedded_redis import server_binary
from tests.support.kafka_broker import VERSION, BrokerUnavailable, cache_folder, find_java, install_jars, locked

HERE: Final = Path(__file__).parent
_PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"


class PeerUnavailable(Exception):
    """A peer cannot be set up here; the message says why."""


def own_python() -> list[str]:
    """This environment's Python, for what it has the libraries of."""
    return [sys.executable]


def python_with(library: str) -> list[str]:
    """The Python of a library's own environment, made of ``requirements/LIBRARY.txt``. Raises ``PeerUnavailable``."""
    return [str(environment_of(HERE / "requirements" / f"{library}.txt") / "bin" / "python")]


def environment_of(pins: Path) -> Path:
    """The folder of an environment that holds what a file pins. Raises ``PeerUnavailable``.

    It is of the very interpreter that runs this: another build of the same version may be a fifth faster or slower.
    """
    library, base = pins.stem, os.path.realpath(sys.executable)
    name = f"{library}-{_PYTHON}-{hashlib.sha256(pins.read_bytes() + base.encode()).hexdigest()[:12]}"
    folder = cache_folder() / "peers" / name
    folder.parent.mkdir(exist_ok=True)
    python, ready = folder / "bin" / "python", folder / ".ready"
    with locked(folder.with_name(f"{name}.lock")):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _call([sys.executable, "-m", "venv", str(folder)], "an environment")
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            _call([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(pins)], library)
            ready.touch()
    return folder


def java_with_streams() -> list[str]:
    """The Java of Kafka Streams, ready for a source file. Raises ``PeerUnavailable``."""
    try:
        jars = install_jars("kafka-streams-peer", HERE / "pom.xml")
        return [find_java(), "-Xmx1g", "-cp", f"{jars}/*"]
    except BrokerUnavailable as error:
        raise PeerUnavailable(last_line(str(error))) from error


def versions() -> str:
    """What the contenders run on, by name and version."""
    own = [f"{name} {version(name)}" for name in ("aiokafka", "confluent-kafka", "faust-streaming")]
    pins = [
        line.replace("==", " ")
        for asked in sorted((HERE / "requirements").glob("*.in"))
        for line in asked.read_text("utf-8").splitlines()
    ]
    streams = re.search(
        r"<artifactId>kafka-streams</artifactId>\s*<version>(.+?)<", (HERE / "pom.xml").read_text("utf-8")
    )
    assert streams is not None
    redis = re.search(r"v=(\S+)", _said([str(server_binary()), "--version"]))
    java = re.search(r'version "(.+?)"', _said([find_java(), "-version"]))
    assert redis is not None
    assert java is not None
    return (
        f"Kafka {VERSION}, Redis {redis[1]}, Java {java[1]}; own: {', '.join(own)}; "
        f"peers: {', '.join(pins)}, kafka-streams {streams[1]}"
    )


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def last_line(text: str) -> str:
    """The last line that says anything, cut to what a table can hold."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines or ["no word why"])[-1][:160]


def _call(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired as error:
        raise PeerUnavailable(f"{what} could not be installed within {error.timeout:.0f} s") from error
    if done.returncode:
        raise PeerUnavailable(f"{what} could not be installed: {last_line(done.stderr or done.stdout)}")
