"""F16: a wrong certificate, password or right is refused with its cause; nothing falls back to plain text."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest

from schemas.topics import TOPICS
from streams.connections import NotReachable, await_kafka
from streams.kafka_access import OPERATOR, Right, rights_of, roles
from streams.settings import Settings, load_settings
from streams.store_redis import acl_rule
from streams.worker import check_start
from tests.support.bank_history import bank_history
from tests.support.certificates import Authority
from tests.support.metrics import away
from tests.support.oracle_check import check_against_oracle, check_straight_pass
from tests.support.run_to_end import run_to_end
from tests.support.secured import LockedRedis, SecuredKafka
from tests.support.sockets import ports_spoken_to
from tests.support.system import Event, System
from tests.support.worker_process import ROOT, WorkerProcess, wait_until

RULES = ROOT / "tests" / "integration" / "rules" / "independent"
KAFKA_SECRET = "k4fka-s3cret+/=of-the-test"
REDIS_SECRET = "r3dis-s3cret+/=of-the-test"
WRONG_SECRET = "wr0ng-s3cret-of-the-test"
SECRETS = (KAFKA_SECRET, REDIS_SECRET, WRONG_SECRET)
UNREACHABLE = 4
QUICK = {
    "startup_seconds": "1",
    "redis_timeout_ms": "500",
    "kafka_request_timeout_ms": "1000",
    "session_timeout_ms": "1000",
    "heartbeat_interval_ms": "300",
}
"""For what cannot be told from a server that is away: it is waited for."""
_NUMBERS = count(1)

# One broker serves all: they belong in one process.
pytestmark = [
    pytest.mark.xdist_group("f16"),
    # A start that is refused ends with its process; here only its loop ends, under connections that are half closed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@dataclass(frozen=True, slots=True)
class Bank:
    """Kafka and Redis, locked, and the files that a deployment of the product mounts."""

    kafka: SecuredKafka
    redis: LockedRedis
    stranger: Authority
    """An authority that nobody trusts."""
    folder: Path

    def user(self) -> str:
        """A new user of Kafka, with a password and no right."""
        name = f"user-{next(_NUMBERS)}"
        self.kafka.set_password(name, KAFKA_SECRET)
        return name

    def secret_file(self, text: str) -> Path:
        """As Kubernetes mounts a secret, or an editor writes it: with a line end."""
        path = self.folder / f"secret-{next(_NUMBERS)}"
        path.write_text(text + "\n", "utf-8")
        return path

    def settings(self, user: str, **others: object) -> dict[str, Any]:
        """What the guide says is to be set, for a user of both Kafka and Redis."""
        return {
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_username": user,
            "kafka_sasl_password_file": self.secret_file(KAFKA_SECRET),
            "kafka_tls_ca_file": self.kafka.authority.file,
            "redis_password_file": self.secret_file(REDIS_SECRET),
            "redis_tls_ca_file": self.kafka.authority.file,
            **others,
        }

    def redis_url(self, user: str) -> str:
        return f"rediss://{user}@localhost:{self.redis.secure.port}/0"

    def system(self, folder: Path, **others: object) -> System:
        """A system whose worker is a new user without rights."""
        user = self.user()
        return System(
            self.kafka.at("SECURE"),
            self.redis_url(user),
            folder,
            rules=RULES,
            name="wire",
            partitions=2,
            kafka_inside=self.kafka.open,
            redis_inside=self.redis.server.url,
            **self.settings(user, **others),
        )

    def allow(self, system: System) -> None:
        """Gives a system's worker exactly what the product says it needs, by the product's own lists."""
        user = user_of(system)
        self.kafka.grant(user, rights_of("worker", system.settings))
        self.redis.administer(redis_rule(system))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("bank")
    kafka = SecuredKafka(folder / "kafka")
    with kafka.broker, LockedRedis(folder / "redis", kafka.authority) as redis:
        yield Bank(kafka, redis, Authority(folder / "stranger"), folder)


def user_of(system: System) -> str:
    assert system.settings.kafka_sasl_username is not None
    return system.settings.kafka_sasl_username


def redis_rule(system: System) -> str:
    rule = acl_rule(user_of(system), system.settings.namespace, cluster=False, database=0)
    return rule.replace("PASSWORD", REDIS_SECRET)


def without_secrets(text: str) -> str:
    """The text, in which no secret may stand."""
    assert not [secret for secret in SECRETS if secret in text], "a secret is shown"
    return text


def settings_of(given: dict[str, Any]) -> Settings:
    """As a worker reads them from its environment."""
    return load_settings(environ={f"BANK_TRIGGERS_{name.upper()}": str(value) for name, value in given.items()})


def refusal_of(settings: dict[str, Any]) -> str:
    """With what a worker under these settings refuses to start."""
    with pytest.raises(NotReachable) as refused:
        run_to_end(check_start(settings_of(settings)))
    return without_secrets(str(refused.value))


# A whole run


def test_a_small_run_as_the_guide_describes_it(bank: Bank, tmp_path: Path) -> None:
    """An operator, a publisher and a worker, each with the rights that ``topics acls`` lists for it and no other.

    The outcome is the oracle's. The worker speaks to no plain port, and no secret shows anywhere.
    """
    file = tmp_path / "events.jsonl"
    file.write_text("".join(map(_line, bank_history(customers=12))), "utf-8")
    with bank.system(tmp_path) as system:
        operator, publisher = bank.user(), bank.user()
        code, listed = system.command("topics", "acls", "worker", "--json")
        assert code == 0, listed
        rights = [json.loads(line) for line in listed.splitlines()]
        assert {right["principal"] for right in rights} == {f"User:{user_of(system)}"}
        bank.kafka.grant(
            user_of(system),
            [Right(right["kind"], right["name"], tuple(right["operations"])) for right in rights],
        )
        code, rule = system.command("state", "acl", "--user", user_of(system))
        assert code == 0, rule
        bank.redis.administer(rule.replace("PASSWORD", REDIS_SECRET))
        bank.kafka.grant(operator, rights_of(OPERATOR, system.settings))
        for role in {topic.owner for topic in TOPICS if topic.direction == "inbound"}:
            bank.kafka.grant(publisher, rights_of(role, system.settings))

        said = [listed, rule]
        code, text = system.command("topics", "create", kafka_sasl_username=operator)
        assert code == 0, text
        said.append(text)
        worker = system.start_worker(log_level="debug")
        worker.wait_for_partitions(system.partitions)
        code, text = system.command("publish", file, kafka_sasl_username=publisher)
        assert "Kafka does not" not in text
        said.append(text)
        system.wait_until_drained()
        ports = ports_spoken_to(worker.process.pid)
        plain = {int(bank.kafka.open.rpartition(":")[2]), bank.redis.server.port}
        assert not ports & plain, "the worker speaks to a plain port"
        assert {int(bank.kafka.at("SECURE").rpartition(":")[2]), bank.redis.secure.port} <= ports
        _end(system)

        code, text = system.command("dead-letters", "list", kafka_sasl_username=operator)
        assert code == 0, text
        said += [text, worker.text()]
        for text in said:
            without_secrets(text)


@pytest.mark.thorough
def test_an_operator_with_the_rights_that_are_listed(bank: Bank, tmp_path: Path) -> None:
    """With what ``topics acls operator`` and ``state acl --operator`` list, and no more, each of its commands works.

    With a worker's rights in Redis all but a rebuild do; that ends with the command that lists what is missing.
    """
    with bank.system(tmp_path) as system:
        bank.allow(system)
        operator = bank.user()
        bank.kafka.grant(operator, rights_of(OPERATOR, system.settings))
        asking: dict[str, Any] = {"kafka_sasl_username": operator, "redis_url": bank.redis_url(operator)}

        def typed(*arguments: str | Path) -> tuple[int, str]:
            code, text = system.command(*arguments, **asking)
            return code, without_secrets(text)

        def may(*options: str) -> None:
            code, rule = system.command("state", "acl", "--user", operator, *options)
            assert code == 0, rule
            bank.redis.administer(rule.replace("PASSWORD", REDIS_SECRET))

        may("--operator")
        code, text = typed("topics", "create")
        assert code == 0, text
        system.start_worker().wait_for_partitions(system.partitions)
        system.publish([*bank_history(customers=12), Event("bank.transactions", b"c1", b"{")])
        system.wait_until_drained()
        system.stop_workers()
        states = system.states()
        name = system.actions()[0]["customer_id"]

        may()
        for arguments, told in {
            ("topics", "check"): "",
            ("why", name): f"customer {name}: ",
            ("report",): "",
            ("dead-letters", "drop", "--reason", "NOT_JSON", "--note", "n", "--yes"): " dropped",
            ("state", "resume", "--partition", "0"): "partition 0 is not halted",
            ("state", "accept-loss", "--partition", "0", "--yes"): "identity.redirects partition 0: goes on at",
        }.items():
            code, text = typed(*arguments)
            assert (code, told in text) == (0, True), f"{arguments}: {text}"
        bank.redis.forget(system.name)
        code, text = typed("state", "rebuild", "--yes")
        assert code == UNREACHABLE, text
        assert "the rights that are needed: bank-triggers state acl" in text
        may("--operator")
        code, text = typed("state", "rebuild", "--yes")
        assert code == 0, text
        assert system.states() == states


def test_a_client_certificate_is_who_we_are(bank: Bank) -> None:
    """Where brokers ask for certificates, ours is shown; without one, or with a stranger's, the start is refused."""
    certificate, key = bank.kafka.authority.issue("client", "client.bank")
    mutual: dict[str, Any] = {
        "kafka_bootstrap": bank.kafka.at("MUTUAL"),
        "kafka_security_protocol": "SSL",
        "kafka_tls_ca_file": bank.kafka.authority.file,
        "startup_seconds": 20,
    }
    ours = load_settings(environ={}, kafka_tls_cert_file=certificate, kafka_tls_key_file=key, **mutual)
    run_to_end(await_kafka(ours))
    assert "does not accept our certificate" in refusal_of({**mutual, "redis_url": bank.redis.server.url})
    certificate, key = bank.stranger.issue("client", "client.bank")
    with pytest.raises(NotReachable, match=r"does not accept our certificate .* kafka_tls_cert_file"):
        run_to_end(
            await_kafka(load_settings(environ={}, kafka_tls_cert_file=certificate, kafka_tls_key_file=key, **mutual))
        )


