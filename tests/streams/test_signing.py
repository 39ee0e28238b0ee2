"""Signed rule sets: what a signature covers, whose are taken, and what is said of others."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result

from streams.cli import app
from streams.kept_rulesets import NotTaken, load_kept
from streams.signing import (
    ANYONE,
    SIGNATURE_FILE,
    KeyUnusable,
    NotSigned,
    Release,
    Trust,
    read_private_key,
    read_public_keys,
    release,
    sign,
)
from tests.support.release_keys import ReleaseKey, trusted
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

RULE = """trigger: {name}
version: 1
title: A debit
owner: retail
status: live
on: transaction
when: event.direction == "debit"
action:
  offer: call
  category: service
  complexity: simple
  priority: 10
  expires: 1d
  ladder: [push]
  message: {{template: t1}}
tests:
  - name: fires
    customer: {{}}
    events:
      - {{at: "2026-03-02 10:00", transaction: {{direction: debit, amount: 5}}}}
    expect:
      - {{at: "2026-03-02 10:00", offer: call, channel: push}}
  - name: a credit is silent
    customer: {{}}
    events:
      - {{at: "2026-03-02 10:00", transaction: {{direction: credit, amount: 5}}}}
    expect: []
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder of two triggers and a policy, some of it in a folder of its own."""
    folder = tmp_path / "rules"
    (folder / "inner").mkdir(parents=True)
    (folder / "first.yaml").write_text(RULE.format(name="first"))
    (folder / "inner" / "second.yaml").write_text(RULE.format(name="second"))
    (folder / "policy.yaml").write_text("currency: CNY\n")
    return folder


@pytest.fixture
def key(tmp_path: Path) -> ReleaseKey:
    return ReleaseKey.make(tmp_path / "keys", "first")


def ruleset_of(rules: Path) -> RuleSet:
    loaded = load_ruleset([rules])
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


def checked(rules: Path, *keys: ReleaseKey) -> Release:
    """As a worker that trusts these keys takes the folder."""
    return release(ruleset_of(rules), rules, trust_in(*keys))


def trust_in(*keys: ReleaseKey) -> Trust:
    return Trust({key.id: key.secret.public_key() for key in keys}, "the keys")


def test_what_a_trusted_key_signed_is_taken(rules: Path, key: ReleaseKey) -> None:
    file = key.sign(rules)
    found = checked(rules, key)
    assert found.ruleset.hash == ruleset_of(rules).hash
    assert list(found.signatures) == [key.id]
    assert file.name == SIGNATURE_FILE
    assert ruleset_of(rules).hash == json.loads(file.read_text())["ruleset"], "signing changes no rule set"


def _swap_a_byte(rules: Path) -> None:
    file = rules / "first.yaml"
    file.write_text(file.read_text().replace("priority: 10", "priority: 90"))


def _change_a_comment(rules: Path) -> None:
    with (rules / "policy.yaml").open("a") as stream:
        stream.write("#")


def _add(rules: Path) -> None:
    (rules / "third.yaml").write_text(RULE.format(name="third"))


def _move(rules: Path) -> None:
    (rules / "first.yaml").rename(rules / "inner" / "first.yaml")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_swap_a_byte, "changed since: first.yaml;"),
        (_change_a_comment, "changed since: policy.yaml;"),
        (_add, "added since: third.yaml;"),
        (lambda rules: (rules / "inner" / "second.yaml").unlink(), "missing since: inner/second.yaml;"),
        (lambda rules: (rules / "policy.yaml").unlink(), "missing since: policy.yaml;"),
        (_move, "added since: inner/first.yaml; missing since: first.yaml;"),
    ],
)
def test_any_change_of_the_rules_voids_the_signature(
    rules: Path, key: ReleaseKey, change: Callable[[Path], None], told: str
) -> None:
    """A byte, a comment, a file more, a file less, a file in another folder: refused, and the file is named.

    That the file of signatures is made to name the new rule set and its files helps nobody.
    """
    file = key.sign(rules)
    change(rules)
    with pytest.raises(NotSigned) as refused:
        checked(rules, key)
    assert told in str(refused.value)
    assert "bank-triggers rules sign" in str(refused.value)
    body = json.loads(file.read_text())
    other = ReleaseKey.make(rules.parent / "keys", "forger")
    forged = json.loads(other.sign(rules).read_text())
    file.write_text(json.dumps(forged | {"signatures": body["signatures"]}))
    with pytest.raises(NotSigned, match=f"signature of the key {key.id} does not fit"):
        checked(rules, key)


def test_what_is_not_signed_or_by_a_stranger_is_not_taken(rules: Path, key: ReleaseKey) -> None:
    stranger = ReleaseKey.make(key.public.parent, "stranger")
    with pytest.raises(NotSigned, match="there is no such file, and ruleset_public_keys asks for signed rules"):
        checked(rules, key)
    file = stranger.sign(rules)
    with pytest.raises(NotSigned, match=f"by the key {stranger.id}, which is not among those in the keys .{key.id}"):
        checked(rules, key)
    body = json.loads(file.read_text())
    # The stranger's signature under the trusted key's name.
    file.write_text(json.dumps(body | {"signatures": {key.id: body["signatures"][stranger.id]}}))
    with pytest.raises(NotSigned, match=f"signature of the key {key.id} does not fit"):
        checked(rules, key)
    file.write_text(json.dumps(body | {"signatures": {}}))
    with pytest.raises(NotSigned, match="it is not signed"):
        checked(rules, key)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"ruleset": 1}', "\x00", '{"signatures": {}, "more": 1}'])
def test_a_file_that_holds_no_signatures(rules: Path, key: ReleaseKey, content: str) -> None:
    """Whatever stands in it, it is a refusal that names it."""
    (rules / SIGNATURE_FILE).write_text(content)
    with pytest.raises(NotSigned, match=rf"{SIGNATURE_FILE} holds no signatures .*rules sign"):
        checked(rules, key)


@pytest.mark.parametrize("signature", ["", "!", "AAAA", base64.b64encode(bytes(64)).decode(), "é" * 88])
def test_what_is_no_signature_fits_nothing(rules: Path, key: ReleaseKey, signature: str) -> None:
    file = key.sign(rules)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"signatures": {key.id: signature}}))
    with pytest.raises(NotSigned, match="does not fit"):
        checked(rules, key)


def test_without_keys_nothing_is_asked_for(rules: Path, key: ReleaseKey) -> None:
    """No file, one that cannot be read and one of other rules are as good as none; a fitting one goes along."""
    assert release(ruleset_of(rules), rules, ANYONE).signatures == {}
    (rules / SIGNATURE_FILE).write_text("{")
    assert release(ruleset_of(rules), rules, ANYONE).signatures == {}
    key.sign(rules)
    assert list(release(ruleset_of(rules), rules, ANYONE).signatures) == [key.id]
    _swap_a_byte(rules)
    assert release(ruleset_of(rules), rules, ANYONE).signatures == {}


def test_keys_are_changed_without_a_gap(rules: Path, key: ReleaseKey) -> None:
    """Signed by both, the rules are taken by workers that trust either; after a change they are signed by one alone."""
    later = ReleaseKey.make(key.public.parent, "later")
    key.sign(rules)
    with pytest.raises(NotSigned):
        checked(rules, later)
    checked(rules, key, later)
    later.sign(rules)
    for trusting in ([key], [later], [key, later]):
        assert list(checked(rules, *trusting).signatures) == sorted([key.id, later.id])
    _swap_a_byte(rules)
    later.sign(rules)
    assert list(checked(rules, later).signatures) == [later.id]
    with pytest.raises(NotSigned, match=f"by the key {later.id}"):
        checked(rules, key)


def test_public_keys_stand_in_one_file_or_in_a_folder(tmp_path: Path) -> None:
    keys = [ReleaseKey.make(tmp_path, name) for name in ("a", "b")]
    ids = {key.id for key in keys}
    both = tmp_path / "both"
    both.write_bytes(b"A remark.\n" + keys[0].public.read_bytes() + keys[1].public.read_bytes())
    assert (read_public_keys(both).keys or {}).keys() == ids
    folder = trusted(tmp_path / "trusted", keys)
    (folder / "README").write_text("no key")
    assert (read_public_keys(folder).keys or {}).keys() == ids
    assert (read_public_keys(keys[0].public).keys or {}).keys() == {keys[0].id}


def test_public_keys_that_cannot_be_used(tmp_path: Path, key: ReleaseKey) -> None:
    """An empty folder trusts nobody and is not taken for none; a private key is not repeated."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pem").write_text("key")
    public = rsa.generate_private_key(65537, 2048).public_key()
    (tmp_path / "rsa.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "bent.pem").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    cases = {
        tmp_path / "empty": "holds no file .*openssl",
        tmp_path / "text.pem": "holds no key",
        tmp_path / "rsa.pem": "of another kind; expected Ed25519",
        tmp_path / "bent.pem": "no public key",
        tmp_path / "away.pem": "cannot be read",
        key.private: "holds a private key; expected public keys",
    }
    for path, told in cases.items():
        with pytest.raises(KeyUnusable, match=told) as refused:
            read_public_keys(path)
        assert str(path) in str(refused.value)
        assert not _secrets_of(key) & set(str(refused.value).split())


