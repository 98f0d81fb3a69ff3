"""From addresses to a connection, a TLS handshake and the certificates that were shown. Blocking, bounded in time.

Refuses to know what is found wrong with them (`trust`). Invariant: nothing is said where a handshake did not hold.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edged.cli.doctor.network import Trouble, trouble_of
from edged.cli.doctor.trust import MAX_CHAIN, Certificate, TlsLook, certificate_of
from edged.csms.failure import FailureKind, failure_of

STEP_S: Final = 4.0
_UNREAD: Final = "its dates cannot be read without python3-cryptography"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """`connection` None: there is none, and `trouble` says why."""

    connection: socket.socket | None = None
    address: str = ""
    trouble: Trouble | None = None
    reason: str = ""
    took_s: float = 0.0


def reach(addresses: Sequence[str], port: int, within_s: float = STEP_S) -> Reached:
    """The first address that takes a connection; all together have `within_s`."""
    began_s = time.monotonic()
    failed = Reached(trouble=Trouble.OTHER, reason="there is no address")
    for place, address in enumerate(addresses):
        left_s = began_s + within_s - time.monotonic()
        if left_s <= 0.05:
            break
        try:
            connection = socket.create_connection((address, port), left_s / (len(addresses) - place))
        except (OSError, ValueError) as error:
            trouble, reason = trouble_of(error)
            failed = Reached(address=address, trouble=trouble, reason=reason)
        else:
            return Reached(connection=connection, address=address, took_s=time.monotonic() - began_s)
    return failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """`line` None: the handshake did not hold, as the look says."""

    look: TlsLook
    line: ssl.SSLSocket | None = None


def secure(
    connection: socket.socket,
    host: str,
    context: ssl.SSLContext,
    *,
    again: Callable[[], socket.socket | None],
    within_s: float = STEP_S,
) -> Secured:
    """A handshake as edged makes it. Where a certificate is refused, `again` gives a second connection to the same
    server, on which nothing is checked, nothing is said, and the certificates are read."""
    connection.settimeout(within_s)
    try:
        line = context.wrap_socket(connection, server_hostname=host)
    except (OSError, ValueError) as error:
        connection.close()
        return Secured(look=_failed(error, host, context, again, within_s))
    chain, unread = chain_of(line)
    cipher = line.cipher()
    look = TlsLook(version=line.version() or "TLS", cipher=cipher[0] if cipher else "", chain=chain, unread=unread)
    return Secured(look=look, line=line)


def _failed(
    error: Exception,
    host: str,
    context: ssl.SSLContext,
    again: Callable[[], socket.socket | None],
    within_s: float,
) -> TlsLook:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return TlsLook(kind=FailureKind.NETWORK, reason="connection closed")
    failure = failure_of(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        chain, unread = _look_again(host, context, again, within_s)
        return TlsLook(
            kind=failure.kind,
            verdict=int(error.verify_code or 0),
            reason=str(error.verify_message or "")[:200],
            chain=chain,
            unread=unread,
        )
    name = str(getattr(error, "reason", None) or "")
    return TlsLook(kind=failure.kind, reason=name[:100] or failure.reason)


def _look_again(
    host: str, context: ssl.SSLContext, again: Callable[[], socket.socket | None], within_s: float
) -> tuple[tuple[Certificate, ...], str]:
    connection = again()
    if connection is None:
        return (), ""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    blind.minimum_version = context.minimum_version
    connection.settimeout(within_s)
    try:
        with blind.wrap_socket(connection, server_hostname=host) as line:
            return chain_of(line)
    except (OSError, ValueError):
        connection.close()
        return (), ""


def chain_of(line: ssl.SSLSocket) -> tuple[tuple[Certificate, ...], str]:
    """What the other side showed, its own certificate first, and why that could not be read.

    Python hands out an unchecked certificate only as DER, save through the object below its socket, which has been
    there since 3.10. Where that is gone `cryptography` reads the first one.
    """
    with contextlib.suppress(AttributeError, ssl.SSLError, ValueError, TypeError):
        below: Any = line._sslobj  # type: ignore[attr-defined]
        shown = below.get_unverified_chain() or []
        return tuple(certificate_of(each.get_info()) for each in shown[:MAX_CHAIN]), ""
    told = line.getpeercert()
    if told:
        return (certificate_of(told),), ""
    return _by_cryptography(line.getpeercert(binary_form=True))


def _by_cryptography(der: bytes | None) -> tuple[tuple[Certificate, ...], str]:
    try:
        from cryptography import x509
    except ImportError:
        return (), _UNREAD
    if der is None:
        return (), ""
    try:
        found = x509.load_der_x509_certificate(der)
        subject, issuer = found.subject.rfc4514_string(), found.issuer.rfc4514_string()
        return (
            Certificate(subject=subject, issuer=issuer, begins=_utc(found, "before"), ends=_utc(found, "after")),
        ), ""
    except (ValueError, TypeError):
        return (), "it cannot be read"


def _utc(found: Any, which: str) -> datetime:
    """Older releases tell dates without a zone, newer ones no other than with it."""
    told = getattr(found, f"not_valid_{which}_utc", None)
    moment: datetime = told if told is not None else getattr(found, f"not_valid_{which}").replace(tzinfo=UTC)
    return moment


def end_of(path: Path) -> datetime | None:
    """When the certificate in a PEM file ends; None where that cannot be read."""
    decode: Any = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    if decode is None:
        return None
    try:
        return certificate_of(decode(str(path))).ends
    except (OSError, ValueError, TypeError):
        return None
