"""Commands that tests start from a process that has imported everything are what a user's would be."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.preloaded import Child, Launcher
from tests.support.worker_process import environment, wait_until

RULES = Path(__file__).parent / "integration" / "rules" / "independent"
SECONDS = 60.0


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """One with a preloaded process of its own."""
    launcher = Launcher()
    launcher.enabled = True
    yield launcher
    launcher.close()


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["topics", "-h"], {}),
        (["nonsense"], {}),
        (["worker", "--rules", "/nowhere/rules"], {}),
        (["topics", "check"], {"kafka_bootstrap": ""}),
        (["decisions", "--customer"], {}),
    ],
    ids=["help", "unknown", "rules", "settings", "usage"],
)
def test_says_and_ends_as_a_process_of_its_own(
    launcher: Launcher, tmp_path: Path, arguments: list[str], settings: dict[str, object]
) -> None:
    """Output and exit code are those of ``python -m streams``; its environment is the one it is given."""
    env = environment(settings)
    forked = launcher.start(arguments, env, tmp_path / "forked")
    plain = Launcher().start(arguments, env, tmp_path / "plain")
    assert isinstance(forked, Child)
    assert isinstance(plain, subprocess.Popen)
    assert forked.wait(SECONDS) == plain.wait(SECONDS)
    assert (tmp_path / "forked").read_text() == (tmp_path / "plain").read_text() != ""


def test_another_environment_is_given_a_process_of_its_own(launcher: Launcher, tmp_path: Path) -> None:
    """What may change what is imported, as a path of modules: nothing that was imported without it serves then."""
    env = {**environment({}), "PYTHONPATH": str(tmp_path)}
    process = launcher.start(["-h"], env, tmp_path / "output")
    assert isinstance(process, subprocess.Popen)
    assert process.wait(SECONDS) == 0


def test_a_signal_ends_it_and_tells_its_code(launcher: Launcher, tmp_path: Path) -> None:
    """As of a child of this process; after its end it is sent no more."""
    nobody = {"kafka_bootstrap": "127.0.0.1:1", "redis_url": "redis://127.0.0.1:1", "startup_seconds": 600}
    process = launcher.start(["worker", "--rules", str(RULES)], environment(nobody), tmp_path / "output")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(SECONDS) == -signal.SIGKILL
    process.kill()


def test_it_ends_with_who_asked(tmp_path: Path) -> None:
    """Its input is closed with the process of the tests, however that ends."""
    launcher = Launcher()
    launcher.enabled = True
    launcher.start(["-h"], environment({}), tmp_path / "output").wait(SECONDS)
    assert launcher._preloaded is not None
    pid = launcher._preloaded._process.pid
    assert Path(f"/proc/{pid}").exists()
    launcher.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "it is gone", 10)
