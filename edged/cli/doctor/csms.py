"""The way to each station's CSMS: the line that there is, or what was found on the way there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from shlex import quote
from typing import Any, Final

from edged.cli.doctor.clock import Comparison
from edged.cli.doctor.finding import Finding, Findings
from edged.cli.doctor.network import SEE_NETWORK, Trouble, place
from edged.cli.doctor.places import Page
from edged.cli.doctor.trust import SOON_DAYS, Peer, TlsLook, judge_tls
from edged.csms.failure import FailureKind

TOOK_LONG_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What a WebSocket handshake was answered with. `status` None: with nothing that is HTTP, `problem` says what."""

    status: int | None = None
    subprotocol: str | None = None
    location: str = ""
    date: str = ""
    sound: bool = True
    problem: str = ""
    kind: FailureKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CsmsVisit:
    """How far we came. `trouble`: already the connection failed. `not_asked`: why the WebSocket was not tried."""

    host: str
    port: int
    address: str = ""
    trouble: Trouble | None = None
    reason: str = ""
    took_s: float = 0.0
    tls: TlsLook | None = None
    http: HttpAnswer | None = None
    answered_at: datetime | None = None
    not_asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationFacts:
    """`told`: the daemon's word on the line (`csms` of its status), empty without one; `runs`: whether there is one.
    `credential`: the name under which the password is kept, empty where it stands in the file. `own_certificate_ends`:
    of the client certificate that the file names. `kept_way`: the CSMS has set another way than the file's, and that
    was taken (from the store)."""

    id: str
    url: str
    security_profile: int
    versions: tuple[str, ...]
    page: Page
    now: datetime
    runs: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)
    queued: int = 0
    visit: CsmsVisit | None = None
    ca_file: str | None = None
    credential: str = ""
    own_certificate_ends: datetime | None = None
    clock_known: bool = True
    kept_way: bool = False
    problem: str = ""

    @property
    def connected(self) -> bool:
        return self.told.get("connected") is True


def judge(stations: tuple[StationFacts, ...]) -> tuple[Finding, ...]:
    found = Findings("csms")
    for station in stations:
        _station(found, station)
    return found.made


def comparisons(stations: tuple[StationFacts, ...]) -> tuple[Comparison, ...]:
    """The time that each CSMS put into its answer."""
    found: dict[str, Comparison] = {}
    for station in stations:
        visit = station.visit
        if visit is None or visit.http is None or visit.answered_at is None or not visit.http.date:
            continue
        try:
            theirs = parsedate_to_datetime(visit.http.date)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if theirs.tzinfo is None:
            theirs = theirs.replace(tzinfo=UTC)
        ahead_s = (visit.answered_at - theirs).total_seconds()
        found.setdefault(visit.host, Comparison(whose=visit.host, ahead_s=ahead_s))
    return tuple(found.values())


def _station(found: Findings, facts: StationFacts) -> None:
    before = len(found.made)
    if facts.problem:
        found.failed(facts.id, facts.problem, facts.page.change("write what is missing under csms", facts.url))
    if facts.visit is not None:
        _visit(found, facts, facts.visit)
    failed = any(each.level == "failed" for each in found.made[before:])
    if facts.runs:
        _line(found, facts, told=failed)
    _own_certificate(found, facts)


def _line(found: Findings, facts: StationFacts, *, told: bool) -> None:
    """What the daemon says; not again where it was found out already."""
    registration = str(facts.told.get("registration") or "")
    if facts.connected:
        version = str(facts.told.get("version") or "some version")[:20]
        sentence = f"edged is connected ({version}, security profile {facts.security_profile})"
        if registration.lower() in ("rejected", "pending"):
            found.warning(
                facts.id,
                f"{sentence}, and the CSMS has not taken the station in ({registration.lower()}): its operator has to",
                f"sudo edged status | grep -A 3 {quote(facts.id)}",
            )
        else:
            found.ok(facts.id, sentence)
    elif not told:
        reason = str(facts.told.get("reason") or "it is not told why")[:300]
        found.failed(facts.id, f"edged has no line to the CSMS: {reason}", "sudo journalctl -u edged -n 50 --no-pager")
    if facts.queued and not facts.connected:
        waiting = "1 message waits" if facts.queued == 1 else f"{facts.queued} messages wait"
        found.note(facts.id, f"{waiting} on the disk for the CSMS", "sudo edged status")