def test_private_keys_that_cannot_be_used(tmp_path: Path, key: ReleaseKey) -> None:
    locked = ReleaseKey.make(tmp_path / "keys", "locked", b"open sesame")
    assert read_private_key(locked.private, b"open sesame").public_key() == locked.secret.public_key()
    for path, passphrase, told in [
        (locked.private, None, "expected its passphrase"),
        (locked.private, b"wrong", "not with this passphrase"),
        (key.private, b"needless", "expected no passphrase"),
        (key.public, None, "expected an Ed25519 private key"),
        (tmp_path / "away", None, "cannot be read"),
    ]:
        with pytest.raises(KeyUnusable, match=told):
            read_private_key(path, passphrase)


# What is kept for later


def test_a_kept_rule_set_is_what_it_was_kept_as(rules: Path, key: ReleaseKey) -> None:
    """Another document under the hash, one nobody trusted signed, one that cannot be read: none of them is taken."""
    key.sign(rules)
    kept, trust = checked(rules, key), trust_in(key)
    name, document, signatures = kept.ruleset.hash, kept.ruleset.document, kept.signatures
    assert load_kept(name, document, signatures, trust).ruleset.document == document
    assert load_kept(name, document, {}, ANYONE).ruleset.document == document
    _swap_a_byte(rules)
    other = ruleset_of(rules)
    with pytest.raises(NotTaken, match=f"its content is that of rule set {other.hash}"):
        load_kept(name, other.document, {}, ANYONE)
    with pytest.raises(NotTaken, match="does not fit"):
        load_kept(name, other.document, signatures, trust)
    with pytest.raises(NotTaken, match="does not fit"):
        load_kept(other.hash, other.document, signatures, trust)
    with pytest.raises(NotTaken, match="it is not signed"):
        load_kept(name, document, {}, trust)
    with pytest.raises(NotTaken, match="cannot read it"):
        load_kept(name, "{", {}, ANYONE)
    # Signed by a trusted key, and yet another one than the batch was run under.
    key.sign(rules)
    with pytest.raises(NotTaken, match=f"its content is that of rule set {other.hash}"):
        load_kept(name, other.document, checked(rules, key).signatures, trust)


