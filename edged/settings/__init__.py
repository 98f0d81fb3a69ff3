"""The configuration: /etc/edged/edged.yaml to typed, frozen `Settings`; every error with file, line and a sentence.

Owns the whole of the file's language. Refuses to know profiles, OCPP versions and commands: what there is of them are
arguments of `load`. Invariant: settings that exist hold together, and nothing half-read ever leaves this room.
"""

from edged.settings.errors import SettingsError, SettingsErrors, SettingsWarning
from edged.settings.files import FileSettings, FirmwareSettings
from edged.settings.loader import load, load_firmware, parse
from edged.settings.model import (
    DEFAULT_PATH,
    KNOWN_VERSIONS,
    ChargerSettings,
    ClientCertificate,
    ConnectorSettings,
    CsmsSettings,
    EvseSettings,
    GatewaySettings,
    IdTokenPolicy,
    Line,
    LogLevel,
    LogSettings,
    MqttProtocol,
    MqttSettings,
    Parity,
    PointMirror,
    ProfileFacts,
    ResetLine,
    ResetRelay,
    RtuOverTcpLine,
    SerialLine,
    Settings,
    SpoolSettings,
    StationSettings,
    TcpLine,
    TimeSource,
)
from edged.settings.secret import Secret
from edged.settings.wiring import ProfileLookup

__all__ = [
    "DEFAULT_PATH",
    "KNOWN_VERSIONS",
    "ChargerSettings",
    "ClientCertificate",
    "ConnectorSettings",
    "CsmsSettings",
    "EvseSettings",
    "FileSettings",
    "FirmwareSettings",
    "GatewaySettings",
    "IdTokenPolicy",
    "Line",
    "LogLevel",
    "LogSettings",
    "MqttProtocol",
    "MqttSettings",
    "Parity",
    "PointMirror",
    "ProfileFacts",
    "ProfileLookup",
    "ResetLine",
    "ResetRelay",
    "RtuOverTcpLine",
    "Secret",
    "SerialLine",
    "Settings",
    "SettingsError",
    "SettingsErrors",
    "SettingsWarning",
    "SpoolSettings",
    "StationSettings",
    "TcpLine",
    "TimeSource",
    "load",
    "load_firmware",
    "parse",
]
