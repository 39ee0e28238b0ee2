"""Settings: where they come from, what is refused and how, and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.settings import SecretUrl, Settings, SettingsError, load_settings, mask_url

SECRET = "hunter2-s3cr3t"


def problems(environ: dict[str, str] | None = None, file: Path | None = None, **overrides: Any) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load_settings(file, {f"BANK_TRIGGERS_{key}": value for key, value in (environ or {}).items()}, **overrides)
    assert SECRET not in str(refused.value)
    return refused.value.problems


def written(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_point_at_loopback() -> None:
    """Without any setting everything is on this machine."""
    settings = load_settings(environ={})
    assert settings.kafka_bootstrap == ("127.0.0.1:9092",)
    assert settings.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
    assert settings.clock == "wall"


def test_every_setting_is_described() -> None:
    """Each has a text that an error can show."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "tenant: ours\nkafka_bootstrap: [a:1, b:2]\nmax_batch: 10\n"),
        ("s.toml", 'tenant = "ours"\nkafka_bootstrap = ["a:1", "b:2"]\nmax_batch = 10\n'),
    ],
)
def test_file_in_yaml_or_toml_and_the_environment_wins(tmp_path: Path, name: str, text: str) -> None:
    """The command line wins over the environment, that over the file, that over the default."""
    file = written(tmp_path, name, text)
    environ = {"BANK_TRIGGERS_CONFIG": str(file), "BANK_TRIGGERS_MAX_BATCH": "20", "PATH": "/bin"}
    settings = load_settings(environ=environ, tenant=None)
    assert (settings.tenant, settings.kafka_bootstrap, settings.max_batch) == ("ours", ("a:1", "b:2"), 20)
    assert load_settings(environ=environ, max_batch=30).max_batch == 30


def test_addresses_by_commas() -> None:
    """Several brokers stand in one variable."""
    settings = load_settings(environ={"BANK_TRIGGERS_KAFKA_BOOTSTRAP": "a:1, b:2,"})
    assert settings.kafka_bootstrap == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("KAFKA_BOOTSTRAP", "kafka://a:1", "expected host:port"),
        ("KAFKA_BOOTSTRAP", "a", "expected host:port"),
        ("KAFKA_BOOTSTRAP", "a:99999", "expected host:port"),
        ("KAFKA_BOOTSTRAP", "", "expected host:port"),
        ("REDIS_URL", "http://a", "expected redis://"),
        ("REDIS_URL", "redis://a:port/0", "expected redis://"),
        ("CLOCK", "lunar", "'wall' or 'record'"),
        ("MAX_BATCH", "0", "greater than or equal to 1"),
        ("MAX_BATCH", "many", "valid integer"),
        ("APP_ID", "a b", "letters, digits"),
        ("TOPIC_PREFIX", "blue/", "letters, digits"),
        ("TENANT", "", "at least 1 character"),
        ("REDIS_CLUSTER", "perhaps", "valid boolean"),
        ("REDIS_WAIT_REPLICAS", "-1", "greater than or equal to 0"),
        ("REDIS_WAIT_REPLICAS", "6", "less than or equal to 5"),
        ("LOG_LEVEL", "loud", "'debug', 'info'"),
        ("FAIL_POINT", "after_lunch:1", "mid_evaluation, mid_publish, after_publish, after_commit with a count"),
        ("FAIL_POINT", "after_publish", "such as after_publish:7"),
        ("FAIL_POINT", "after_publish:0", "with a count from 1"),
    ],
)
def test_each_mistake_names_setting_and_what_is_right(variable: str, value: str, expected: str) -> None:
    """One line for one mistake: ``setting: what is wrong, what would be right``."""
    (line,) = problems({variable: value})
    assert line.startswith(f"{variable.lower()}: ")
    assert expected in line


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Unknown names and wrong values of file and environment, in one error."""
    file = written(tmp_path, "s.yaml", "tennant: x\nmax_batch: -1\n")
    lines = problems({"KAFKA_BOOTSTRAPS": "a:1", "CLOCK": "lunar"}, file)
    names = [line.split(":")[0] for line in lines]
    assert names == ["tennant", "BANK_TRIGGERS_KAFKA_BOOTSTRAPS", "clock", "max_batch"]
    assert "did you mean tenant?" in lines[0]
    assert "did you mean BANK_TRIGGERS_KAFKA_BOOTSTRAP?" in lines[1]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("s.yaml", "tenant: [", "is no YAML at line"),
        ("s.yaml", f"redis_password: '{SECRET}\nx: y: z", "is no YAML"),
        ("s.toml", "tenant = ", "is no TOML"),
        ("s.yaml", "- a\n", "holds no settings"),
    ],
)
def test_unreadable_file_is_told_with_its_place(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """A broken file is named, with the place and without the line."""
    assert any(
        line.startswith("config: ") and expected in line for line in problems(file=written(tmp_path, name, text))
    )


def test_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is no reason to run on defaults."""
    assert "cannot be read (No such file or directory)" in problems({"CONFIG": str(tmp_path / "none.yaml")})[0]


