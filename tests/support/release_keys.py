"""Keys that sign rule sets, made for a test, and the files that hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from streams.signing import key_id, sign, signature
from triggers.language.loader import load_ruleset
from triggers.language.model import Policy, RuleSet


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    """A pair of keys, each in a file."""

    secret: Ed25519PrivateKey
    private: Path
    public: Path

    @classmethod
    def make(cls, folder: Path, name: str, passphrase: bytes | None = None) -> ReleaseKey:
        """A new pair, as openssl writes it."""
        secret = Ed25519PrivateKey.generate()
        encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        folder.mkdir(parents=True, exist_ok=True)
        key = cls(secret, folder / f"{name}.key", folder / f"{name}.pem")
        key.private.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        key.public.write_bytes(secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return key

    @property
    def id(self) -> str:
        return key_id(self.secret.public_key())

    def signature(self, document: str) -> str:
        """The signature of a document, as it is kept beside it."""
        ruleset = RuleSet(hash="", triggers=(), series=(), features=(), policy=Policy(), document=document)
        return signature(ruleset, self.secret)

    def sign(self, rules: Path) -> Path:
        """Signs a folder of rules, which must have no errors; the file of signatures."""
        loaded = load_ruleset([rules])
        assert loaded.ruleset is not None, loaded.problems
        return sign(loaded.ruleset, self.secret, rules)


def trusted(folder: Path, keys: Iterable[ReleaseKey]) -> Path:
    """A folder with the public keys of these alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.pem"):
        old.unlink()
    for key in keys:
        (folder / key.public.name).write_bytes(key.public.read_bytes())
    return folder