def _visit(found: Findings, facts: StationFacts, visit: CsmsVisit) -> None:
    where = place(visit.host, visit.port)
    if visit.trouble is not None:
        _away(found, facts, visit, where)
        return
    if visit.took_s >= TOOK_LONG_S:
        found.note(facts.id, f"it took {visit.took_s:.1f} s to connect to {where}", f"ping -c 5 {quote(visit.host)}")
    if visit.tls is not None:
        peer = Peer(
            subject=facts.id,
            who="the CSMS",
            host=visit.host,
            port=visit.port,
            page=facts.page,
            key=facts.url,
            section="csms",
            now=facts.now,
            ca_file=facts.ca_file,
            clock_known=facts.clock_known,
            trusted_elsewhere=facts.connected,
        )
        if not judge_tls(found, visit.tls, peer):
            return
    elif visit.http is None:
        found.ok(facts.id, f"{where} takes a connection")
    if visit.http is not None:
        _http(found, facts, visit.http, where)
    elif visit.not_asked and not facts.connected:
        found.note(
            facts.id, f"whether the CSMS lets the station in was not tried: {visit.not_asked}", "sudo edged doctor"
        )


def _away(found: Findings, facts: StationFacts, visit: CsmsVisit, where: str) -> None:
    host = quote(visit.host)
    match visit.trouble:
        case Trouble.NAME | Trouble.NO_DNS:
            found.failed(facts.id, f"the name {visit.host} leads nowhere ({visit.reason})", SEE_NETWORK)
        case Trouble.REFUSED:
            found.failed(
                facts.id,
                f"{where} refuses connections: nothing listens there, or a firewall says no",
                facts.page.change("write the right port", facts.url),
            )
        case Trouble.NO_ROUTE:
            found.failed(
                facts.id, f"there is no way to {where} ({visit.reason})", f"ip route get {visit.address or host}"
            )
        case Trouble.SILENT:
            found.failed(
                facts.id,
                f"{where} does not answer: a firewall on the way, or the wrong address",
                f"nc -vz -w 5 {host} {visit.port}; ping -c 3 {host}",
            )
        case _:
            found.failed(facts.id, f"{where} cannot be reached ({visit.reason})", f"nc -vz -w 5 {host} {visit.port}")


def _password(facts: StationFacts) -> str:
    """How to change it. What the file says counts again then, whatever the CSMS has set since."""
    if not facts.credential:
        return facts.page.change("write the password that the CSMS has for this station", "password:", facts.id)
    path = f"{facts.page.path.absolute().parent}/credentials/{facts.credential}"
    return f"sudo sh -c 'umask 077; cat > {quote(path)}' && sudo systemctl restart edged"


