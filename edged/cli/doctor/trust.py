"""What is wrong with another computer's TLS, in words that say who has to do what. Pure: for the CSMS and the broker.

A certificate is judged by OpenSSL alone, as edged has it judged; here its verdict is explained by what the certificate
says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import Any, Final

from edged.cli.doctor.finding import Findings
from edged.cli.doctor.network import place
from edged.cli.doctor.places import Page
from edged.csms.failure import FailureKind

SOON_DAYS: Final = 30
MAX_CHAIN: Final = 10
MAX_NAMES: Final = 8
NOT_YET_VALID, EXPIRED = 9, 10
SELF_SIGNED: Final = 18
UNKNOWN_ISSUERS: Final = frozenset({2, 19, 20, 21})
WEAK: Final = frozenset({66, 67, 68})
"""X509_V_ERR_..., as OpenSSL numbers them."""
NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says of itself. `names`: those that it is for."""

    subject: str
    issuer: str
    names: tuple[str, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None

    @property
    def is_self_signed(self) -> bool:
        return self.subject == self.issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsLook:
    """`kind` None: the handshake was good. `verdict`: OpenSSL's number for why a certificate is refused; `reason`: its
    words or name. `chain`: what the other side showed, its own certificate first; empty where unreadable."""

    version: str = ""
    cipher: str = ""
    chain: tuple[Certificate, ...] = ()
    kind: FailureKind | None = None
    verdict: int = 0
    reason: str = ""
    unread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom we talk to. `who`: "the CSMS". `key`: what stands in the line of its address; `section`: where `ca_file`
    is written. `clock_known`: whether `now` can be relied on. `trusted_elsewhere`: the daemon has a line to it, so what
    is refused here is trusted there."""

    subject: str
    who: str
    host: str
    port: int
    page: Page
    key: str
    section: str
    now: datetime
    ca_file: str | None = None
    clock_known: bool = True
    trusted_elsewhere: bool = False

    @property
    def show(self) -> str:
        """A command that shows the certificates."""
        return (
            f"openssl s_client -connect {quote(place(self.host, self.port))} -servername {quote(self.host)} -showcerts "
            "</dev/null"
        )


def certificate_of(told: Mapping[str, Any]) -> Certificate:
    """From the dictionary by which Python's ssl tells a certificate; members of another shape are left out."""
    names = [str(name) for _, name in _pairs(told.get("subjectAltName"))]
    return Certificate(
        subject=_name(told.get("subject")),
        issuer=_name(told.get("issuer")),
        names=tuple(names[:64]),
        begins=_time(told.get("notBefore")),
        ends=_time(told.get("notAfter")),
    )


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    found = value if isinstance(value, tuple | list) else ()
    return [(each[0], each[1]) for each in found if isinstance(each, tuple | list) and len(each) == 2]


def _name(value: Any) -> str:
    """CN of a name, with its organization where that is another word."""
    parts: dict[str, str] = {}
    for rdn in value if isinstance(value, tuple | list) else ():
        for key, text in _pairs(rdn):
            parts.setdefault(str(key), _shown(str(text)))
    common, organization = parts.get("commonName", ""), parts.get("organizationName", "")
    if common and organization and organization not in common:
        return f"{common} ({organization})"
    return common or organization or "nobody"


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:100])


