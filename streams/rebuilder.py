"""A rebuild as an operator asks for it: which partitions, what of them Kafka still has, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient

from schemas.base import from_ms, to_ms
from schemas.decisions import Decision
from schemas.decode import decode
from schemas.topics import DECISIONS, TOPIC
from streams.cache import StateCache
from streams.catch_up import SILENT
from streams.clock import SystemClock
from streams.connections import kafka_options
from streams.journal import KafkaJournal
from streams.kept_rulesets import NotTaken, read_kept
from streams.partition import Rulesets, Services
from streams.patience import Patience
from streams.rebuild import NothingKept, Plan, make_plan, rebuild, tell
from streams.refusals import Refused
from streams.replay import KafkaLog, KafkaUnavailable
from streams.ruleset_log import read_rulesets
from streams.settings import Settings
from streams.signing import ANYONE, Release, Trust
from streams.store import Store, StoreUnavailable
from streams.topic_reader import partition_counts, read_topic
from streams.worker import make_routes
from triggers.casework.recall import Recall
from triggers.engine.plan import Plan as EnginePlan
from triggers.engine.state import CustomerState
from triggers.language.loader import from_document


@dataclass(frozen=True, slots=True)
class Request:
    """What an operator asked for. ``partitions``: ``None`` for all that are lost. ``rulesets`` are at hand, by hash.

    What is kept elsewhere is taken from whom ``trust`` says.
    """

    partitions: Sequence[int] | None
    rulesets: Mapping[str, Release]
    trust: Trust = ANYONE
    incomplete: bool = False
    replace: bool = False
    dry_run: bool = False


class Rebuilder:
    """Plans and carries out what an operator asked for; ``say`` is given every line for the operator."""

    def __init__(self, settings: Settings, store: Store, request: Request, say: Callable[[str], None]) -> None:
        clock = SystemClock()
        self._settings = settings
        self._store = store
        self._request = request
        self._say = say
        self._options = kafka_options(settings)
        self._patience = Patience("the store", clock, (StoreUnavailable,))
        self._log = KafkaLog(self._options, settings.app_id, Patience("Kafka", clock, (KafkaUnavailable,)))
        self._journal = KafkaJournal(self._log, settings.topic_prefix)
        self._routes = make_routes(settings)
        self._clock = clock
        self._releases: dict[str, Release] = dict(request.rulesets)

    async def run(self, agree: Callable[[int], None]) -> None:
        """Plans all, asks once (``agree`` is told how many partitions), then rebuilds one after the other.

        Raises ``Refused``, and ``Fenced`` where a worker has run batches of a partition meanwhile.
        """
        request = self._request
        plans: list[tuple[Plan, int | None]] = []
        refused: list[str] = []
        for number in await self._partitions():
            last_batch = await self._last_batch(number)
            if last_batch is not None and not request.replace:
                self._say(
                    f"partition {number} is not lost: the store holds it up to batch {last_batch} (else: --replace)"
                )
                continue
            try:
                plan = await self._plan(number)
            except NothingKept as error:
                if request.partitions is not None or await self._was_read(number):
                    refused.append(str(error))
                continue
            for line in tell(plan):
                self._say(line)
            plans.append((plan, last_batch))
        if any(plan.lost for plan, _ in plans):
            self._tell_what_is_lost([plan for plan, _ in plans if plan.lost])
            if not request.incomplete:
                refused.append(
                    "Kafka no longer keeps all that was done: restore the store from a backup, or rebuild from what "
                    "there is with --incomplete"
                )
        for plan, _ in plans:
            await self._find_rulesets(plan.partition, plan.rulesets, needed=True)
        if refused:
            raise Refused("\n".join(refused))
        if request.dry_run or not plans:
            self._say("nothing was changed" if plans else "nothing is to be rebuilt")
            return
        agree(len(plans))
        for plan, last_batch in plans:
            await self._carry_out(plan, last_batch)

    async def _last_batch(self, number: int) -> int | None:
        return await self._patience.insist(lambda: self._store.last_batch(number))

    async def _partitions(self) -> Sequence[int]:
        counts = await partition_counts(self._options)
        count = min(counts.get(topic, 0) for topic in self._routes.kafka_topics)
        wanted = self._request.partitions
        if wanted is None:
            return range(count)
        for number in wanted:
            if number >= count:
                raise Refused(f"there is no partition {number}; the topics have {count}")
        return sorted(set(wanted))

    async def _plan(self, number: int) -> Plan:
        spans, committed = await self._kafka_knows(number)
        return await make_plan(number, self._journal, {topic: start for topic, (start, _) in spans.items()}, committed)

    async def _was_read(self, number: int) -> bool:
        _, committed = await self._kafka_knows(number)
        return any(committed.values())

    async def _kafka_knows(self, number: int) -> tuple[dict[str, tuple[int, int]], dict[str, int | None]]:
        """The spans and the group's offsets of a partition's topics, by the registry's names."""
        pairs = {(topic, number) for topic in self._routes.kafka_topics}
        spans, committed = await self._log.spans(pairs), await self._log.committed(pairs)
        names = {topic: self._routes.of_kafka(topic).topic.name for topic in self._routes.kafka_topics}
        return (
            {names[topic]: span for (topic, _), span in spans.items()},
            {names[topic]: offset for (topic, _), offset in committed.items()},
        )

    def _tell_what_is_lost(self, plans: Sequence[Plan]) -> None:
        since = from_ms(max(plan.since_ms for plan in plans)).isoformat()
        self._say(
            f"what was processed before {since} stays unknown: balances, windows, holdings, profiles with their "
            "consents, handovers, waiting steps; contacts, refusals and exclusions are known as far as the decisions "
            "tell. Have profiles and open holdings published again before a worker starts"
        )

    async def _find_rulesets(self, number: int, wanted: Collection[str], *, needed: bool) -> None:
        """Loads the rule sets from where they are kept. Raises ``Refused`` where one is needed and not found."""
        missing = set(wanted) - self._releases.keys()
        not_taken: dict[str, str] = {}
        for name in sorted(missing):
            try:
                kept = await read_kept(self._store, self._patience, name, self._request.trust)
            except NotTaken as error:
                not_taken[name] = str(error)
            else:
                if kept is not None:
                    self._releases[name] = kept
        if missing := missing - self._releases.keys():
            settings, trust = self._settings, self._request.trust
            found, others = await read_rulesets(self._options, settings.topic_prefix, settings.tenant, missing, trust)
            self._releases |= found
            not_taken |= others
        for name in wanted if needed else ():
            if name not in self._releases:
                why = f" ({not_taken[name]})" if name in not_taken else ""
                raise Refused(
                    f"batches of partition {number} were run under rule set {name}, which neither the store nor Kafka "
                    f"keeps as this program reads it{why}; give its folder: --rules FOLDER"
                )

    async def _keep(self, release: Release) -> None:
        ruleset = release.ruleset
        await self._patience.insist(lambda: self._store.put_ruleset(ruleset.hash, ruleset.document, release.signatures))

    async def _carry_out(self, plan: Plan, last_batch: int | None) -> None:
        settings, number = self._settings, plan.partition
        newest = self._releases[plan.newest_ruleset]
        for name in plan.rulesets:
            await self._keep(self._releases[name])
        services = Services(
            tenant=settings.tenant,
            store=self._store,
            patience=self._patience,
            publisher=SILENT,
            cache=StateCache(settings.cache_states, settings.cache_mib * 1024 * 1024),
            routes=self._routes,
            rulesets=Rulesets(
                self._store,
                self._patience,
                lambda: newest.ruleset,
                from_document,
                newest.signatures,
                self._request.trust,
            ),
            source=self._log,
            clock=self._clock,
            clock_mode=settings.clock,
            lag=lambda _topic, _partition, _position: None,
        )
        spans, committed = await self._kafka_knows(number)
        prefix = settings.topic_prefix
        ends = {(prefix + topic, number): end for topic, (_, end) in spans.items()}
        contacts = await self._contacts(plan) if plan.lost and plan.first > 1 else {}
        await rebuild(services, plan, self._journal, ends, committed, contacts, last_batch)
        positions = await self._patience.insist(lambda: self._store.positions(number))
        states = 0
        for stage in self._routes.stages:
            async for _ in self._store.states(number, stage):
                states += 1
        self._say(
            f"partition {number} is rebuilt: {states} states"
            + (f", what the decisions tell of {len(contacts)} customers from before" if plan.lost else "")
            + "; a worker goes on at "
            + ", ".join(f"{topic} {offset}" for topic, offset in sorted(positions.items()))
        )

    async def _contacts(self, plan: Plan) -> Mapping[str, CustomerState]:
        """What the decisions tell of the time before the first batch. Raises ``Refused``."""
        settings, engine = self._settings, EnginePlan(self._releases[plan.newest_ruleset].ruleset)
        # On the records' own time the newest of them is all there is to look back from.
        floor = plan.since_ms - engine.contact_ms if settings.clock == "wall" else None
        recall, begins = Recall(floor), 0
        async for raw in read_topic(self._options, settings.topic_prefix + DECISIONS, partition=plan.partition):
            decision = decode(TOPIC[DECISIONS], settings.tenant, raw.key, raw.value)
            if raw.timestamp >= plan.since_ms or not isinstance(decision, Decision):
                continue
            if not begins and raw.offset > 0:
                begins = to_ms(decision.decided_at)
            elif not begins:
                begins = 1  # All that ever were.
            recall.note(decision)
        if floor is None:
            floor = recall.newest_ms - engine.contact_ms
        if begins > max(floor, 1):
            raise Refused(
                f"partition {plan.partition}: contacts before {from_ms(begins).isoformat()} are unknown, since the "
                f"decisions are no longer kept, and the policy looks back to {from_ms(floor).isoformat()}: caps "
                "could be exceeded. Restore the store from a backup"
            )
        await self._find_rulesets(plan.partition, recall.rulesets, needed=False)
        return recall.states(engine, {name: release.ruleset for name, release in self._releases.items()})


async def check_nobody_runs(settings: Settings) -> None:
    """Refuses where workers run: what they would do meanwhile would be lost."""
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        await admin.start()
        (answer,) = await admin.describe_consumer_groups([settings.app_id])
    finally:
        await admin.close()
    members = len(answer.groups[0][5])
    if members:
        raise Refused(
            f"{members} workers of the group {settings.app_id} run (one that was killed counts for "
            f"{settings.session_timeout_ms / 1000:g} s): stop them first"
        )