def test_redis_asks_for_a_client_certificate(bank: Bank, tmp_path: Path) -> None:
    """Ours is shown, and all that is looked at before a start is well; without one, or with a stranger's, it is not."""
    with bank.system(tmp_path) as system:
        bank.allow(system)
        _create_topics(system, bank)
        url = f"rediss://{user_of(system)}@localhost:{bank.redis.mutual.port}/0"
        mutual = {**system.env, "redis_url": url, "startup_seconds": 10}

        def shown(authority: Authority) -> dict[str, Any]:
            certificate, key = authority.issue("client", "client.bank")
            return {**mutual, "redis_tls_cert_file": certificate, "redis_tls_key_file": key}

        run_to_end(check_start(settings_of(shown(bank.kafka.authority))))
        for refused in (mutual, shown(bank.stranger)):
            text = refusal_of(refused)
            assert f"the store at {url} " in text
            _matches(r"does not accept our certificate .* redis_tls_cert_file and redis_tls_key_file", text)


# Kafka refuses, or is not to be trusted


@pytest.mark.parametrize(
    ("listener", "changed", "cause"),
    [
        ("SECURE", {"kafka_tls_ca_file": "stranger"}, "of no authority that we trust; expected .* kafka_tls_ca_file"),
        ("SECURE", {"kafka_bootstrap": "127.0.0.1"}, "certificate is for another name .*127.0.0.1"),
        ("EXPIRED", {}, "certificate has expired"),
        ("SECURE", {"kafka_sasl_password_file": "wrong"}, "does not accept the user .*kafka_sasl_password"),
        ("SECURE", {"kafka_sasl_username": "nobody"}, "does not accept the user nobody: .*invalid credentials"),
        ("SECURE", {"kafka_sasl_mechanism": "SCRAM-SHA-256"}, "does not accept the user .*kafka_sasl_mechanism"),
    ],
    ids=["authority", "name", "expired", "password", "user", "mechanism"],
)
def test_a_broker_that_is_not_to_be_trusted_or_does_not_know_us(
    bank: Bank, tmp_path: Path, listener: str, changed: dict[str, str], cause: str
) -> None:
    """Refused at once with address and cause, though the plain listener beside it would let anybody in."""
    address = bank.kafka.at(listener)
    if "kafka_bootstrap" in changed:
        address = f"127.0.0.1:{address.rpartition(':')[2]}"
    made = {"stranger": bank.stranger.file, "wrong": bank.secret_file(WRONG_SECRET)}
    others = {name: made.get(value, value) for name, value in changed.items()} | {"kafka_bootstrap": address}
    with bank.system(tmp_path) as system:
        bank.allow(system)
        text = refusal_of({**system.env, **others})
    assert f"Kafka at {address} " in text
    _matches(cause, text)