def test_what_nobody_trusted_has_signed_is_not_even_read(key: ReleaseKey) -> None:
    """The language is compiled: a stranger's text does not come as far as that."""

    def load(_document: str) -> RuleSet:
        raise AssertionError("it was read")

    with pytest.raises(NotTaken, match="not signed"):
        load_kept("ab12", "{}", {}, trust_in(key), load)


# The commands


def typed(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_sign_and_verify(rules: Path, key: ReleaseKey) -> None:
    """As an author types it; neither output nor the file holds anything of the private key."""
    done = typed("rules", "sign", rules, "--key", key.private)
    assert (done.exit_code, key.id in done.output) == (0, True), done.output
    found = typed("rules", "verify", rules, "--keys", key.public)
    assert (found.exit_code, found.output) == (
        0,
        f"rule set {ruleset_of(rules).hash} is signed by the key {key.id}\n",
    )
    shown = done.output + found.output + (rules / SIGNATURE_FILE).read_text()
    assert not [secret for secret in _secrets_of(key) if secret in shown]
    _add(rules)
    found = typed("rules", "verify", rules, "--keys", key.public)
    assert (found.exit_code, "added since: third.yaml" in found.output) == (1, True), found.output


def test_sign_with_a_passphrase(rules: Path, tmp_path: Path) -> None:
    """From a file, with the line end that editors put there."""
    locked = ReleaseKey.make(tmp_path / "keys", "locked", b"open sesame")
    (tmp_path / "passphrase").write_text("open sesame\n")
    assert typed("rules", "sign", rules, "--key", locked.private).exit_code == 1
    assert not (rules / SIGNATURE_FILE).exists()
    done = typed("rules", "sign", rules, "--key", locked.private, "--passphrase-file", tmp_path / "passphrase")
    assert done.exit_code == 0, done.output
    assert "sesame" not in done.output
    checked(rules, locked)


def test_rules_with_errors_are_not_signed(rules: Path, key: ReleaseKey) -> None:
    (rules / "first.yaml").write_text(RULE.format(name="first").replace("event.direction", "event.direktion"))
    done = typed("rules", "sign", rules, "--key", key.private)
    assert done.exit_code == 1
    assert "first.yaml:7:" in done.output
    assert not (rules / SIGNATURE_FILE).exists()


def test_keys_by_openssl(rules: Path, tmp_path: Path) -> None:
    """The commands that the help names make keys that serve, and their id is what sha256sum tells of the public one."""
    private, public = tmp_path / "release-key.pem", tmp_path / "release.pem"
    _openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    _openssl("pkey", "-in", private, "-pubout", "-out", public)
    digest = _openssl("pkey", "-pubin", "-in", public, "-outform", "DER", "-out", tmp_path / "der")
    digest = _openssl("dgst", "-sha256", "-r", tmp_path / "der")
    done = typed("rules", "sign", rules, "--key", private)
    assert done.exit_code == 0, done.output
    assert f"by the key {digest[:16]}:" in done.output
    assert typed("rules", "verify", rules, "--keys", public).exit_code == 0


def test_one_file_as_rules(tmp_path: Path, key: ReleaseKey) -> None:
    """The signatures of a single file stand beside it."""
    file = tmp_path / "alone" / "first.yaml"
    file.parent.mkdir()
    file.write_text(RULE.format(name="first"))
    assert sign(ruleset_of(file), key.secret, file) == file.parent / SIGNATURE_FILE
    checked(file, key)


def _openssl(*arguments: object) -> str:
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def _secrets_of(key: ReleaseKey) -> set[str]:
    lines = set(key.private.read_text().splitlines()[1:-1])
    raw = key.secret.private_bytes_raw()
    return lines | {raw.hex(), base64.b64encode(raw).decode()}