def test_secrets_are_never_shown() -> None:
    """Neither repr nor str nor a dump shows a password, in a setting of its own or in a URL."""
    environ = {
        "BANK_TRIGGERS_REDIS_URL": f"rediss://worker:{SECRET}@redis.bank:6380/1",
        "BANK_TRIGGERS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "BANK_TRIGGERS_KAFKA_SASL_USERNAME": "worker",
        "BANK_TRIGGERS_KAFKA_SASL_PASSWORD": SECRET,
    }
    settings = load_settings(environ=environ)
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump()), f"{settings}"]
    assert not [text for text in shown if SECRET in text]
    assert "rediss://worker:***@redis.bank:6380/1" in shown[0]
    assert SECRET in settings.redis_url.get_secret_value()
    assert settings.kafka_sasl_password is not None
    assert settings.kafka_sasl_password.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:p@h:1/0", "redis://u:***@h:1/0"),
        ("redis://:p@h:1/0", "redis://:***@h:1/0"),
        ("redis://u:p/with/slash@h:1/0", "redis://u:***@h:1/0"),
        ("redis://u:p@with@h:1/0", "redis://u:***@h:1/0"),
        ("redis://h:1/0", "redis://h:1/0"),
        ("unix:///run/redis.sock?db=1&password=p", "unix:///run/redis.sock?db=1&password=***"),
    ],
)
def test_mask_url(url: str, shown: str) -> None:
    """Only the password goes, wherever it stands and whatever is in it."""
    assert mask_url(url) == shown
    assert repr(SecretUrl(url)) == f"SecretUrl({shown!r})"


@pytest.mark.parametrize(
    "environ",
    [
        {"REDIS_URL": f"http://u:{SECRET}@h"},
        {"REDIS_URL": f"redis://u:{SECRET}@h:x/0"},
        {"REDIS_URL": f"redis://u:{SECRET}@h:1", "REDIS_PASSWORD": SECRET},
        {"KAFKA_SASL_PASSWORD": SECRET, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
        {"KAFKA_SASL_PASSWORD": SECRET, "MAX_BATCH": "x"},
    ],
)
def test_errors_do_not_show_secrets(environ: dict[str, str]) -> None:
    """``problems`` itself looks for the secret in each error."""
    assert problems(environ)


def test_secret_from_a_file(tmp_path: Path) -> None:
    """A mounted secret is read without its line end; the environment's file wins over the config file's value."""
    secret = written(tmp_path, "password", SECRET + "\n")
    file = written(tmp_path, "s.yaml", "redis_password: other\n")
    settings = load_settings(file, {"BANK_TRIGGERS_REDIS_PASSWORD_FILE": str(secret)})
    assert settings.redis_password is not None
    assert settings.redis_password.get_secret_value() == SECRET
    assert SECRET not in repr(settings)


def test_secret_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    """Missing, empty, or beside the value itself."""
    empty = written(tmp_path, "empty", "\n")
    assert "cannot be read" in problems({"REDIS_PASSWORD_FILE": str(tmp_path / "none")})[0]
    assert "is empty" in problems({"REDIS_PASSWORD_FILE": str(empty)})[0]
    file = written(tmp_path, "s.yaml", f"redis_password: {SECRET}\nredis_password_file: {empty}\n")
    assert problems(file=file)[0].startswith("redis_password_file: set beside redis_password")


@pytest.mark.parametrize(
    ("environ", "setting"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "kafka_sasl_username"),
        ({"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": SECRET}, "kafka_security_protocol"),
        ({"KAFKA_TLS_CA_FILE": "/none"}, "kafka_security_protocol"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_TLS_CA_FILE": "/none"}, "kafka_tls_ca_file"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_TLS_KEY_FILE": "/none"}, "kafka_tls_cert_file"),
        ({"SESSION_TIMEOUT_MS": "2000"}, "heartbeat_interval_ms"),
        ({"KAFKA_REQUEST_TIMEOUT_MS": "5000"}, "kafka_request_timeout_ms"),
        ({"FAIL_POINT": "after_commit:1", "KAFKA_BOOTSTRAP": "127.0.0.1:9092,kafka:9092"}, "fail_point"),
        ({"FAIL_POINT": "after_commit:1", "REDIS_URL": "rediss://user:secret@redis.example/0"}, "fail_point"),
    ],
)
def test_settings_that_contradict_each_other(environ: dict[str, str], setting: str) -> None:
    """A password without TLS or user, a certificate without TLS, a worker that kills itself: refused, not ignored."""
    assert any(line.startswith(setting + ": ") for line in problems(environ))