def _http(found: Findings, facts: StationFacts, http: HttpAnswer, where: str) -> None:
    status = http.status
    url = facts.page.change
    if http.kind is FailureKind.CLIENT_CERTIFICATE:
        found.failed(
            facts.id,
            "the CSMS refuses the station's client certificate, or wants one and is shown none",
            url("write client_certificate: with cert and key, and security_profile: 3", facts.url),
        )
    elif http.kind is FailureKind.NETWORK and facts.security_profile == 2:
        found.failed(
            facts.id,
            f"{where} hangs up behind the TLS handshake, without a word: it is no CSMS, or wants a certificate of the "
            "station (security profile 3)",
            url("write the address that its operator names, or client_certificate: and security_profile: 3", facts.url),
        )
    elif status is None:
        found.failed(
            facts.id,
            f"what answers at {where} is no CSMS: {http.problem}",
            url("write the address of the CSMS: ws:// is without TLS, wss:// with it", facts.url),
        )
    elif status == 101:
        _accepted(found, facts, http)
    elif status in (401, 403):
        _unwelcome(found, facts, status)
    elif status == 404:
        found.failed(
            facts.id,
            f"the CSMS does not know {facts.id} at this address (HTTP 404): the identity or the path is wrong",
            url(f"write the path that its operator names; {facts.id} is appended to it", facts.url),
        )
    elif 300 <= status < 400:
        found.failed(
            facts.id,
            f"the CSMS points elsewhere (HTTP {status}), and edged follows nobody",
            url(f"write {_shown(http.location) or 'the address that its operator names'}", facts.url),
        )
    elif status == 400:
        found.failed(
            facts.id,
            "the CSMS refuses the connection (HTTP 400): it may speak none of the versions "
            f"({', '.join(facts.versions)}), or want TLS",
            url(
                "write the version that it speaks under versions:, or wss:// in place of ws://", "versions:", facts.url
            ),
        )
    elif status == 426:
        found.failed(
            facts.id,
            "the CSMS wants another protocol (HTTP 426): mostly a proxy before it that lets no WebSocket through",
            url("write the address that its operator names for WebSockets", facts.url),
        )
    elif status >= 500:
        found.failed(
            facts.id,
            f"the CSMS has an error of its own (HTTP {status}): its operator has to look; edged tries on by itself",
            "sudo journalctl -u edged -n 50 --no-pager",
        )
    else:
        found.failed(
            facts.id,
            f"the CSMS refuses the connection (HTTP {status})",
            url("write the address that its operator names", facts.url),
        )


def _unwelcome(found: Findings, facts: StationFacts, status: int) -> None:
    by_password = facts.security_profile in (1, 2)
    said = "; the CSMS may have set another password than the file's since" if facts.runs else ""
    said += "; type the right password, Return and Ctrl-D" if by_password and facts.credential else ""
    found.failed(
        facts.id,
        f"the CSMS refuses the identity {facts.id} or its password (HTTP {status}){said}",
        _password(facts) if by_password else facts.page.change("write the right id", facts.id),
    )


def _accepted(found: Findings, facts: StationFacts, http: HttpAnswer) -> None:
    if not http.sound:
        found.failed(
            facts.id,
            "what answers is no WebSocket server: it says yes with the wrong key",
            facts.page.change("write the address that its operator names", facts.url),
        )
    elif http.subprotocol is None or http.subprotocol not in facts.versions:
        chose = f"chose {_shown(http.subprotocol)}" if http.subprotocol else "chose none"
        found.failed(
            facts.id,
            f"the CSMS lets {facts.id} in and speaks none of the versions that are offered "
            f"({', '.join(facts.versions)}): it {chose}",
            facts.page.change("write a version that it speaks under versions:", "versions:", facts.url),
        )
    else:
        way = ", by the way that it has set itself" if facts.kept_way else ""
        found.ok(
            facts.id,
            f"the CSMS lets {facts.id} in ({http.subprotocol}, security profile {facts.security_profile}{way})",
        )


def _own_certificate(found: Findings, facts: StationFacts) -> None:
    ends = facts.own_certificate_ends
    if ends is None:
        return
    days = (ends - facts.now).days
    mend = facts.page.change("name a renewed certificate and its key", "client_certificate")
    if ends <= facts.now:
        found.failed(facts.id, f"the station's own certificate has expired on {ends:%Y-%m-%d}", mend)
    elif days < SOON_DAYS:
        found.warning(facts.id, f"the station's own certificate ends on {ends:%Y-%m-%d}, in {days} days", mend)


def _shown(text: str | None) -> str:
    return "".join(char if char.isprintable() else "?" for char in (text or "")[:200])
