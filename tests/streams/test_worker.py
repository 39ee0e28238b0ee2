"""What a worker looks at before it asks anybody else."""

from __future__ import annotations

import pytest

from streams import worker
from streams.worker import CannotStart


def test_an_environment_with_a_package_of_our_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index has packages called schemas and triggers; they would overwrite ours, in part, without a word."""
    owners = {"schemas": ["bank-triggers", "schemas"], "triggers": ["bank-triggers"], "streams": ["bank-triggers"]}
    monkeypatch.setattr(worker, "packages_distributions", lambda: owners)
    with pytest.raises(CannotStart) as refused:
        worker._check_package_names()
    (problem,) = refused.value.problems
    assert problem.startswith("the package schemas belongs to bank-triggers, schemas, not to bank-triggers alone")
    assert problem.endswith("expected an environment without schemas")
