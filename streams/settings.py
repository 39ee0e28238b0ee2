"""The settings of every command: from the environment and one file, checked at the start, secrets never shown.

Each setting is an environment variable ``BANK_TRIGGERS_<NAME>`` or a key of the YAML or TOML file named by
``BANK_TRIGGERS_CONFIG`` (or ``--config``); the environment wins. A secret may stand in a file of its own: the setting
``<name>_file`` holds its path, as Docker and Kubernetes mount secrets.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from schemas.base import Identifier
from schemas.topics import PARTITIONS
from streams.fail_points import FailPoint, elsewhere, read_fail_point

PREFIX: Final = "BANK_TRIGGERS_"
CONFIG_VARIABLE: Final = "BANK_TRIGGERS_CONFIG"

_SECRETS: Final = ("kafka_sasl_password", "redis_url", "redis_password")
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")


class SettingsError(Exception):
    """The settings cannot be used. ``problems``: one line each, ``setting: what is wrong; what would be right``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SecretUrl:
    """A URL that shows everything but its password."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def get_secret_value(self) -> str:
        """The URL as it is, for the client alone."""
        return self._url

    @property
    def scheme(self) -> str:
        """``redis``, ``rediss`` (which is TLS) or ``unix``."""
        return urlsplit(self._url).scheme

    def __str__(self) -> str:
        return mask_url(self._url)

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretUrl) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)


def mask_url(url: str) -> str:
    """A URL without its password: in the user part, or in the query."""
    # Up to the last '@', whatever stands before it: a password with a slash in it must not show either.
    shown = re.sub(r"(?<=://)([^:/?#@]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)((?:^|[?&])password=)[^&#]*", r"\1***", shown)


def _read_redis_url(value: Any) -> SecretUrl:
    if isinstance(value, SecretUrl):
        return value
    expected = "expected redis://, rediss:// or unix:// with an address, such as redis://127.0.0.1:6379/0"
    if not isinstance(value, str):
        raise ValueError(expected)  # noqa: TRY004 - pydantic reports a ValueError with its setting
    try:
        parts = urlsplit(value)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in {"redis", "rediss", "unix"} or not port_is_number or not (parts.hostname or parts.path):
        raise ValueError(expected)
    if re.search(r"(?:^|&)ssl_", parts.query):
        # One way to set it, and none to switch the checks of the certificate off.
        raise ValueError("TLS is set in the URL's query; expected rediss:// and the settings redis_tls_..._file")
    return SecretUrl(value)


def _read_addresses(value: Any) -> Any:
    addresses = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(addresses, list | tuple) or not addresses:
        raise ValueError("expected host:port, several separated by commas")
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not host or "/" in host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError("expected host:port, several separated by commas, without a scheme")
    return tuple(str(address) for address in addresses)


def _read_name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > 100:
        raise ValueError("expected 1 to 100 letters, digits, '.', '_' and '-', beginning with a letter or digit")
    return value


def _read_prefix(value: Any) -> str:
    return "" if value == "" else _read_name(value)


RedisUrl = Annotated[SecretUrl, PlainValidator(_read_redis_url), PlainSerializer(str, return_type=str)]
Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_addresses)]
FailPointSetting = Annotated[FailPoint | None, PlainValidator(read_fail_point), PlainSerializer(str, return_type=str)]
Name = Annotated[str, BeforeValidator(_read_name)]
Prefix = Annotated[str, BeforeValidator(_read_prefix)]


class Settings(BaseSettings):
    """Everything that can be set, with its default. Times are in the unit of the name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    tenant: Identifier = Field("bank", description="The bank whose records this system serves; others are set aside.")

    kafka_bootstrap: Addresses = Field(("127.0.0.1:9092",), description="Kafka brokers as host:port, by commas.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are spoken to."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How a user logs on, where the protocol has SASL."
    )
    kafka_sasl_username: str | None = Field(None, description="The user, where the protocol has SASL.")
    kafka_sasl_password: SecretStr | None = Field(None, description="The user's password.")
    kafka_sasl_password_file: Path | None = Field(None, description="A file that holds the user's password.")
    kafka_tls_ca_file: Path | None = Field(None, description="The authorities that sign the brokers' certificates.")
    kafka_tls_cert_file: Path | None = Field(None, description="Our own certificate, where brokers ask for one.")
    kafka_tls_key_file: Path | None = Field(None, description="The key of our certificate.")
    kafka_compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none", description="How published batches are compressed."
    )
    kafka_request_timeout_ms: int = Field(30_000, ge=1_000, le=300_000, description="How long one request may take.")

    app_id: Name = Field("bank-triggers", description="The consumer group.")
    instance_id: Name | None = Field(None, description="A name of this worker that lasts, for static membership.")
    topic_prefix: Prefix = Field("", description="Put before the name of every topic.")
    partitions: int = Field(
        PARTITIONS, ge=1, le=10_000, description="Partitions of each topic, when topics are created."
    )
    replication_factor: int = Field(1, ge=1, le=15, description="Replicas of each topic, when topics are created.")
    session_timeout_ms: int = Field(
        6_000, ge=1_000, le=300_000, description="After so long without a heartbeat a worker's partitions move on."
    )
    heartbeat_interval_ms: int = Field(1_000, ge=100, le=60_000, description="Between two heartbeats.")
    fetch_wait_ms: int = Field(
        100,
        ge=1,
        le=5_000,
        description="How long a broker may hold a fetch that finds nothing.",
    )
    max_poll_records: int = Field(32_768, ge=1, le=100_000, description="Records of one fetch, over all partitions.")

    redis_url: RedisUrl = Field(
        SecretUrl("redis://127.0.0.1:6379/0"), description="The store; any node of a Redis Cluster."
    )
    redis_url_file: Path | None = Field(None, description="A file that holds the URL, where it has a password.")
    redis_password: SecretStr | None = Field(None, description="The store's password, where the URL has none.")
    redis_password_file: Path | None = Field(None, description="A file that holds the store's password.")
    redis_tls_ca_file: Path | None = Field(None, description="The authorities that sign the store's certificate.")
    redis_tls_cert_file: Path | None = Field(None, description="Our own certificate, where the store asks for one.")
    redis_tls_key_file: Path | None = Field(None, description="The key of our certificate.")
    redis_cluster: bool = Field(False, description="Whether the store is a Redis Cluster.")
    redis_timeout_ms: int = Field(5_000, ge=100, le=60_000, description="How long the store may take to answer.")
    redis_wait_replicas: int = Field(
        0, ge=0, le=5, description="How many replicas of the store must have a commit before it counts; 0 asks none."
    )
    namespace: Name = Field("bank-triggers", description="Begins every key in the store.")

    rules: Path | None = Field(None, description="The folder of trigger files.")
    ruleset_public_keys: Path | None = Field(
        None, description="Public keys (PEM file, or folder of *.pem); set, only rule sets signed by one are taken."
    )
    clock: Literal["wall", "record"] = Field(
        "wall", description="Whether the time of a decision is the wall clock's or the record's own."
    )
    max_batch: int = Field(10_000, ge=1, le=20_000, description="Records of one batch.")
    max_batch_ms: int = Field(250, ge=10, le=2_000, description="Evaluation time that a batch should not exceed.")
    timer_batch: int = Field(500, ge=1, le=10_000, description="Keys of one batch of timers.")
    queue_records: int = Field(10_000, ge=1, le=1_000_000, description="Records that wait per partition.")
    cache_states: int = Field(
        50_000, ge=0, le=10_000_000, description="States held in memory, of about 1 KB each for a plain customer."
    )
    cache_mib: int = Field(128, ge=1, le=65_536, description="Memory for those states.")
    startup_seconds: int = Field(
        60, ge=1, le=3_600, description="How long Kafka and the store are tried at the start before giving up."
    )
    fenced_grace_seconds: int = Field(
        60, ge=5, le=3_600, description="How long a partition may be another's for the store and ours for the group."
    )
    http_host: str = Field("127.0.0.1", description="Where a worker's health and metrics listen.")
    http_port: int = Field(
        0, ge=0, le=65_535, description="Their port; 0 takes a free one, which the log names at the start."
    )
    dead_letter_percent: float = Field(
        1.0, ge=0, le=100, description="More dead letters among a partition's last records halt it; 0 never does."
    )
    dead_letter_window: int = Field(10_000, ge=100, le=10_000_000, description="How many last records those are.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["plain", "json"] = Field("plain", description="How a line of the log looks.")
    fail_point: FailPointSetting = Field(
        None, description="Where a worker kills itself, for tests of faults; see streams/fail_points.py."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class passes it by name
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed in: ``load_settings`` reads environment and file, so that it can say which was wrong."""
        del settings_cls
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        for name in _SECRETS:
            path = values.get(f"{name}_file")
            if path is None:
                continue
            if values.get(name) is not None:
                raise ValueError(f"{name}_file: set beside {name}; expected one of the two")
            try:
                values[name] = Path(str(path)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ValueError(f"{name}_file: cannot be read ({reason}); expected a readable file") from None
            if not values[name]:
                raise ValueError(f"{name}_file: the file is empty; expected the secret")
        return values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        problems = []
        if self.kafka_security_protocol.startswith("SASL") and (
            not self.kafka_sasl_username or self.kafka_sasl_password is None
        ):
            problems.append(
                f"kafka_sasl_username: {self.kafka_security_protocol} needs a user and a password; expected "
                "kafka_sasl_username and kafka_sasl_password or kafka_sasl_password_file"
            )
        if "SASL" not in self.kafka_security_protocol and self.kafka_sasl_username is not None:
            problems.append("kafka_security_protocol: a user is set; expected SASL_SSL (or SASL_PLAINTEXT)")
        if "SASL" not in self.kafka_security_protocol and self.kafka_sasl_password is not None:
            problems.append("kafka_security_protocol: a password is set; expected SASL_SSL (or SASL_PLAINTEXT)")
        problems += self._tls_problems(
            "kafka_tls",
            None
            if self.kafka_security_protocol.endswith("SSL")
            else "kafka_security_protocol: {} is set; expected SSL or SASL_SSL",
        )
        problems += self._tls_problems(
            "redis_tls",
            None if self.redis_url.scheme == "rediss" else "redis_url: {} is set; expected rediss://, which is TLS",
        )
        if self.redis_password is not None and urlsplit(self.redis_url.get_secret_value()).password:
            problems.append("redis_password: the URL has a password too; expected one of the two")
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            problems.append("heartbeat_interval_ms: expected at most a third of session_timeout_ms")
        if self.kafka_request_timeout_ms < self.session_timeout_ms:
            problems.append(
                f"kafka_request_timeout_ms: joining the group takes up to session_timeout_ms; expected at least "
                f"{self.session_timeout_ms}"
            )
        if self.fail_point is not None and (hosts := elsewhere(self._hosts())):
            problems.append(
                f"fail_point: it kills the worker, for tests on one machine, and {hosts[0]} is another; expected none"
            )
        if self.ruleset_public_keys is not None and not self.ruleset_public_keys.exists():
            problems.append(
                "ruleset_public_keys: there is no such file or folder; expected a PEM file of public keys, or a folder "
                "of them"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _hosts(self) -> list[str]:
        """Where Kafka and the store are."""
        store = urlsplit(self.redis_url.get_secret_value())
        hosts = [address.rpartition(":")[0].strip("[]") for address in self.kafka_bootstrap]
        return hosts if store.scheme == "unix" else [*hosts, store.hostname or ""]

    def _tls_problems(self, prefix: str, without_tls: str | None) -> list[str]:
        """What is wrong with the files of one TLS; ``without_tls`` is the complaint where there is none."""
        given = {name: getattr(self, f"{prefix}_{name}_file") for name in ("ca", "cert", "key")}
        problems = []
        first = next((f"{prefix}_{name}_file" for name, path in given.items() if path is not None), None)
        if without_tls is not None and first is not None:
            problems.append(without_tls.format(first))
        if (given["cert"] is None) != (given["key"] is None):
            problems.append(f"{prefix}_cert_file: expected it together with {prefix}_key_file")
        problems += [
            f"{prefix}_{name}_file: there is no such file; expected the path of a PEM file"
            for name, path in given.items()
            if path is not None and not path.is_file()
        ]
        return problems


def load_settings(file: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings from the environment, then the file (``file``, else ``BANK_TRIGGERS_CONFIG``), then the defaults.

    ``overrides`` are what a command line gives; they win over everything, ``None`` counts as not given.

    Raises ``SettingsError`` with every mistake found at once.
    """
    environ = os.environ if environ is None else environ
    path = file or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    values, problems = _read_file(path) if path is not None else ({}, [])
    known = Settings.model_fields
    problems += [f"{name}: unknown in {path}{_similar(str(name), known)}" for name in values if name not in known]
    given = {name: value for name, value in values.items() if name in known}
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if name not in known:
            problems.append(f"{variable}: unknown{_similar(name, known, environment=True)}")
            continue
        # The file's <name> must not clash with the environment's <name>_file: the environment wins as a whole.
        given.pop(f"{name}_file", None)
        given.pop(name.removesuffix("_file"), None)
        given[name] = value
    given.update((name, value) for name, value in overrides.items() if value is not None)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        problems += _lines(error)
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _read_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return {}, [f"config: {path} cannot be read ({reason}); expected a YAML or TOML file"]
    try:
        body = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except tomllib.TOMLDecodeError as error:
        return {}, [f"config: {path} is no TOML: {error}"]
    except yaml.YAMLError as error:
        # The mark alone: the parser's own message may quote a line with a secret.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        return {}, [f"config: {path} is no YAML{where}; expected lines of 'setting: value'"]
    if body is None:
        return {}, []
    if not isinstance(body, dict):
        return {}, [f"config: {path} holds no settings; expected lines of 'setting: value'"]
    return body, []


def _similar(name: str, known: Mapping[str, Any], *, environment: bool = False) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if not close:
        return "; expected a setting that exists"
    return f"; did you mean {PREFIX + close[0].upper() if environment else close[0]}?"


def _lines(error: ValidationError) -> list[str]:
    lines = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        message = one["msg"].removeprefix("Value error, ")
        if one["loc"]:
            message = message[0].lower() + message[1:]
            expected = _expected(str(one["loc"][0]))
            lines.append(f"{one['loc'][0]}: {message}" + (f"; {expected}" if expected not in message else ""))
        else:
            lines += message.splitlines()
    return lines


def _expected(name: str) -> str:
    field = Settings.model_fields.get(name)
    return f"it is: {field.description}" if field is not None and field.description else ""
