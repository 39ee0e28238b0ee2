"""Who gets which partitions: Faust's assignor, which must know every topic before it assigns any."""

from __future__ import annotations

from typing import Any

from faust.assignor.partition_assignor import PartitionAssignor


class TopicsNotKnown(Exception):
    """The broker's metadata do not name a topic of the group just now."""


class CompleteAssignor(PartitionAssignor):
    """Raises ``TopicsNotKnown`` where Faust's own leaves a topic out that the metadata do not know at that moment.

    Metadata are incomplete for a moment when a broker comes back. The topic would then be read by nobody, without a
    word, until the next rebalance.
    """

    def assign(self, cluster: Any, member_metadata: Any) -> Any:
        """As Faust's own."""
        wanted = {topic for metadata in member_metadata.values() for topic in metadata.subscription}
        missing = sorted(topic for topic in wanted if not cluster.partitions_for_topic(topic))
        if missing:
            raise TopicsNotKnown(f"the broker does not name {', '.join(missing)}")
        return super().assign(cluster, member_metadata)
