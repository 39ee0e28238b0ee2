"""What a worker tells of itself over HTTP: its health and its metrics; and what the kernel tells of its memory."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from tests.support.worker_process import WorkerProcess

_ADDRESS: Final = re.compile(r"health and metrics at (http://127\.0\.0\.1:\d+)")
_PREFIX: Final = "bank_triggers_"

Samples = dict[str, list[tuple[dict[str, str], float]]]


def get(worker: WorkerProcess, path: str) -> tuple[int, str]:
    """The status and the body of what it answers."""
    found = _ADDRESS.findall(worker.text())
    assert found, f"the log names no address: {worker}"
    try:
        with urllib.request.urlopen(found[-1] + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def ready(worker: WorkerProcess) -> tuple[int, dict[str, str]]:
    """The status of ``/ready`` and what each of its checks says."""
    status, body = get(worker, "/ready")
    return status, json.loads(body)


def metrics(worker: WorkerProcess) -> Samples:
    """Every sample by its full name."""
    status, text = get(worker, "/metrics")
    assert status == 200
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of a metric of ours over all samples with these labels."""
    return sum(value for of, value in found[_PREFIX + name] if labels.items() <= of.items())


def away(worker: WorkerProcess, dependency: str) -> bool:
    """Whether the worker waits for ``store`` or ``kafka``."""
    return total(metrics(worker), "dependency_away", dependency=dependency) == 1


def errors(worker: WorkerProcess, dependency: str) -> float:
    """How often ``store`` or ``kafka`` did not do what it was asked."""
    return total(metrics(worker), "dependency_errors_total", dependency=dependency)


def peak_mib(worker: WorkerProcess) -> float:
    """The most memory it ever had, or had since ``forget_peak`` (Linux)."""
    return _status_kib(worker, "VmHWM") / 1024


def rss_mib(worker: WorkerProcess) -> int:
    """The memory it has now (Linux); 0 for one that has just ended."""
    return _status_kib(worker, "VmRSS") // 1024


def _status_kib(worker: WorkerProcess, name: str) -> int:
    lines = Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def forget_peak(worker: WorkerProcess) -> float:
    """Begins anew with what it has now, in MiB, which is returned."""
    Path(f"/proc/{worker.process.pid}/clear_refs").write_text("5")
    return peak_mib(worker)
