"""Visits the broker as another client of the same user, so that edged's own session stays what it is.

What is tried: TLS, CONNECT, a subscription to where commands come in, an empty retained message at a place where
nothing is ever kept. Nobody's topic is touched.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from edged.cli.doctor.broker import BrokerFacts, BrokerVisit
from edged.cli.doctor.configuration import Site
from edged.cli.doctor.daemon import Daemon
from edged.cli.doctor.names import Resolver
from edged.cli.doctor.peer import STEP_S, reach, secure
from edged.cli.doctor.trust import TlsLook
from edged.csms.failure import FailureKind
from edged.mqtt.dialling import BrokerRefused, MqttError, words
from edged.mqtt.names import Names
from edged.mqtt.options import BrokerOptions, TlsOptions
from edged.mqtt.setup import options_from
from edged.mqtt.visiting import NotAllowed, Visit

STATUS_S: Final = 1.0
RIGHTS_S: Final = 4.0


def look_at_broker(site: Site, daemon: Daemon, resolver: Resolver, *, offline: bool) -> BrokerFacts | None:
    """None: the configuration names no broker, or there is none."""
    settings = site.settings
    if settings is None or settings.mqtt is None:
        return None
    mqtt = settings.mqtt
    options = options_from(mqtt, gateway_id=settings.gateway.id)
    told = daemon.mqtt.get("connected")
    facts = BrokerFacts(
        host=mqtt.host,
        port=mqtt.port,
        secure=mqtt.tls,
        prefix=options.names.prefix,
        page=site.page,
        now=datetime.now(UTC),
        username=mqtt.username,
        has_certificate=mqtt.client_certificate is not None,
        daemon_runs=daemon.runs,
        daemon_connected=told if isinstance(told, bool) else None,
        ca_file=None if mqtt.ca_file is None else str(mqtt.ca_file),
    )
    if offline:
        return facts
    client_id = f"edged-{settings.gateway.id}-doctor-{os.urandom(3).hex()}"
    broker = replace(options.broker, client_id=client_id, connect_timeout_s=STEP_S, connack_timeout_s=STEP_S)
    has_secret = mqtt.password is not None or mqtt.client_certificate is not None
    hidden = "this user may not read the password" if site.stand_ins and has_secret else ""
    read = facts.daemon_connected is True
    return replace(facts, visit=_visit(broker, options.names, resolver, hidden, read=read))


def _visit(options: BrokerOptions, names: Names, resolver: Resolver, hidden: str, *, read: bool) -> BrokerVisit:
    """`read`: also what edged keeps at the broker, which is only there while it is connected."""
    resolved = resolver.resolve(options.host)
    if resolved.trouble is not None:
        return BrokerVisit(trouble=resolved.trouble, reason=resolved.reason)
    reached = reach(resolved.addresses, options.port)
    if reached.connection is None:
        return BrokerVisit(trouble=reached.trouble, reason=reached.reason)
    visit = BrokerVisit(not_asked=hidden)
    if options.tls is None:
        reached.connection.close()
    else:
        try:
            context = _context(options.tls)
        except _Unusable as error:
            reached.connection.close()
            return replace(visit, tls=TlsLook(kind=error.kind, reason=str(error)))
        again = (reached.address,)
        secured = secure(reached.connection, options.host, context, again=lambda: reach(again, options.port).connection)
        visit = replace(visit, tls=secured.look)
        if secured.line is None:
            return visit
        secured.line.close()
    return visit if hidden else asyncio.run(_ask(options, names, visit, read=read))


class _Unusable(Exception):
    """A file that TLS needs. Never leaves this module."""

    def __init__(self, kind: FailureKind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def _context(tls: TlsOptions) -> ssl.SSLContext:
    """As edged dials the broker."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        sentence = f"the authorities in {tls.ca_file} cannot be read: {words(error)}"
        raise _Unusable(FailureKind.CA_FILE, sentence) from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13's default: no upgrade of Debian may cut a line
    if tls.certificate_file is not None:
        try:
            context.load_cert_chain(tls.certificate_file, tls.key_file, password="")
        except OSError as error:
            sentence = f"the certificate {tls.certificate_file} cannot be used: {words(error)}"
            raise _Unusable(FailureKind.CLIENT_FILE, sentence) from error
    return context


async def _ask(options: BrokerOptions, names: Names, visit: BrokerVisit, *, read: bool) -> BrokerVisit:
    try:
        async with Visit(options) as there:
            visit = replace(visit, version=there.version)
            async with asyncio.timeout(RIGHTS_S):
                return await _rights(there, names, visit, read=read)
    except BrokerRefused as error:
        return replace(visit, refused=error.code, reason=_reason(str(error)))
    except MqttError as error:
        return replace(visit, lost=_reason(str(error)))
    except TimeoutError:
        return replace(visit, lost=f"no answer within {RIGHTS_S:g} s")


async def _rights(there: Visit, names: Names, visit: BrokerVisit, *, read: bool) -> BrokerVisit:
    may_not = []
    try:
        await there.listen((names.requests,))
    except NotAllowed as error:
        may_not.append((f"hear what comes in at {names.requests}", _reason(str(error))))
    empty = names.point("doctor", 0, "doctor")
    refused = await there.delete((empty,))
    if empty in refused:
        may_not.append((f"say anything at {names.prefix}", _reason(refused[empty])))
    if not read:
        return replace(visit, may_not=tuple(may_not))
    status = None
    try:
        await there.listen((names.status,))
        told = await there.next(STATUS_S)
        status = None if told is None else told.payload[:20].decode("utf-8", "replace")
    except NotAllowed as error:
        may_not.append((f"read {names.status}", _reason(str(error))))
    return replace(visit, may_not=tuple(may_not), status=status)


def _reason(text: str) -> str:
    return text.rpartition(": ")[2][:200] or text[:200]