def test_a_user_that_was_removed(bank: Bank, tmp_path: Path) -> None:
    """Its password was right until its user was deleted: a real worker ends with the cause, and shows no password."""
    with bank.system(tmp_path) as system:
        bank.allow(system)
        bank.kafka.drop_user(user_of(system))
        worker = system.start_worker()
        assert worker.wait() == UNREACHABLE, f"{worker}"
        assert f"does not accept the user {user_of(system)}" in without_secrets(worker.text())
        assert "Traceback" not in worker.text()


def test_a_right_that_is_missing_on_kafka(bank: Bank, tmp_path: Path) -> None:
    """Each is named with its topic or group and the operation; all of them at once; and the command that lists them."""
    with bank.system(tmp_path) as system:
        bank.allow(system)
        user, name = user_of(system), system.kafka_topic
        both = ("Read", "Write", "DescribeConfigs")
        cases = {
            # Without Read a topic that is only read is hidden; one that is written, too, is not.
            Right("topic", name("bank.transactions"), ("Read",)): "to see the topic {}, of which it needs Read",
            Right("topic", name("desk.steps"), ("Read",)): "Read on the topic {}",
            Right("topic", name("identity.members"), ("Write",)): "Write on the topic {}",
            Right("topic", name("outreach.push"), ("Write",)): "to see the topic {}, of which it needs Write",
            Right("topic", name("bank.profiles"), ("DescribeConfigs",)): "DescribeConfigs on the topic {}",
            Right(
                "topic", name("bank.behaviour"), both
            ): "to see the topic {}, of which it needs Read and Write and Des",
            Right("group", system.settings.app_id, ("Read",)): "to see the group {}, of which it needs Read",
        }
        _create_topics(system, bank)
        for right, told in cases.items():
            bank.kafka.revoke(user, [right])
            (line,) = refusal_of(system.env).splitlines()
            assert f"does not allow the user {user} {told.format(right.name)}" in line
            assert "bank-triggers topics acls" in line
            bank.kafka.grant(user, [right])
        bank.kafka.revoke(user, cases)
        assert len(refusal_of(system.env).splitlines()) == len(cases)
        worker = system.start_worker()
        assert worker.wait() == UNREACHABLE, f"{worker}"
        assert f"the group {system.settings.app_id}" in without_secrets(worker.text())
        assert "Traceback" not in worker.text()


