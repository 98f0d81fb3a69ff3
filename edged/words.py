"""From the settings' words to those of the rooms that they are for. Conversions only, nothing is decided."""

from __future__ import annotations

from edged.chargers.line import BusSpec, LineKind
from edged.csms.endpoint import ConnectionSettings
from edged.settings import Line, SerialLine, StationSettings, TcpLine


def bus_spec(line: Line) -> BusSpec:
    """A line of the settings as the field bus knows it."""
    if isinstance(line, SerialLine):
        return BusSpec(
            kind=LineKind.SERIAL,
            port=line.port,
            baudrate=line.baudrate,
            parity=line.parity.value,
            stopbits=line.stopbits,
        )
    kind = LineKind.TCP if isinstance(line, TcpLine) else LineKind.RTU_OVER_TCP
    return BusSpec(kind=kind, host=line.host, tcp_port=line.port)


def connection_settings(settings: StationSettings, subprotocols: tuple[str, ...]) -> ConnectionSettings:
    """How to reach a station's CSMS. Raises `CsmsSettingsError`."""
    password = settings.csms.password
    return ConnectionSettings(
        url=settings.csms.url,
        identity=settings.id,
        subprotocols=subprotocols,
        security_profile=settings.csms.security_profile,
        password=None if password is None else password.reveal().encode(),
        ca_file=settings.csms.ca_file,
    )
