"""What an installer wrote, checked and typed. Every default is already applied; every reference is already resolved.

Owns the shape of the configuration. Refuses to know YAML, files and the environment. Instances made by the reader keep
what `crosscheck` demands: each charger has exactly one line and stands in at most one EVSE, each bus is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from edged.domain.configuration import ConfigKey
from edged.domain.credentials import CertificateHash
from edged.domain.effects import RestartScope
from edged.domain.station import Vendor
from edged.domain.types import IdToken
from edged.settings.errors import SettingsWarning
from edged.settings.files import FileSettings, FirmwareSettings
from edged.settings.secret import Secret

DEFAULT_PATH = Path("/etc/edged/edged.yaml")
PROFILES_FOLDER = "profiles.d"
DEFAULT_VENDOR = "edged"
DEFAULT_MODEL = "Gateway"
DEFAULT_OFF_S = 5.0
MAX_GPIO_LINES = 1024
KNOWN_VERSIONS = ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")
"""Every subprotocol that a configuration may name, newest first; which are built in is an argument of `load`."""


class TimeSource(StrEnum):
    """What may make the clock synchronized besides NTP."""

    CSMS = "csms"
    HOST = "host"


class PasswordEncoding(StrEnum):
    """What the text of a CSMS password stands for. HEX: bytes, of which the text is the hexadecimal form (16-J-05)."""

    AUTO = "auto"
    TEXT = "text"
    HEX = "hex"


class Parity(StrEnum):
    NONE = "none"
    EVEN = "even"
    ODD = "odd"


class MqttProtocol(StrEnum):
    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


class IdTokenPolicy(StrEnum):
    """How a driver's token is shown on MQTT: it is personal data."""

    MASKED = "masked"
    FULL = "full"
    HASH = "hash"
    NONE = "none"


class PointMirror(StrEnum):
    """The flat mirror, one value a topic."""

    OFF = "off"
    SCALAR = "scalar"
    OBJECT = "object"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLine:
    """A serial port, as a path, and how it talks."""

    port: str
    baudrate: int = 19200
    parity: Parity = Parity.EVEN
    stopbits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLine:
    """Modbus TCP."""

    host: str
    port: int = 502


@dataclass(frozen=True, slots=True, kw_only=True)
class RtuOverTcpLine:
    """RTU frames through a serial-to-Ethernet converter: one bus behind one address."""

    host: str
    port: int


Line = SerialLine | TcpLine | RtuOverTcpLine


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetRelay:
    """The output of another entry (a relay board) that cuts this one's power for `off_s`. `output` counts from 1."""

    charger: str
    output: int
    off_s: float = DEFAULT_OFF_S


