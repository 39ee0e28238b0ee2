"""The desk stage: what is known of each relationship manager."""

from __future__ import annotations

from triggers.engine.latest import LatestStage


def desk_stage() -> LatestStage:
    """Keyed by manager; keeps desk, branch, capacity and whether the manager is active."""
    return LatestStage("manager", ("manager_id",), ("desk", "branch_id", "capacity", "active"))
