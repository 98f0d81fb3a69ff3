"""Goes to each station's CSMS as edged would, as far as that disturbs nobody.

How far: a second WebSocket of the same identity may throw the first one out. So the handshake is tried only where no
edged runs, or where the one that runs says, asked just before, that it has no line to this CSMS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from socket import socket
from typing import Any
from urllib.parse import urlsplit

from edged.cli.doctor.configuration import Site, credential_of
from edged.cli.doctor.csms import CsmsVisit, StationFacts
from edged.cli.doctor.daemon import Daemon, mapping
from edged.cli.doctor.names import Resolver
from edged.cli.doctor.peer import end_of, reach, secure
from edged.cli.doctor.store import Kept
from edged.cli.doctor.trust import TlsLook
from edged.cli.doctor.upgrade import ask
from edged.csms.endpoint import ClientFileError, ConnectionSettings, CsmsSettingsError
from edged.csms.failure import FailureKind
from edged.settings import StationSettings
from edged.words import csms_url, password_bytes

Connected = Callable[[str], bool | None]
"""Asks the daemon again whether a station has its line; None: nobody knows."""


def look_at_station(
    station: StationSettings,
    site: Site,
    daemon: Daemon,
    resolver: Resolver,
    *,
    kept: Kept,
    connected: Connected,
    offline: bool,
) -> StationFacts:
    """One station's way. Blocking."""
    told = mapping(daemon.station(station.id).get("csms"))
    facts = _facts(station, site, daemon, told)
    try:
        settings, kept_way = _settings(station, told, kept)
    except CsmsSettingsError as error:
        return replace(facts, problem=str(error))
    url = settings.url
    facts = replace(facts, url=url, security_profile=settings.security_profile, kept_way=kept_way)
    if offline:
        return facts
    not_asked = _not_asked(station.id, site, daemon, settings)
    return replace(
        facts, visit=_visit(settings, kept, resolver, not_asked, connected if not not_asked else lambda _: True)
    )


def _facts(station: StationSettings, site: Site, daemon: Daemon, told: Any) -> StationFacts:
    csms = station.csms
    queued = daemon.station(station.id).get("queued")
    pair = None if site.stand_ins else csms.client_certificate
    return StationFacts(
        id=station.id,
        url=csms.url,
        security_profile=csms.security_profile,
        versions=csms.versions,
        page=site.page,
        now=datetime.now(UTC),
        runs=daemon.runs,
        told=told,
        queued=queued if isinstance(queued, int) else 0,
        ca_file=None if csms.ca_file is None else str(csms.ca_file),
        credential=credential_of(site.page, station.id),
        own_certificate_ends=None if pair is None else end_of(pair.cert),
    )


def _settings(station: StationSettings, told: Any, kept: Kept) -> tuple[ConnectionSettings, bool]:
    """As the daemon would connect: by what it says itself, else by what its store holds, else by the file."""
    own = own_settings(station)
    by_store = kept.ways.get(station.id)
    if by_store is not None:
        return by_store, by_store.url != own.url or by_store.password != own.password
    profile, url = told.get("security_profile"), told.get("url")
    if isinstance(profile, int) and isinstance(url, str) and (url, profile) != (own.url, own.security_profile):
        try:
            return replace(own, url=url, security_profile=profile), True
        except CsmsSettingsError:
            return own, False  # what it uses is not told: another password, another certificate
    return own, False


def own_settings(station: StationSettings) -> ConnectionSettings:
    """The way that the file describes. Raises `CsmsSettingsError`."""
    csms = station.csms
    pair = csms.client_certificate
    return ConnectionSettings(
        url=csms_url(csms, csms.security_profile),
        identity=station.id,
        subprotocols=csms.versions,
        security_profile=csms.security_profile,
        password=None if csms.password is None else password_bytes(csms.password.reveal(), csms.password_encoding),
        ca_file=csms.ca_file,
        system_roots=csms.ca_file is None and csms.security_profile >= 2,
        client_files=None if pair is None else (pair.cert, pair.key),
    )


def _not_asked(identity: str, site: Site, daemon: Daemon, settings: ConnectionSettings) -> str:
    """Why no handshake may be tried."""
    if daemon.may_run and not daemon.runs:
        return "edged may be connected with this identity, and does not tell this user"
    if daemon.runs and mapping(daemon.station(identity).get("csms")).get("connected") is not False:
        return "edged is connected with this identity"
    if site.stand_ins and settings.security_profile > 0:
        return "this user may not read the password"
    return ""


def _visit(
    settings: ConnectionSettings, kept: Kept, resolver: Resolver, not_asked: str, connected: Connected
) -> CsmsVisit:
    parts = urlsplit(settings.url)
    host, port = parts.hostname or "", parts.port or (443 if settings.secure else 80)
    resolved = resolver.resolve(host)
    visit = CsmsVisit(host=host, port=port, not_asked=not_asked)
    if resolved.trouble is not None:
        return replace(visit, trouble=resolved.trouble, reason=resolved.reason)
    reached = reach(resolved.addresses, port)
    visit = replace(
        visit, address=reached.address, trouble=reached.trouble, reason=reached.reason, took_s=reached.took_s
    )
    if reached.connection is None:
        return visit
    line: socket = reached.connection
    if settings.secure:
        look, secured = _secure(line, host, settings, kept, lambda: reach((reached.address,), port).connection)
        visit = replace(visit, tls=look)
        if secured is None:
            return visit
        line = secured
    if not_asked or connected(settings.identity):
        line.close()
        return replace(visit, not_asked=not_asked or "edged is connected with this identity by now")
    return replace(visit, http=ask(line, settings), answered_at=datetime.now(UTC))


def _secure(
    line: socket, host: str, settings: ConnectionSettings, kept: Kept, again: Callable[[], socket | None]
) -> tuple[TlsLook, socket | None]:
    try:
        context = settings.tls(kept.files)
    except ClientFileError as error:
        line.close()
        return TlsLook(kind=FailureKind.CLIENT_FILE, reason=str(error)), None
    except OSError as error:
        line.close()
        reason = f"the CA file {settings.ca_file or ''} cannot be used: {error.strerror or error.args[-1]}"
        return TlsLook(kind=FailureKind.CA_FILE, reason=reason), None
    assert context is not None
    secured = secure(line, host, context, again=again)
    return secured.look, secured.line
