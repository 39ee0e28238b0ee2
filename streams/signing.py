"""Who released a rule set: Ed25519 signatures over its document, by keys that a worker is told to trust.

What is signed is ``RuleSet.document`` as a whole (its hash is shortened, and is not what the trust rests on). The
signatures stand in a file beside the rules, and go with the document wherever it is kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from triggers.language.model import RuleSet

SIGNATURE_FILE: Final = "signatures.json"
SETTING: Final = "ruleset_public_keys"

_SUBJECT: Final = b"bank-triggers rule set\n"
"""Stands before the document, so that a signature for another purpose is none of a rule set."""
_MOST_BYTES: Final = 4 * 1024 * 1024
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_MAKE_KEYS: Final = "openssl genpkey -algorithm ed25519, and openssl pkey -pubout for the public one"


class KeyUnusable(Exception):
    """A file holds no key that can be used. The message names the file and what would be right; never what is in it."""


class NotSigned(Exception):
    """A rule set is not released by a key that is trusted. The message says why, and what would mend it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose rule sets are taken: ``keys`` by their ids; ``None`` where no signature is asked for."""

    keys: Mapping[str, Ed25519PublicKey] | None = None
    source: str = ""
    """Where the keys stand."""

    def objection(self, document: str, signatures: Mapping[str, str]) -> str | None:
        """Why a document is not taken; ``None`` where one of the keys has signed it. ``signatures`` are by key id."""
        if self.keys is None:
            return None
        if not signatures:
            return "it is not signed"
        known = sorted(signatures.keys() & self.keys.keys())
        if not known:
            return (
                f"it is signed by the key {', '.join(sorted(signatures))}, which is not among those in {self.source} "
                f"({', '.join(sorted(self.keys))})"
            )
        if not self.signers(document, signatures):
            return f"the signature of the key {', '.join(known)} does not fit it: one of the two was changed since"
        return None

    def signers(self, document: str, signatures: Mapping[str, str]) -> list[str]:
        """The ids of those of the keys whose signatures fit."""
        keys = self.keys or {}
        return [name for name in sorted(signatures) if name in keys and _fits(keys[name], document, signatures[name])]


ANYONE: Final = Trust()
"""Asks for no signature."""


@dataclass(frozen=True, slots=True)
class Release:
    """A rule set with the signatures that came with it, by the ids of their keys."""

    ruleset: RuleSet
    signatures: Mapping[str, str] = field(default_factory=dict)


class _SignatureFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ruleset: str
    files: dict[str, str]
    """The hash of each file: they only tell which one was changed. The signatures are what counts."""
    signatures: dict[str, str]


def read_public_keys(path: Path) -> Trust:
    """The keys in a PEM file, or in all ``*.pem`` of a folder. Raises ``KeyUnusable``, also where there is none."""
    files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
    keys: dict[str, Ed25519PublicKey] = {}
    for file in files:
        for kind, block in _pem_blocks(file):
            if "PRIVATE" in kind:
                raise KeyUnusable(f"{file} holds a private key; expected public keys alone: keep the private one away")
            key = _public_key(file, block)
            keys[key_id(key)] = key
    if not keys:
        raise KeyUnusable(f"{path} holds no file *.pem; expected Ed25519 public keys ({_MAKE_KEYS})")
    return Trust(keys, str(path))


def read_private_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """The key that signs. Raises ``KeyUnusable``."""
    expected = f"expected an Ed25519 private key as PEM ({_MAKE_KEYS})"
    data = _bytes_of(path)
    try:
        key = load_pem_private_key(data, passphrase)
    except TypeError:
        wanted = "no passphrase, for it is not encrypted" if passphrase is not None else "its passphrase"
        raise KeyUnusable(f"{path}: expected {wanted}") from None
    except (ValueError, UnsupportedAlgorithm):
        why = "cannot be read, or not with this passphrase" if passphrase is not None else "cannot be read"
        raise KeyUnusable(f"{path} {why}; {expected}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} holds a key of another kind; {expected}")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Names a key: the begin of the SHA-256 of its public part (DER), as ``openssl`` and ``sha256sum`` tell it, too."""
    data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(data).hexdigest()[:16]


def signature(ruleset: RuleSet, key: Ed25519PrivateKey) -> str:
    """The signature of a rule set by a key, as text."""
    return base64.b64encode(key.sign(_message(ruleset.document))).decode()


