"""Kafka and Redis as a bank locks them: TLS, users with passwords, and no right but those given.

One broker has these listeners, so that one start serves every test:

========== ==================================================================================
SECURE     SASL_SSL with SCRAM-SHA-512; its certificate is for ``localhost`` and no other name
EXPIRED    the same with a certificate that has run out
MUTUAL     SSL, where the client shows a certificate
PLAINTEXT  the broker's own and the tests' way in: whoever comes here may do everything
========== ==================================================================================

The plain listener stands open beside the others on purpose: a client that fell back to it would work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from streams.embedded_redis import EmbeddedRedis
from streams.kafka_access import Right
from tests.support.certificates import Authority
from tests.support.kafka_broker import KafkaBroker, admin
from tests.support.tls_proxy import TlsProxy
from tests.support.worker_process import wait_until

ADMIN_PASSWORD: Final = "adm1n-of-the-test"
"""Of Redis."""
SECURE: Final = ("SECURE", "EXPIRED", "MUTUAL")


class SecuredKafka:
    """A broker behind TLS and SCRAM, with the ACLs of Kafka's own authorizer."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "authority")
        good = self.authority.issue_store("broker", "localhost")
        expired = self.authority.issue_store("expired", "localhost", expired=True)
        settings = {
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,EXPIRED:SASL_SSL,MUTUAL:SSL"
            ),
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            # Who comes over the plain listener has no name: the broker itself, and the tests.
            "super.users": "User:ANONYMOUS",
            "ssl.principal.mapping.rules": "RULE:^CN=(.*?)(,.*)?$/$1/,DEFAULT",
        }
        for name in SECURE:
            prefix = f"listener.name.{name.lower()}"
            settings |= {
                f"{prefix}.ssl.keystore.type": "PEM",
                f"{prefix}.ssl.keystore.location": str(expired if name == "EXPIRED" else good),
                f"{prefix}.ssl.truststore.type": "PEM",
                f"{prefix}.ssl.truststore.location": str(self.authority.file),
            }
            if name != "MUTUAL":
                login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                settings[f"{prefix}.scram-sha-512.sasl.jaas.config"] = login
        settings["listener.name.mutual.ssl.client.auth"] = "required"
        self.broker = KafkaBroker(
            folder / "broker",
            settings,
            listeners=dict.fromkeys(SECURE, "localhost"),
        )

    @property
    def open(self) -> str:
        """The plain listener, over which everything may be done."""
        return self.broker.bootstrap

    def at(self, listener: str) -> str:
        """``host:port`` of a listener."""
        return self.broker.listeners[listener]

    def set_password(self, user: str, password: str) -> None:
        """Makes a user, or gives it another password."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        self._alter(user, UserScramCredentialUpsertion(user, info, password.encode()))

    def drop_user(self, user: str) -> None:
        """The user exists no more."""
        self._alter(user, UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512))

    def grant(self, user: str, rights: Iterable[Right]) -> None:
        """Gives rights; returns when the broker has them."""
        given = [AclBinding(*parts) for right in rights for parts in _parts(user, right)]
        client = admin(self.open)
        for created in client.create_acls(given).values():
            created.result(30)
        wait_until(lambda: set(given) <= set(self._rights(user)), f"the broker knows the rights of {user}")

    def revoke(self, user: str, rights: Iterable[Right]) -> None:
        """Takes rights back; returns when the broker does not give them any more."""
        taken = [parts for right in rights for parts in _parts(user, right)]
        client = admin(self.open)
        for deleted in client.delete_acls([AclBindingFilter(*parts) for parts in taken]).values():
            assert deleted.result(30), "there was no such right"
        gone = {AclBinding(*parts) for parts in taken}
        wait_until(lambda: not gone & set(self._rights(user)), f"the broker has forgotten rights of {user}")

    def _rights(self, user: str) -> list[AclBinding]:
        every = AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            f"User:{user}",
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        client = admin(self.open)  # held: one that is collected takes its answers with it
        return list(client.describe_acls(every).result(30))

    def _alter(self, user: str, change: UserScramCredentialUpsertion | UserScramCredentialDeletion) -> None:
        client = admin(self.open)
        client.alter_user_scram_credentials([change])[user].result(30)


class LockedRedis:
    """A Redis whose users have passwords and rights, with TLS in front of it: once with a good certificate, once with

    one that has run out, once where the client shows a certificate.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.server = EmbeddedRedis(folder, appendonly=False, password=ADMIN_PASSWORD)
        self._good = authority.issue("redis", "localhost")
        self._run_out = authority.issue("redis-expired", "localhost", expired=True)
        self.secure = TlsProxy(self.server.address, *self._good)
        self.expired = TlsProxy(self.server.address, *self._run_out)
        self.mutual = TlsProxy(self.server.address, *self._good, client_authority=authority.file)

    def __enter__(self) -> Self:
        self.secure.__enter__()
        self.expired.__enter__()
        self.mutual.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for part in (self.mutual, self.expired, self.secure, self.server):
            part.__exit__(kind, error, tb)

    @contextmanager
    def certificate_run_out(self) -> Iterator[None]:
        """The good certificate is past its date inside; connections that are open live on."""
        self.secure.present(*self._run_out)
        try:
            yield
        finally:
            self.secure.present(*self._good)

    def administer(self, line: str) -> None:
        """What an administrator types."""
        with self.server.client() as client:
            assert client.execute_command(*line.split())

    def forget(self, namespace: str) -> None:
        """Deletes all that a namespace holds."""
        with self.server.client() as client:
            for pattern in (f"{{{namespace}:*", f"{namespace}:*"):
                for key in client.scan_iter(pattern, count=1000):
                    client.delete(key)


_KINDS: Final[Mapping[str, ResourceType]] = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}


def _parts(user: str, right: Right) -> list[tuple[Any, ...]]:
    """The arguments of a binding, or of a filter, for each operation."""
    return [
        (
            _KINDS[right.kind],
            right.name,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
            AclPermissionType.ALLOW,
        )
        for operation in right.operations
    ]
