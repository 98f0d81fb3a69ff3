"""Why an attempt to reach the CSMS failed, sorted by who can mend it. Quotes the peer on one bounded line only."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import StrEnum

from websockets.exceptions import InvalidMessage, InvalidStatus, NegotiationError

from edged.domain.credentials import LinkFailure
from edged.ocpp.framing import shown

_OLD_TLS = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_SSL_VERSION"})
_NO_CIPHER = frozenset({"SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "NO_CIPHERS_AVAILABLE"})
_OURS_REFUSED = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
    }
)
"""Alerts that a server has for a client's certificate."""
_OTHER_NAME = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


class FailureKind(StrEnum):
    """CERTIFICATE, OTHER_HOST, TLS_VERSION and TLS_CIPHER are security events (A00.FR.310, .313, .318)."""

    NETWORK = "network"
    TIMEOUT = "timeout"
    HTTP = "http"
    CA_FILE = "ca_file"
    CLIENT_FILE = "client_file"
    CERTIFICATE = "certificate"
    OTHER_HOST = "other_host"
    CLIENT_CERTIFICATE = "client_certificate"
    TLS_VERSION = "tls_version"
    TLS_CIPHER = "tls_cipher"
    TLS = "tls"
    SUBPROTOCOL = "subprotocol"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt. `reason` is for the operator, `http_status` the CSMS's answer where there was one."""

    kind: FailureKind
    reason: str
    http_status: int | None = None

    @property
    def security(self) -> LinkFailure:
        """The same as the core sees it."""
        if self.http_status in (401, 403):
            return LinkFailure.AUTHENTICATION
        return _SECURITY.get(self.kind, LinkFailure.OTHER)


_SECURITY = {
    FailureKind.NETWORK: LinkFailure.UNREACHABLE,
    FailureKind.TIMEOUT: LinkFailure.UNREACHABLE,
    FailureKind.CERTIFICATE: LinkFailure.CERTIFICATE,
    FailureKind.OTHER_HOST: LinkFailure.OTHER_HOST,
    FailureKind.CLIENT_CERTIFICATE: LinkFailure.AUTHENTICATION,
    FailureKind.TLS_VERSION: LinkFailure.TLS_VERSION,
    FailureKind.TLS_CIPHER: LinkFailure.TLS_CIPHER,
}


_NOT_OURS = Failure(FailureKind.CLIENT_CERTIFICATE, "the CSMS refuses the station's certificate, or misses one")


def failure_of(error: Exception, *, certified: bool = False) -> Failure:
    """Sort what the WebSocket library, TLS or the system raised while connecting.

    `certified`: the station has shown a certificate; a server that then leaves without a word does not like it.
    """
    match error:
        case InvalidMessage() if certified and isinstance(error.__cause__, EOFError):
            return _NOT_OURS
        case InvalidStatus():
            return _http_failure(error.response.status_code)
        case NegotiationError():
            return Failure(FailureKind.SUBPROTOCOL, "the CSMS chose an OCPP version that was not offered")
        case ssl.SSLCertVerificationError():
            kind = FailureKind.OTHER_HOST if error.verify_code in _OTHER_NAME else FailureKind.CERTIFICATE
            return Failure(kind, f"the CSMS's certificate is refused: {shown(error.verify_message)}")
        case ssl.SSLError():
            return _tls_failure(error)
        case TimeoutError():
            return Failure(FailureKind.TIMEOUT, "the CSMS did not answer in time")
        case OSError():
            return Failure(FailureKind.NETWORK, shown(error.strerror or str(error) or type(error).__name__))
        case UnicodeError():
            return Failure(FailureKind.NETWORK, "the CSMS's host name is not a name")
        case _:
            return Failure(FailureKind.PROTOCOL, f"not a WebSocket handshake: {shown(str(error))}")


def _http_failure(status: int) -> Failure:
    match status:
        case 401 | 403:
            reason = f"the CSMS refuses the identity or its password (HTTP {status})"
        case 404:
            reason = "the CSMS does not know the identity (HTTP 404)"
        case 400:  # what most servers say to a station whose subprotocols they do not have
            reason = "the CSMS refuses the connection (HTTP 400); it may speak none of the versions that are offered"
        case _ if 300 <= status < 400:
            reason = f"the CSMS points elsewhere (HTTP {status}); its url must be set, redirects are not followed"
        case _:
            reason = f"the CSMS refuses the connection (HTTP {status})"
    return Failure(FailureKind.HTTP, reason, status)


def _tls_failure(error: ssl.SSLError) -> Failure:
    # Some errors carry no reason although the stubs promise one.
    name = str(error.reason or "")
    if name in _OLD_TLS:
        return Failure(FailureKind.TLS_VERSION, "the CSMS offers no TLS version from 1.2 on")
    if name in _NO_CIPHER:
        return Failure(FailureKind.TLS_CIPHER, "the CSMS offers no acceptable TLS cipher suite")
    if name in _OURS_REFUSED:
        return _NOT_OURS
    return Failure(FailureKind.TLS, f"TLS failed: {shown(name or str(error))}")
