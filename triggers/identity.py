"""The identity stage: which customer an id of a channel belongs to, by the newest link."""

from __future__ import annotations

from triggers.engine.latest import LatestStage


def identity_stage() -> LatestStage:
    """Keyed by source and the source's own user id; keeps the customer linked to it, if any."""
    return LatestStage("identity", ("source", "source_user_id"), ("customer_id",))
