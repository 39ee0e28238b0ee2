"""The history of two real banks, kept out of the tree: ``../shared/data`` beside it, or where ``BANK_DATA`` says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("BANK_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


def bank_folder(bank: str) -> Path:
    """The folder of a bank's tables; the test is skipped where there is none."""
    folder = DATA / bank
    if not folder.is_dir():
        pytest.skip(f"the {bank} data is not at {folder}; set BANK_DATA to the folder that holds it")
    return folder
