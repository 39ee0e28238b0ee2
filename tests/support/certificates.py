"""Certificates of a bank's own, made anew for each run: an authority, and PEM files for brokers and clients."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


class Authority:
    """An authority and what it signs; everything lies in ``folder``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "authority.pem"
        """What a client trusts."""
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *identities: str, expired: bool = False) -> tuple[Path, Path]:
        """A certificate for these host names or addresses: its file (with the chain) and its key's, in PKCS #8."""
        now = datetime.now(UTC)
        leaf = self._ca.issue_cert(
            *identities,
            common_name=name,
            not_before=now - timedelta(days=30),
            not_after=now - timedelta(days=1) if expired else now + timedelta(days=1),
        )
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
        # Java reads no other form of a key.
        private = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key

    def issue_store(self, name: str, *identities: str, expired: bool = False) -> Path:
        """As ``issue``, key and certificate in one file, as a Kafka broker wants it."""
        certificate, key = self.issue(name, *identities, expired=expired)
        store = self._folder / f"{name}.store.pem"
        store.write_bytes(key.read_bytes() + certificate.read_bytes())
        return store