class Level(StrEnum):
    """Of a GPIO line: with which one it cuts the power."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetLine:
    """A line of a GPIO chip of this computer that cuts a charger's power for `off_s`. `line` counts from 0."""

    gpio: str
    line: int
    active: Level = Level.HIGH
    off_s: float = DEFAULT_OFF_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerSettings:
    """One thing on a wire.

    `bus` names the shared line, None for a line of its own; `line` is the line either way. `unit_id` is None for a
    protocol without addresses. `poll_interval_s`, `max_current_ma` and `phases` None: the profile's. `phases` are those
    that are wired, each with `voltage_v` to neutral.
    """

    name: str
    profile: str
    line: Line
    bus: str | None = None
    unit_id: int | None = 1
    point: int = 1
    poll_interval_s: float | None = None
    max_current_ma: int | None = None
    phases: int | None = None
    voltage_v: float = 230.0
    reset_relay: ResetRelay | ResetLine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSettings:
    """One connector. `type` is OCPP 2.x's connector type; None: the profile's (only where no profile was at hand)."""

    type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseSettings:
    """One EVSE; its number is its place in the station's list, from 1."""

    charger: str
    connectors: tuple[ConnectorSettings, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """Two PEM files. `names`: how a CSMS would call the certificate, as it is when the settings are read."""

    cert: Path
    key: Path
    names: tuple[CertificateHash, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CsmsSettings:
    """How to reach a CSMS. `url` without the identity; `secure_url`: the one of security profiles 2 and 3, where it is
    not `url` with wss; `versions` in the order in which they are offered."""

    url: str
    versions: tuple[str, ...]
    secure_url: str | None = None
    security_profile: int = 0
    password: Secret | None = None
    password_encoding: PasswordEncoding = PasswordEncoding.AUTO
    ca_file: Path | None = None
    client_certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSettings:
    """One OCPP identity. `configuration`: first values of keys, as strings ("true", "300"). `custom_keys`: keys that
    the site has made up. `display`: somebody shows what the MQTT topic of that name says."""

    id: str
    csms: CsmsSettings
    evses: tuple[EvseSettings, ...]
    vendor: str = DEFAULT_VENDOR
    model: str = DEFAULT_MODEL
    serial_number: str | None = None
    configuration: Mapping[str, str] = field(default_factory=dict)
    custom_keys: tuple[ConfigKey, ...] = ()
    offline_tokens: tuple[IdToken, ...] = ()
    display: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    id: str
    hard_reset: RestartScope = RestartScope.SERVICE
    time_source: TimeSource = TimeSource.CSMS


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """What the event spool may hold before the oldest are dropped."""

    max_rows: int = 50_000
    max_mb: int = 32
    max_age_d: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """The broker and what it is shown. `home_assistant`: the discovery prefix, None for no discovery.

    `commands`: the commands that each actor may send; "*" stands for all.
    """

    host: str
    port: int
    tls: bool = False
    protocol: MqttProtocol = MqttProtocol.AUTO
    username: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None
    client_certificate: ClientCertificate | None = None
    root: str = "edged"
    id_tokens: IdTokenPolicy = IdTokenPolicy.MASKED
    points: PointMirror = PointMirror.OFF
    raw_ocpp: bool = False
    home_assistant: str | None = None
    commands: Mapping[str, frozenset[str]] = field(default_factory=dict)
    spool: SpoolSettings = field(default_factory=SpoolSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """`wire`: every frame at DEBUG on edged.wire, whatever the level of the rest."""

    level: LogLevel = LogLevel.INFO
    wire: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole configuration that holds together.

    `vendors`: whose DataTransfers are taken, by the case-folded id.
    `path` is the file it came from and `digest` names its content (SHA-256, hex); both None where it was made in code.
    `warnings` do not take part in comparison: two configurations are equal where they mean the same.
    """

    gateway: GatewaySettings
    chargers: Mapping[str, ChargerSettings]
    stations: tuple[StationSettings, ...]
    buses: Mapping[str, Line] = field(default_factory=dict)
    mqtt: MqttSettings | None = None
    vendors: Mapping[str, Vendor] = field(default_factory=dict)
    files: FileSettings = field(default_factory=FileSettings)
    firmware: FirmwareSettings = field(default_factory=FirmwareSettings)
    log: LogSettings = field(default_factory=LogSettings)
    path: Path | None = field(default=None, compare=False)
    digest: str | None = field(default=None, compare=False)
    warnings: tuple[SettingsWarning, ...] = field(default=(), compare=False)

    @property
    def profiles_dir(self) -> Path:
        """Where the site's own profiles lie: beside the configuration."""
        return (self.path or DEFAULT_PATH).absolute().parent / PROFILES_FOLDER

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every password in it: what no log may show."""
        found = [station.csms.password for station in self.stations]
        if self.mqtt is not None:
            found.append(self.mqtt.password)
        return tuple(secret for secret in found if secret is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFacts:
    """What the check of a configuration must know of a device profile.

    `addressed` False: no unit id, alone on its line. Point n answers at unit id + (n - 1) * `unit_stride` and at TCP
    port + (n - 1) * `port_stride`. `transports`: "serial", "tcp", "rtu_over_tcp". `relay_outputs`: how many outputs it
    has that can cut another charger's power. `connectors`: how many it tells apart at one point. `charges` False: no
    charging point at all, a relay board.
    """

    connector_type: str | None = None
    transports: frozenset[str] = frozenset({"serial", "tcp", "rtu_over_tcp"})
    addressed: bool = True
    unit_id: int = 1
    unit_ids: tuple[int, int] = (1, 247)
    port: int = 502
    baudrate: int = 19200
    parity: Parity = Parity.EVEN
    stopbits: int = 1
    points: int = 1
    unit_stride: int = 0
    port_stride: int = 0
    relay_outputs: int = 0
    connectors: int = 1
    charges: bool = True