def test_no_more_rights_are_asked_for_than_a_worker_needs() -> None:
    """Nothing on the cluster, nothing for transactions, no right to make, change or delete; each role is served."""
    settings = load_settings(environ={})
    worker = rights_of("worker", settings)
    assert {right.kind for right in worker} == {"topic", "group"}
    assert {op for right in worker for op in right.operations} == {"Read", "Write", "DescribeConfigs"}
    (decisions,) = (right for right in worker if right.name == "outreach.decisions")
    assert decisions.operations == ("Write", "DescribeConfigs")
    for role in roles():
        assert rights_of(role, settings), role


# Redis refuses, or is not to be trusted


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        (
            {"redis_password_file": "wrong"},
            r"turns us away: .*refuses this program .*(invalid username-password|WRONGPASS)",
        ),
        ({"redis_tls_ca_file": "stranger"}, "of no authority that we trust; expected .* redis_tls_ca_file"),
        ({"redis_url": "rediss://{user}@127.0.0.1:{secure}/0"}, "certificate is for another name .*127.0.0.1"),
        ({"redis_url": "rediss://{user}@localhost:{expired}/0"}, "certificate has expired"),
        ({"redis_url": "rediss://{user}@localhost:{plain}/0", **QUICK}, "did not answer .*no fallback to plain text"),
        (
            {"redis_url": "redis://{user}@localhost:{secure}/0", "redis_tls_ca_file": "", **QUICK},
            "did not answer .*by rediss://",
        ),
    ],
    ids=["password", "authority", "name", "expired", "plain server", "plain client"],
)
def test_a_redis_that_is_not_to_be_trusted_or_does_not_know_us(
    bank: Bank, tmp_path: Path, changed: dict[str, str], cause: str
) -> None:
    """Refused at once with address and cause; TLS that was asked for is never given up."""
    with bank.system(tmp_path) as system:
        bank.allow(system)
        redis = bank.redis
        made = {"stranger": bank.stranger.file, "wrong": bank.secret_file(WRONG_SECRET)}
        ports = {"secure": redis.secure.port, "expired": redis.expired.port, "plain": redis.server.port}
        others = {name: made.get(value, value.format(user=user_of(system), **ports)) for name, value in changed.items()}
        settings = {name: value for name, value in {**system.env, **others}.items() if value != ""}
        text = refusal_of(settings)
        assert f"the store at {settings['redis_url']} " in text
    _matches(cause, text)


