"""A site that is right, and a reader for changed copies of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edged.settings import ProfileFacts, Settings, SettingsErrors, load

PROFILES = {
    "wallbox": ProfileFacts(
        connector_type="cType2", transports=frozenset({"serial", "rtu_over_tcp"}), relay_outputs=8, connectors=2
    ),
    "controller": ProfileFacts(
        connector_type="sType2", transports=frozenset({"tcp"}), points=12, relay_outputs=8, connectors=2
    ),
    "ladder": ProfileFacts(connector_type="cType2", points=4, unit_stride=1),
    "ports": ProfileFacts(connector_type="cType2", points=2, port_stride=1),
    "relays": ProfileFacts(relay_outputs=4, charges=False),
    "chatty": ProfileFacts(connector_type="cType1", transports=frozenset({"serial"}), addressed=False, baudrate=115200),
}
SITE = """\
gateway:
  id: depot-7
buses:
  yard:
    serial: /dev/ttyUSB0
chargers:
  left:
    profile: wallbox
    bus: yard
  right:
    profile: controller
    tcp: 10.0.0.21:502
stations:
  - id: DEPOT-7
    csms:
      url: ws://csms.example.com/ocpp
    evses:
      - charger: left
      - charger: right
"""
Read = Callable[..., Settings]
Errors = Callable[..., list[str]]


@pytest.fixture
def site() -> str:
    return SITE


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The settings of a text (bytes or str)."""

    def reader(text: str | bytes, *, environ: Mapping[str, str] | None = None, **options: object) -> Settings:
        path = tmp_path / "edged.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o600)
        known = {"supported_versions": ("ocpp1.6",), "profile_names": tuple(PROFILES), "hostname": "Box.example.com"}
        return load(path, profiles=PROFILES.get, environ=environ or {}, **(known | options))  # type: ignore[arg-type]

    return reader


@pytest.fixture
def errors(read: Read) -> Errors:
    """What is wrong with a text, as `line: path: sentence` without the file; empty where nothing is."""

    def reader(text: str | bytes, **options: object) -> list[str]:
        try:
            read(text, **options)
        except SettingsErrors as wrong:
            return [str(error).partition("edged.yaml:")[2].strip() for error in wrong.errors]
        return []

    return reader
