"""Why a worker refuses a partition: going on would mean marketing on a memory that is not there.

Each names the topic, the partition and what an operator can do. They end the worker.
"""

from __future__ import annotations

_ACCEPT = "bank-triggers state accept-loss"
_REBUILD = "bank-triggers state rebuild"


class Refused(Exception):
    """A partition cannot be run as things are; an operator must decide."""


class StateLost(Refused):
    """Kafka says the partition was read before, the store does not know it."""

    def __init__(self, topic: str, partition: int, committed: int) -> None:
        super().__init__(
            f"the state of {topic} partition {partition} is lost: the consumer group has read up to offset "
            f"{committed}, the store holds no position for it. {_ways_on(partition)}"
        )


class StateForgotten(Refused):
    """The journal says that batches of the partition were run, the store knows nothing of it."""

    def __init__(self, partition: int, batches: int) -> None:
        super().__init__(
            f"the state of partition {partition} is lost: the journal has {batches} batches of it, the store none. "
            f"{_ways_on(partition)}"
        )


class JournalBroken(Refused):
    """The journal does not tell what happened after the batch up to which the store reaches."""

    def __init__(self, partition: int, sequence: int, why: str) -> None:
        super().__init__(
            f"the store was put back to batch {sequence} of partition {partition}, and the journal {why}: what was "
            f"done in between is not known. {_ways_on(partition)}"
        )


class JournalUnreadable(Refused):
    """Something in the journal is no entry of this partition."""


class RecordsLost(Refused):
    """Records between the position and what Kafka still keeps are gone."""

    def __init__(self, topic: str, partition: int, position: int, start: int, end: int) -> None:
        if position > end:
            why = f"the log ends at offset {end}, so the topic was made anew or has lost its end"
        else:
            why = f"the log begins at offset {start}, so retention has removed the records in between"
        super().__init__(
            f"records of {topic} partition {partition} are lost: the position is {position}, but {why}. "
            f"To go on from what is there: {_ACCEPT} --partition {partition}"
        )


class RulesetUnknown(Refused):
    """A batch must be run again under a rule set that is nowhere kept."""

    def __init__(self, ruleset: str, partition: int) -> None:
        super().__init__(
            f"partition {partition} has an unfinished batch of rule set {ruleset}, which the store does not keep and "
            "this worker does not run; under another one it could send other actions a second time. Start a worker "
            f"with that rule set, or give the batch up with: {_ACCEPT} --partition {partition} --abandon-batch"
        )


class RulesetNotTaken(Refused):
    """A batch must be run again under a rule set of which what is kept is not what it should be."""

    def __init__(self, ruleset: str, partition: int, why: str) -> None:
        super().__init__(
            f"partition {partition} has an unfinished batch of rule set {ruleset}, and what the store keeps as that "
            f"rule set is not taken: {why}. Start a worker with that very rule set, signed where signatures are asked "
            f"for, or give the batch up with: {_ACCEPT} --partition {partition} --abandon-batch"
        )


def _ways_on(partition: int) -> str:
    return (
        f"Restore the store from a backup; or rebuild it from what Kafka keeps: {_REBUILD} --partition {partition}; "
        f"or go on without what it knew: {_ACCEPT} --partition {partition}"
    )


class PartitionTaken(Refused):
    """The store gave the partition to another epoch, and yet the group leaves it with this worker."""

    def __init__(self, partition: int, seconds: float) -> None:
        super().__init__(
            f"another worker holds the newer epoch of partition {partition}, and {seconds:.0f} s later the consumer "
            "group still assigns the partition to this one: two groups may share one namespace of the store, or an "
            "operator has moved the position. The worker stops, so that it takes its partitions over again"
        )


class WentBack(Refused):
    """The store was restored from an older snapshot, or emptied, under a running worker."""

    def __init__(self, partition: int, cause: Exception) -> None:
        super().__init__(
            f"the store knows less of partition {partition} than this worker wrote ({cause}): it was restored or "
            "emptied. The worker stops; the next one goes on from the positions that the store then holds"
        )
