"""On the path of a worker started under ``tests/support/wall_clock.py``: its wall clock is off by the ms in a file.

Python imports a module of this name at its start. The monotonic clock, by which everything waits, is left alone.
"""

import os
import time
from pathlib import Path

_FILE = Path(os.environ["TEST_CLOCK_SHIFT"])
_true_time_ns = time.time_ns


def _shifted_time_ns() -> int:
    return _true_time_ns() + int(_FILE.read_text()) * 1_000_000


time.time_ns = _shifted_time_ns
