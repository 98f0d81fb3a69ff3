"""How one station reaches its CSMS: address, identity, credentials, TLS. Checked when made, secrets never shown.

Owns the rules of security profiles 0 to 3 (1.6 security whitepaper, A00). Refuses to know what flows over
the line, and where keys are kept. Invariant: settings that exist can be tried; the password is in no repr and no error.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from edged.domain.credentials import ClientCertificate
from edged.ports import EdgedError

Files = tuple[Path, Path]
"""A certificate's chain and its private key, both PEM."""
ClientFiles = Callable[[ClientCertificate], Files]

MAX_IDENTITY_LENGTH = 255
# Forward secrecy first; the plain RSA suites are those that the whitepaper requires (A00.FR.318).
_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:AES128-GCM-SHA256:AES256-GCM-SHA384"


class CsmsSettingsError(EdgedError):
    """The CSMS cannot be reached with these settings; the text says which one is wrong."""


class ClientFileError(EdgedError):
    """The station's own certificate or its key cannot be used."""


def no_files(certificate: ClientCertificate) -> Files:
    """Where no keys are kept."""
    raise FileNotFoundError(2, "no keys are kept here")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """`url`: the CSMS's base address, the identity is appended. `password`: the AuthorizationKey's bytes.

    `subprotocols`: in order of preference (16-J-04). `ca_file` and `roots` (PEM texts) say who may sign the CSMS's
    certificate; without both it is the system's authorities, with `system_roots` these as well. `earliest`: the time
    is not known, the CSMS is to tell it, and it is not before this moment. Profile 3 shows `client_files`, or `client`,
    whose key is kept by edged itself. `access` names the way that these settings go, for those who order another one.
    `max_outgoing_*`: what may wait for a slow line. `send_timeout_s`: how long a single frame may be stuck before the
    line counts as dead. Raises `CsmsSettingsError`.
    """

    url: str
    identity: str
    subprotocols: tuple[str, ...]
    security_profile: int = 0
    password: bytes | None = field(default=None, repr=False)
    ca_file: Path | None = None
    roots: tuple[str, ...] = ()
    system_roots: bool = False
    earliest: datetime | None = None
    client_files: Files | None = None
    client: ClientCertificate | None = field(default=None, repr=False)
    access: int = 0
    max_frame_bytes: int = 512 * 1024
    max_outgoing_frames: int = 256
    max_outgoing_bytes: int = 4 * 1024 * 1024
    open_timeout_s: float = 30.0
    pong_timeout_s: float = 20.0
    send_timeout_s: float = 60.0
    close_timeout_s: float = 3.0

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise CsmsSettingsError(problem)

    @property
    def address(self) -> str:
        """Base, "/" and the identity with every reserved character encoded (16-J-01)."""
        return f"{self.url.rstrip('/')}/{quote(self.identity, safe='')}"

    @property
    def secure(self) -> bool:
        """Whether TLS is used."""
        return urlsplit(self.url).scheme == "wss"

    def same_way(self, other: ConnectionSettings) -> bool:
        """Whether a line that was opened with the one may stay with the other: who is trusted counts for the next."""
        return replace(self, **_FOR_THE_NEXT) == replace(other, **_FOR_THE_NEXT)

    def headers(self) -> dict[str, str]:
        """What authenticates us: Basic, the identity before its encoding and the password's bytes (16-J-05)."""
        if self.security_profile not in (1, 2) or self.password is None:
            return {}
        credentials = base64.b64encode(self.identity.encode() + b":" + self.password)
        return {"Authorization": f"Basic {credentials.decode()}"}

    def tls(self, files: ClientFiles = no_files) -> ssl.SSLContext | None:
        """A fresh context, None without TLS. `files`: where the key of `client` is.

        `OSError` (also `ssl.SSLError`): the CA file or a root cannot be used. `ClientFileError`.
        """
        if not self.secure:
            return None
        context = ssl.create_default_context(cafile=self.ca_file, cadata="\n".join(self.roots) or None)
        if self.system_roots:
            context.load_default_certs()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13's default: no upgrade of Debian may cut a line
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a root that another one signed is trusted for itself
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_TLS12_CIPHERS)
        if self.security_profile == 3:
            self._show_ourselves(context, files)
        return context

    def _show_ourselves(self, context: ssl.SSLContext, files: ClientFiles) -> None:
        try:
            own = self.client_files if self.client is None else files(self.client)
            if own is None:
                raise FileNotFoundError(2, "there is none")
            context.load_cert_chain(*own, password=lambda: "")  # a key with a password must not ask at a terminal
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ClientFileError(f"the client certificate cannot be used: {reason}") from error


_FOR_THE_NEXT: dict[str, Any] = {"roots": (), "ca_file": None, "system_roots": False, "earliest": None}


def _problem(settings: ConnectionSettings) -> str | None:
    return _address_problem(settings) or _profile_problem(settings)


def _address_problem(settings: ConnectionSettings) -> str | None:
    try:
        parts = urlsplit(settings.url)
        host, _port = parts.hostname, parts.port
        (host or "").encode("idna")
    except (ValueError, UnicodeError):
        return "the CSMS's url is not an address"
    if parts.scheme not in ("ws", "wss") or not host:
        return "the CSMS's url must start with ws:// or wss:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "the CSMS's url must not carry credentials: give the password by itself"
    if parts.query or parts.fragment or not settings.url.isascii() or not settings.url.isprintable():
        return "the CSMS's url must be plain ASCII without query and fragment: the identity is appended to it"
    identity = settings.identity
    if not 1 <= len(identity) <= MAX_IDENTITY_LENGTH or not identity.isprintable() or identity in (".", ".."):
        return f"the identity needs 1 to {MAX_IDENTITY_LENGTH} printable characters"
    if not settings.subprotocols:
        return "no OCPP version to offer"
    return None


def _profile_problem(settings: ConnectionSettings) -> str | None:
    profile = settings.security_profile
    if profile not in (0, 1, 2, 3):
        return f"security profile {profile} is not supported (0 to 3 are)"
    if profile >= 2 and not settings.secure:
        return f"security profile {profile} needs a wss:// url"
    if profile in (1, 2) and not settings.password:
        return f"security profile {profile} needs a password"
    if profile in (1, 2) and ":" in settings.identity:
        return "an identity with a colon cannot be used with Basic authentication"  # 16-J-06
    return None