@pytest.mark.parametrize(
    ("taken", "told"),
    [
        ("-zadd", "the command zadd"),
        ("-evalsha", "the command evalsha"),
        ("-eval", "the command eval"),
        ("-hscan", "the command hscan"),
        ("resetkeys ~{{{name}:*}}:*", "the keys {name}:ruleset:*"),
        ("resetkeys ~{name}:ruleset:*", "the keys {{{name}:*}}:*"),
    ],
)
def test_a_right_that_is_missing_in_redis(bank: Bank, tmp_path: Path, taken: str, told: str) -> None:
    """A command, or keys: named before anything is read, though it would be needed only later."""
    with bank.system(tmp_path) as system:
        bank.allow(system)
        name = system.settings.namespace
        bank.redis.administer(f"ACL SETUSER {user_of(system)} {taken.format(name=name)}")
        text = refusal_of(system.env)
        assert f"does not allow its user {told.format(name=name)}" in text
        assert "bank-triggers state acl" in text


# No fallback


def test_who_asks_for_tls_says_nothing_in_plain_text(bank: Bank, tmp_path: Path) -> None:
    """A listener that speaks no TLS hears the beginning of a handshake, and neither user nor password."""
    with _Eavesdropper() as ear, bank.system(tmp_path) as system:
        bank.allow(system)
        at = f"localhost:{ear.port}"
        text = refusal_of({**system.env, **QUICK, "kafka_bootstrap": at})
        assert f"Kafka at {at} did not answer" in text
        assert "no fallback to plain text" in text
        url = f"rediss://u@{at}/0"
        text = refusal_of({**system.env, **QUICK, "redis_url": url})
        assert f"the store at {url} did not answer" in text
        assert "no fallback to plain text" in text
    assert ear.heard
    for heard in ear.heard:
        assert heard[:1] == b"\x16", "not the record of a TLS handshake"
        assert user_of(system).encode() not in heard
        assert not [secret for secret in SECRETS if secret.encode() in heard]


# Withdrawn while it works


@pytest.mark.parametrize(
    "withdrawn",
    [pytest.param("read", marks=pytest.mark.thorough), pytest.param("group", marks=pytest.mark.thorough), "redis"],
)
def test_a_right_that_is_withdrawn_ends_the_worker_and_loses_nothing(
    bank: Bank, tmp_path: Path, withdrawn: str
) -> None:
    """It ends with the cause; with the right given back the next one goes on, and the outcome is the oracle's."""
    events = bank_history(customers=12)
    half = len(events) // 2
    with bank.system(tmp_path, max_batch=50) as system:
        bank.allow(system)
        _create_topics(system, bank)
        user = user_of(system)
        rights = {
            "read": Right("topic", system.kafka_topic("bank.transactions"), ("Read",)),
            "group": Right("group", system.settings.app_id, ("Read",)),
        }
        worker = _at_work(system, events[:half])

        if withdrawn == "redis":
            # A commit writes states before it sets timers: it must find out before.
            bank.redis.administer(f"ACL SETUSER {user} -zadd")
        else:
            bank.kafka.revoke(user, [rights[withdrawn]])
        system.publish(events[half:])
        assert worker.wait() == UNREACHABLE, f"{worker}"
        last = without_secrets(worker.text()).strip().splitlines()[-1]
        assert (rights[withdrawn].name if withdrawn in rights else "refuses this program") in last, last
        assert "bank-triggers topics acls" in last or withdrawn == "redis"
        assert system.lag(range(system.partitions)) > 0

        if withdrawn == "redis":
            bank.redis.administer(redis_rule(system))
        else:
            bank.kafka.grant(user, [rights[withdrawn]])
        _finish(system, worker)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("certificate", "cannot be spoken to: its certificate has expired; expected one that is valid today"),
        pytest.param("password", "refuses this program (user, password, permissions): ", marks=pytest.mark.thorough),
    ],
)
def test_a_certificate_that_runs_out_or_a_password_that_is_changed_ends_the_worker_at_the_next_connection(
    bank: Bank, tmp_path: Path, changed: str, told: str
) -> None:
    """Over connections that are open it works on. Where they break, it ends with the cause, and nothing is lost."""
    events = bank_history(customers=12)
    third = len(events) // 3
    with bank.system(tmp_path, max_batch=50) as system, ExitStack() as mended:
        bank.allow(system)
        _create_topics(system, bank)
        worker = _at_work(system, events[:third])

        if changed == "certificate":
            mended.enter_context(bank.redis.certificate_run_out())
        else:
            bank.redis.administer(f"ACL SETUSER {user_of(system)} resetpass >{WRONG_SECRET}")
            mended.callback(bank.redis.administer, redis_rule(system))
        system.publish(events[third : 2 * third])
        system.wait_until_drained()
        assert worker.running, f"{worker}"

        bank.redis.administer(f"CLIENT KILL USER {user_of(system)}")
        system.publish(events[2 * third :])
        assert worker.wait() == UNREACHABLE, f"{worker}"
        last = without_secrets(worker.text()).strip().splitlines()[-1]
        assert f"the store at {system.env['redis_url']} turns us away: " in last, last
        assert told in last, last
        assert system.lag(range(system.partitions)) > 0

        mended.close()
        _finish(system, worker)


