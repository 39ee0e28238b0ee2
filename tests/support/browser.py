"""A real browser for pages: Debian's Chromium, without a window, off the network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    # Whatever a page asks for from outside is refused.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_INSTALL = (
    ("apt-get", "update", "-qq"),
    ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"),
)


class Browser:
    """Runs Chromium once for each question, with a profile of its own."""

    def __init__(self, program: str) -> None:
        self._program = program

    def page(self, path: Path) -> str:
        """The page's document as the browser has it after loading."""
        return self._run("--dump-dom", path).decode()

    def pdf(self, path: Path, target: Path) -> bytes:
        """The page as it prints."""
        self._run(f"--print-to-pdf={target}", path, "--no-pdf-header-footer")
        return target.read_bytes()

    def screenshot(self, path: Path, target: Path, *, dark: bool = False) -> bytes:
        """The page on a screen of 1,100 × 1,400, as PNG."""
        more = ["--window-size=1100,1400", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        self._run(f"--screenshot={target}", path, *more)
        return target.read_bytes()

    def _run(self, what: str, path: Path, *more: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="bank-triggers-browser-") as profile:
            done = subprocess.run(
                [self._program, *_FLAGS, f"--user-data-dir={profile}", *more, what, path.resolve().as_uri()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=90,
            )
        assert done.returncode == 0, done.stderr.decode()[-2_000:]
        return done.stdout


def find_browser() -> Browser:
    """Chromium, installed first where it is missing and that is possible; else the test is skipped with the reason."""
    program, reason = _program()
    if program is None:
        pytest.skip(reason)
    return Browser(program)


@cache
def _program() -> tuple[str | None, str]:
    if shutil.which("chromium") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            return None, "there is no chromium; on Debian: apt-get install chromium"
        for command in _INSTALL:
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=240,
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                )
            except subprocess.TimeoutExpired:
                return None, f"{' '.join(command)} took too long"
            if done.returncode != 0:
                return None, f"chromium cannot be installed: {done.stderr.decode()[-300:].strip()}"
    return shutil.which("chromium"), "chromium was installed and is still not found"