def _time(value: Any) -> datetime | None:
    try:
        return datetime.strptime(str(value), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


def judge_tls(found: Findings, look: TlsLook, peer: Peer) -> bool:
    """Tell it; whether it can be relied on."""
    if look.kind is None:
        _good(found, look, peer)
        return True
    if peer.trusted_elsewhere and look.kind in (FailureKind.CERTIFICATE, FailureKind.OTHER_HOST):
        found.note(
            peer.subject,
            f"{_refusal(look, peer)[0]}; the running edged trusts it all the same, by a root that the CSMS installed",
            peer.show,
        )
        return True
    sentence, command = _refusal(look, peer)
    found.failed(peer.subject, sentence, command)
    return False


def _good(found: Findings, look: TlsLook, peer: Peer) -> None:
    ending = min((each for each in look.chain if each.ends), key=lambda each: each.ends or peer.now, default=None)
    if ending is None or ending.ends is None:
        unread = f" ({look.unread})" if look.unread else ""
        found.ok(peer.subject, f"{look.version} with {peer.who}, its certificate is good{unread}")
        return
    days = (ending.ends - peer.now).days
    if days < SOON_DAYS:
        found.note(
            peer.subject,
            f"{peer.who}'s certificate of {ending.subject} ends on {ending.ends:%Y-%m-%d}, in {max(days, 0)} days: its "
            "operator renews it, or nobody gets in any more",
            peer.show,
        )
        return
    first = look.chain[0]
    found.ok(
        peer.subject,
        f"{look.version} with {peer.who}: certificate of {first.subject} from {first.issuer}, until "
        f"{ending.ends:%Y-%m-%d} ({days} days)",
    )


def _refusal(look: TlsLook, peer: Peer) -> tuple[str, str]:
    """Why, and what mends it."""
    match look.kind:
        case FailureKind.CERTIFICATE:
            return _certificate(look, peer)
        case FailureKind.OTHER_HOST:
            names = ", ".join(look.chain[0].names[:MAX_NAMES]) if look.chain else ""
            has = f"it is for {names}" if names else "what it is for could not be read"
            return (
                f"{peer.who}'s certificate is not for {peer.host}: {has}",
                peer.page.change(f"write a name that it is for in place of {peer.host}", peer.key),
            )
        case FailureKind.TLS_VERSION:
            return f"{peer.who} offers no TLS from 1.2 on: its operator has to allow it", f"{peer.show} -tls1_2"
        case FailureKind.TLS_CIPHER:
            return f"{peer.who} offers no cipher suite that edged takes: its operator has to allow one", peer.show
        case FailureKind.CLIENT_CERTIFICATE:
            return (
                f"{peer.who} refuses our client certificate, or wants one and is shown none",
                peer.page.change(f"write client_certificate: with cert and key under {peer.section}", peer.key),
            )
        case FailureKind.CA_FILE:
            return look.reason, peer.page.change("write the path of a file with PEM certificates", "ca_file")
        case FailureKind.CLIENT_FILE:
            return look.reason, peer.page.change("write two PEM files that belong together", "client_certificate")
        case FailureKind.TIMEOUT:
            return f"{peer.who} takes the connection and does not answer to TLS in time", peer.show
        case FailureKind.NETWORK:
            return f"{peer.who} takes the connection and hangs up during the TLS handshake ({look.reason})", peer.show
        case _ if look.reason in NO_TLS:
            return (
                f"what answers at {place(peer.host, peer.port)} does not speak TLS: is the port right?",
                peer.page.change("write the port of TLS, or the address without the s", peer.key),
            )
        case _:
            return f"TLS with {peer.who} failed ({look.reason})", peer.show


def _certificate(look: TlsLook, peer: Peer) -> tuple[str, str]:
    first = look.chain[0] if look.chain else None
    if look.verdict in (EXPIRED, NOT_YET_VALID):
        return _dates(look, peer)
    ca = f"/etc/edged/{peer.section}-ca.pem"
    write = peer.page.change(
        f"write ca_file: {ca} under {peer.section} (its operator gives the authority's certificate, PEM)",
        peer.ca_file or "",
        peer.key,
    )
    if look.verdict == SELF_SIGNED:
        who = first.subject if first else "unknown"
        return f"{peer.who}'s certificate ({who}) is signed by itself, and no authority vouches for it", write
    if look.verdict in UNKNOWN_ISSUERS:
        last = look.chain[-1] if look.chain else None
        issuer = last.issuer if last else "an authority that it does not name"
        by = f"none in {peer.ca_file}" if peer.ca_file else "none of this computer's"
        alone = (
            " It shows its own certificate alone: perhaps one in between is missing there." if _is_alone(look) else ""
        )
        return f"{peer.who}'s certificate comes from {issuer}, which is {by}.{alone}".rstrip("."), write
    if look.verdict in WEAK:
        return f"{peer.who}'s certificate is too weak ({look.reason}): its operator has to renew it", peer.show
    return f"{peer.who}'s certificate is refused: {look.reason}", peer.show


def _is_alone(look: TlsLook) -> bool:
    return len(look.chain) == 1 and not look.chain[0].is_self_signed


def _dates(look: TlsLook, peer: Peer) -> tuple[str, str]:
    now = f"{peer.now:%Y-%m-%d %H:%M} UTC"
    clock = f"this computer's clock says {now}" + ("" if peer.clock_known else ", and nobody has confirmed that")
    mend = peer.show if peer.clock_known else "sudo timedatectl set-ntp true; timedatectl"
    if look.verdict == NOT_YET_VALID:
        later = next((each for each in look.chain if each.begins and each.begins > peer.now), None)
        since = f" from {later.begins:%Y-%m-%d} on" if later and later.begins else " later"
        return f"{peer.who}'s certificate is valid only{since}: {clock}", "sudo timedatectl set-ntp true; timedatectl"
    ended = next((each for each in look.chain if each.ends and each.ends < peer.now), None)
    if ended is None or ended.ends is None:
        return f"{peer.who}'s certificate, or that of its authority, has expired: {clock}", mend
    whose = f"{peer.who}'s certificate" if ended is look.chain[0] else f"the certificate of {ended.subject} behind it"
    renew = "its operator has to renew it; " if peer.clock_known else "its operator has to renew it, if that is so; "
    return f"{whose} has expired on {ended.ends:%Y-%m-%d}: {renew}{clock}", mend