@pytest.mark.thorough
def test_a_password_that_is_changed_on_kafka_is_waited_for(bank: Bank, tmp_path: Path) -> None:
    """The worker outlives the connections that were open, says that Kafka is away, and goes on when it is let in."""
    events = bank_history(customers=12)
    half = len(events) // 2
    with bank.system(tmp_path, max_batch=50) as system:
        bank.allow(system)
        _create_topics(system, bank)
        user = user_of(system)
        worker = _at_work(system, events[:half])

        bank.kafka.set_password(user, WRONG_SECRET)
        bank.kafka.broker.kill()  # and with it the connections
        bank.kafka.broker.start()
        system.publish(events[half:])
        wait_until(lambda: away(worker, "kafka"), lambda: f"Kafka is away: {worker}")
        worker.wait_for("Unable connect to node")
        assert worker.running, f"{worker}"
        assert system.lag(range(system.partitions)) > 0

        bank.kafka.set_password(user, KAFKA_SECRET)
        system.wait_until_drained()
        without_secrets(worker.text())
        _end(system)


def test_a_right_to_write_that_is_withdrawn_is_waited_for(bank: Bank, tmp_path: Path) -> None:
    """The worker says which topic it may not write, commits nothing past it, and goes on when it may again."""
    events = bank_history(customers=12)
    half = len(events) // 2
    with bank.system(tmp_path, max_batch=50) as system:
        bank.allow(system)
        _create_topics(system, bank)
        rights = [
            Right("topic", system.kafka_topic(topic), ("Write",)) for topic in ("outreach.push", "desk.standings")
        ]
        worker = _at_work(system, events[:half])
        bank.kafka.revoke(user_of(system), rights)
        system.publish(events[half:])
        worker.wait_for(f"Kafka refuses what is published to {rights[0].name}")
        assert "TopicAuthorizationFailedError" in without_secrets(worker.text())
        assert system.lag(range(system.partitions)) > 0
        bank.kafka.grant(user_of(system), rights)
        system.wait_until_drained()
        _end(system)


def _at_work(system: System, events: Sequence[Event]) -> WorkerProcess:
    """A worker that has done these."""
    worker = system.start_worker()
    worker.wait_for_partitions(system.partitions)
    system.publish(events)
    system.wait_until_drained()
    return worker


def _finish(system: System, ended: WorkerProcess) -> None:
    """Another worker does what is left."""
    system.workers.remove(ended)
    system.start_worker().wait_for_partitions(system.partitions)
    system.wait_until_drained()
    _end(system)


def _end(system: System) -> None:
    """Everything is done, and nothing else came of it."""
    system.stop_workers()
    check_against_oracle(system)
    assert check_straight_pass(system) >= 50


def _create_topics(system: System, bank: Bank) -> None:
    operator = bank.user()
    bank.kafka.grant(operator, rights_of(OPERATOR, system.settings))
    code, text = system.command("topics", "create", kafka_sasl_username=operator)
    assert code == 0, text


def _matches(pattern: str, text: str) -> None:
    with pytest.raises(AssertionError, match=pattern):
        raise AssertionError(text)


def _line(event: Event) -> str:
    try:
        value = json.loads(event.value)
    except ValueError:
        return ""
    return json.dumps({"topic": event.topic, "key": (event.key or b"").decode(), "value": value}) + "\n"


class _Eavesdropper:
    """Listens on 127.0.0.1, keeps what it hears of each connection, and answers nothing."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            with connection:
                self.heard.append(connection.recv(65_536))
