"""Certificates and the way the station shows who it is, as data. 1.6 security whitepaper, 2.x A and M.

Data only; the rules are `certificate`'s and `access`'s. A private key is never here: it is a file that only the
certificate room reads, known by `key_id`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from edged.domain.types import SecretText


class CertificateUse(StrEnum):
    CSMS_ROOT = "CSMSRootCertificate"  # 1.6: CentralSystemRootCertificate
    MANUFACTURER_ROOT = "ManufacturerRootCertificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHash:
    """How the CSMS names a certificate. Lower-case hexadecimal; `serial_number` without leading zeros."""

    algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledCertificate:
    """A root in the store (*kept*). `fingerprint`: SHA-256 of the DER form, in hexadecimal; `hashes`: one name for each
    hash algorithm; `fallback`: the former CSMS root, kept until a connection with the new one has worked."""

    use: CertificateUse
    pem: str
    fingerprint: str
    subject: str
    hashes: tuple[CertificateHash, ...]
    not_before: datetime
    not_after: datetime
    fallback: bool = False

    @property
    def key(self) -> str:
        """Its place in the store: one certificate may be installed for each use."""
        return f"{self.use}/{self.fingerprint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A key pair that was made here (*kept*), and the chain (PEM, leaf first) that the CSMS sent for it; "" while its
    signing request waits.

    `hashes`: its names, the issuer's key left open. `offered`: it has had its turn as the one to show. `superseded_at`:
    since when a newer one is there. `renewal_at`: when its renewal was last begun.
    """

    key_id: str
    requested_at: datetime
    chain: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    subject: str = ""
    serial_number: str = ""
    hashes: tuple[CertificateHash, ...] = ()
    offered: bool = False
    superseded_at: datetime | None = None
    renewal_at: datetime | None = None

    @property
    def shown(self) -> ClientCertificate:
        """What of it concerns a line: equal as long as the same key and chain are shown."""
        return replace(self, offered=False, superseded_at=None, renewal_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkProfile:
    """What the CSMS has written into one of its slots (*kept*): where to go, with which security profile. 2.x B09.

    `message_timeout_s`: how long an answer may take there. `interface` and `version` are kept as they were told: which
    wire is used is the computer's matter, which version the CSMS's that answers there.
    """

    slot: int
    url: str
    security_profile: int
    message_timeout_s: int
    interface: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to reach the CSMS: a security profile with its password and its client key. None: the site's own.

    `slot`, `url` and `message_timeout_s` are those of a `NetworkProfile`; None: of the site's own address.
    """

    security_profile: int | None = None
    password: SecretText | None = None
    key_id: str | None = None
    slot: int | None = None
    url: str | None = None
    message_timeout_s: int | None = None

    @property
    def place(self) -> tuple[int | None, str | None]:
        """Where it leads: equal as long as only what shows who we are differs."""
        return self.slot, self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the station goes to its CSMS (*kept* but for `failures`, `attempts` and `until_s`).

    `way` is in use. `former`: the next to change to while `way` has not worked yet, `further` those behind it; nothing
    once it has. `number` counts the changes, so that a connection can say with which of them it was made. `swaps`: how
    often the turn has changed since the last order; `ordered` undoes it.
    `site_digest`: of the installer's own credentials when the CSMS changed them; new ones in the site's file win.
    `failures`: how often `way` was refused; `until_s`: how long it is tried; `attempts`: how often it led nowhere since
    it last worked. `home`: the site's own way as it last worked, while another slot's is in use.
    """

    way: Way = field(default_factory=Way)
    former: Way | None = None
    further: tuple[Way, ...] = ()
    number: int = 0
    site_digest: str = ""
    swaps: int = 0
    failures: int = 0
    until_s: float | None = None
    attempts: int = 0
    home: Way = field(default_factory=Way)

    @property
    def ways(self) -> tuple[Way, ...]:
        """All that may still be gone, the one in use first."""
        return (self.way,) if self.former is None else (self.way, self.former, *self.further)

    @property
    def turn(self) -> int:
        """Whose turn it is: 0 is the newest order's."""
        return self.swaps % len(self.ways)

    @property
    def ordered(self) -> tuple[Way, ...]:
        """The same from the newest order to what worked before all of them."""
        ways, first = self.ways, len(self.ways) - self.turn
        return ways[first:] + ways[:first]


class LinkFailure(StrEnum):
    """Why a line to the CSMS did not come about, as far as it is a matter of security."""

    OTHER = "Other"
    UNREACHABLE = "Unreachable"  # nobody answers: it says nothing of the way that was tried
    AUTHENTICATION = "Authentication"  # the CSMS refuses our password or certificate
    CERTIFICATE = "Certificate"  # theirs is not valid
    OTHER_HOST = "OtherHost"  # theirs is valid, and another host's
    TLS_VERSION = "TlsVersion"
    TLS_CIPHER = "TlsCipher"
