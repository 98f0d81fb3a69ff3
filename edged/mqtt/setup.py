"""From the installer's settings to this room's options. The only module here that knows the settings."""

from __future__ import annotations

from edged.mqtt.names import Names
from edged.mqtt.options import (
    BrokerOptions,
    CommandOptions,
    IdTokenPolicy,
    MirrorOptions,
    PointForm,
    Protocol,
    TlsOptions,
)
from edged.settings.model import MqttSettings


def options_from(settings: MqttSettings, *, gateway_id: str) -> MirrorOptions:
    """The options of the mirror; the client id is `edged-` and the gateway's id (docs/mqtt)."""
    tls = None
    if settings.tls:
        pair = settings.client_certificate
        tls = TlsOptions(
            ca_file=None if settings.ca_file is None else str(settings.ca_file),
            certificate_file=None if pair is None else str(pair.cert),
            key_file=None if pair is None else str(pair.key),
        )
    return MirrorOptions(
        broker=BrokerOptions(
            host=settings.host,
            port=settings.port,
            client_id=f"edged-{gateway_id}",
            protocol=Protocol(settings.protocol.value),
            username=settings.username,
            password=None if settings.password is None else settings.password.reveal(),
            tls=tls,
        ),
        names=Names(settings.root, gateway_id),
        id_tokens=IdTokenPolicy(settings.id_tokens.value),
        points=PointForm(settings.points.value),
        raw_ocpp=settings.raw_ocpp,
        commands=CommandOptions(actors=settings.commands),
        home_assistant=settings.home_assistant,
    )
