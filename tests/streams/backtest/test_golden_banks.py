"""The triggers that ship over two real banks: what they say and hold back is as it was last read and kept.

A change of the library or the engine that moves a number fails here. Make the files anew with
``python -m tests.support.golden``, read the difference, and keep it with the change that made it.
"""

from __future__ import annotations

import difflib

import pytest
import yaml

from tests.support.bank_data import bank_folder
from tests.support.golden import BANKS, GOLDEN, golden_text


@pytest.mark.parametrize("bank", BANKS)
def test_the_library_does_at_the_bank_what_it_did(bank: str) -> None:
    """Actions by trigger, channel and tier, and every reason for silence."""
    bank_folder(bank)
    kept, made = (GOLDEN / f"{bank}.yaml").read_text("utf-8"), golden_text(bank)
    difference = "\n".join(difflib.unified_diff(kept.splitlines(), made.splitlines(), "kept", "made", lineterm=""))
    assert made == kept, f"run python -m tests.support.golden and read what changed:\n{difference}"


@pytest.mark.parametrize("bank", BANKS)
def test_the_kept_numbers_add_up(bank: str) -> None:
    """Actions by trigger, channel, tier and customer are the same actions; reasons sum to their total."""
    kept = yaml.safe_load((GOLDEN / f"{bank}.yaml").read_text("utf-8"))
    for part in ("by_trigger", "by_channel", "by_tier"):
        assert sum(kept[part].values()) == kept["actions"], part
    contacts = {int(count): customers for count, customers in kept["customers_by_contacts"].items()}
    assert sum(count * customers for count, customers in contacts.items()) == kept["actions"]
    assert sum(contacts.values()) == kept["customers"]
    for part in ("suppressed", "deferred", "cancelled"):
        total = kept[part].pop("total")
        assert sum(kept[part].values()) == total, part
    assert kept["errors"] == {}
    assert kept["actions"] > 50
