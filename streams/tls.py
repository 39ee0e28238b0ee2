"""TLS to Kafka and to the store: the context from the settings' files, and what a handshake that failed means."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# OpenSSL's codes of why a certificate is not accepted (x509_vfy.h).
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME: Final = frozenset({62, 64})


class TlsFilesUnusable(Exception):
    """A file of the settings holds no certificate or key that can be used. Names the settings."""


def client_context(ca: Path | None, certificate: Path | None, key: Path | None, settings: str) -> ssl.SSLContext:
    """A context that wants a certificate, its authority and its name to be right; there is no way to switch that off.

    Without ``ca`` the authorities of the operating system count. ``settings`` begins the names of the settings.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=None if ca is None else str(ca))
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsFilesUnusable(
            f"the TLS files cannot be used ({error.strerror or type(error).__name__}); expected PEM files "
            f"in {settings}_ca_file, {settings}_cert_file and {settings}_key_file"
        ) from error
    return context


def chain_of(error: BaseException, before: BaseException | None = None) -> Iterator[BaseException]:
    """An error and what lies underneath it; but not ``before``, which the caller was handling already."""
    link: BaseException | None = error
    # An error that was raised more than once may lie underneath itself.
    seen: set[int] = set()
    while link is not None and link is not before and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def refused_by_tls(error: BaseException, settings: str, before: BaseException | None = None) -> str | None:
    """Why the handshake failed for good and what would be right; ``None`` where it was only cut off, or was no TLS."""
    for link in chain_of(error, before):
        if isinstance(link, ssl.SSLCertVerificationError):
            return _unaccepted(link, settings)
        if isinstance(link, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)):
            return None
        if isinstance(link, ssl.SSLError):
            return _failed(link, settings)
    return None


def _unaccepted(error: ssl.SSLCertVerificationError, settings: str) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired; expected one that is valid today"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet; expected one that is valid today (is this machine's clock right?)"
    if code in _UNKNOWN_AUTHORITY:
        return (
            "its certificate is of no authority that we trust; expected the certificate of its authority in "
            f"{settings}_ca_file"
        )
    if code in _OTHER_NAME:
        return f"its certificate is for another name ({error.verify_message}); expected an address that it names"
    return f"its certificate is not accepted: {error.verify_message}"


def _failed(error: ssl.SSLError, settings: str) -> str:
    said = (error.reason or str(error)).replace("_", " ").lower()
    if "alert" in said and ("certificate" in said or "unknown ca" in said):
        return (
            f"it does not accept our certificate ({said}); expected one that it trusts in {settings}_cert_file and "
            f"{settings}_key_file"
        )
    if "wrong version number" in said or "record layer" in said:
        return f"what answers there does not speak TLS ({said}); there is no fallback to plain text"
    return f"TLS cannot be agreed on ({said})"