def sign(ruleset: RuleSet, key: Ed25519PrivateKey, path: Path) -> Path:
    """Puts the key's signature beside the rules at ``path``, to those of other keys for the same rule set.

    Signatures for what the rules were before are taken away. Returns the file. Raises ``OSError``.
    """
    file = signature_file(path)
    signatures: dict[str, str] = {}
    with suppress(NotSigned):
        former = _read(file, "none is needed")
        signatures = dict(former.signatures) if former.ruleset == ruleset.hash else {}
    signatures[key_id(key.public_key())] = signature(ruleset, key)
    body = {"ruleset": ruleset.hash, "files": _hashes(ruleset), "signatures": signatures}
    # In one step: a worker that starts meanwhile finds the former file or this one.
    beside = file.with_name(f".{SIGNATURE_FILE}.new")
    beside.write_text(json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(beside, file)  # noqa: PTH105 - as the comment above says
    return file


def release(ruleset: RuleSet, path: Path, trust: Trust) -> Release:
    """A rule set read from ``path`` with the signatures beside it, if they are its own and ``trust`` accepts one.

    Raises ``NotSigned``. Where no signature is asked for, a file that cannot be used counts as none.
    """
    try:
        return _signed(ruleset, path, trust)
    except NotSigned:
        if trust.keys is None:
            return Release(ruleset)
        raise


def _signed(ruleset: RuleSet, path: Path, trust: Trust) -> Release:
    mend = f"sign it with: bank-triggers rules sign {path} --key PRIVATE_KEY"
    file = signature_file(path)
    found = _read(file, f"{SETTING} asks for signed rules; {mend}")
    if found.ruleset != ruleset.hash:
        raise NotSigned(
            f"{file} is of rule set {found.ruleset}, and the files are rule set {ruleset.hash}: "
            f"{_changes(found.files, _hashes(ruleset))}; put back what was signed, or {mend}"
        )
    if objection := trust.objection(ruleset.document, found.signatures):
        raise NotSigned(f"{file}: rule set {ruleset.hash} is not taken: {objection}; {mend}")
    return Release(ruleset, found.signatures)


def signature_file(path: Path) -> Path:
    """Where the signatures of the rules at a path stand: in the folder, or beside the file."""
    return (path if path.is_dir() else path.parent) / SIGNATURE_FILE


def _message(document: str) -> bytes:
    return _SUBJECT + document.encode()


def _fits(key: Ed25519PublicKey, document: str, signature: str) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), _message(document))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _hashes(ruleset: RuleSet) -> dict[str, str]:
    files: Mapping[str, str] = json.loads(ruleset.document)
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}


def _changes(signed: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Which files are not as they were signed."""
    differences = {
        "changed": sorted(name for name in signed.keys() & found.keys() if signed[name] != found[name]),
        "added": sorted(found.keys() - signed.keys()),
        "missing": sorted(signed.keys() - found.keys()),
    }
    said = [f"{what} since: {_some(names)}" for what, names in differences.items() if names]
    return "; ".join(said) or "the file of signatures was changed"


def _some(names: Iterable[str]) -> str:
    first, *more = names
    return f"{first} and {len(more)} more" if more else first


def _read(file: Path, why: str) -> _SignatureFile:
    """Raises ``NotSigned``; ``why`` tells, where there is no file, for what it is wanted."""
    expected = "expected what bank-triggers rules sign writes"
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES)
        return msgspec.json.decode(data, type=_SignatureFile)
    except FileNotFoundError:
        raise NotSigned(f"{file}: there is no such file, and {why}") from None
    except OSError as error:
        raise NotSigned(f"{file} cannot be read ({error.strerror}); {expected}") from None
    except msgspec.DecodeError as error:
        raise NotSigned(f"{file} holds no signatures ({error}); {expected}") from None


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeyUnusable(f"{file} cannot be read ({error.strerror}); expected a PEM file") from None


def _pem_blocks(file: Path) -> list[tuple[str, bytes]]:
    blocks = [(match[1].decode(), match[0]) for match in _PEM.finditer(_bytes_of(file))]
    if not blocks:
        raise KeyUnusable(f"{file} holds no key; expected Ed25519 public keys as PEM ({_MAKE_KEYS})")
    return blocks


def _public_key(file: Path, block: bytes) -> Ed25519PublicKey:
    expected = f"expected Ed25519 public keys as PEM ({_MAKE_KEYS})"
    try:
        key = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable(f"{file} holds something that is no public key; {expected}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{file} holds a key of another kind; {expected}")
    return key
