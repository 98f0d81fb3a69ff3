"""The demo's site as data: which chargers stand where, whose cards there are, and the daemon's configuration for it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edged.simulator.csms import Token

STATION: Final = "DEPOT-7"
GATEWAY: Final = "demo"
ACTOR: Final = "bms"
"""Who sends commands over MQTT."""
DISCOVERY: Final = "homeassistant"
"""Where Home Assistant looks for devices."""
METER_INTERVAL_S: Final = 2
POLL_S: Final = 0.5
YARD: Final = "yard"
"""The serial line."""

ALICE, BOB, CAROL, DAVE, EVE, FRANK = "ALICE", "BOB", "CAROL", "DAVE", "EVE", "FRANK"
FLEET: Final = "FLEET"
"""FRANK's group."""
CARD: Final = "A4B1C2D3"
"""A card as the KEBA's reader tells it: four bytes."""
TOKENS: Final[Mapping[str, Token]] = {
    **{name: Token("Accepted") for name in (ALICE, BOB, CAROL, DAVE, CARD)},
    FRANK: Token("Accepted", parent=FLEET),
}
"""Whom the CSMS knows. EVE is nobody's customer."""
VENDOR, MESSAGE, SHOWN = "com.example", "Tariff", "shown on the display"
"""Whose data the site takes, which, and what it says to it."""
CREDENTIAL: Final = "csms-password"
FIRST_VERSION, SECOND_VERSION = "ocpp1.6", "ocpp2.0.1"
"""What the CSMS speaks at first, and what it learns in the end. The station offers both."""
CABLE, SOCKET, OTHER_CABLE = "cType2", "sType2", "cType1"
"""Connector types as OCPP 2.0.1 writes them: a cable that hangs at the charger, a socket for the driver's own, and a
cable that fits other cars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """New ones for each run. `first`: the installer's; `second`: the CSMS's, later; `files`: of its file server."""

    first: str
    second: str
    files: str

    @classmethod
    def invented(cls) -> Passwords:
        return cls(
            first=f"first-{secrets.token_hex(10)}",
            second=f"second-{secrets.token_hex(10)}",
            files=f"files-{secrets.token_hex(10)}",
        )

    @property
    def all(self) -> tuple[str, ...]:
        return self.first, self.second, self.files


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One connector and the charger behind it. `terminal`: the serial line that it hangs on; "" for Modbus TCP.
    `unit_id` None: it has its line for itself."""

    connector: int
    charger: str
    make: str
    label: str
    type: str
    terminal: str = ""
    unit_id: int | None = None
    energy_wh: float = 0.0

    @property
    def evse(self) -> int:
        """Its EVSE in OCPP 2.0.1: here each has one connector."""
        return self.connector

    def connection(self, endpoint: str) -> str:
        """Its line in edged.yaml. `endpoint`: HOST:PORT, or the device of the terminal."""
        if self.unit_id is not None:
            return f"bus: {self.terminal}, unit_id: {self.unit_id}"
        if self.terminal:
            return f"serial: {{port: {json.dumps(endpoint)}}}"
        return f"tcp: {json.dumps(endpoint)}"


LEFT: Final = Place(
    connector=1,
    charger="left",
    make="heidelberg-energy-control",
    label="Heidelberg Energy Control",
    type=CABLE,
    terminal=YARD,
    unit_id=1,
    energy_wh=1_204_310,
)
RIGHT: Final = Place(
    connector=2,
    charger="right",
    make="heidelberg-energy-control",
    label="Heidelberg Energy Control",
    type=CABLE,
    terminal=YARD,
    unit_id=2,
    energy_wh=873_002,
)
HALL: Final = Place(
    connector=3,
    charger="hall",
    make="phoenix-charx-sec",
    label="Phoenix Contact CHARX",
    type=SOCKET,
    energy_wh=2_310_774,
)
GATE: Final = Place(connector=4, charger="gate", make="keba-p30", label="KEBA P30", type=SOCKET, energy_wh=402_118)
BAY: Final = Place(
    connector=5,
    charger="bay",
    make="openevse-rapi",
    label="OpenEVSE",
    type=OTHER_CABLE,
    terminal="bay",
    energy_wh=96_400,
)
"""It speaks RAPI, which is no Modbus, and has no reader."""
PLACES: Final = (LEFT, RIGHT, HALL, GATE, BAY)


def configuration(*, terminal: Path, endpoints: Mapping[str, str], csms_url: str, broker_port: int | None) -> str:
    """edged.yaml for the site. `terminal`: the shared line's device; `endpoints` by charger: HOST:PORT or a device."""
    lines = [
        f"gateway: {{id: {GATEWAY}}}",
        "buses:",
        # A pseudo terminal carries no parity bit.
        f"  {YARD}: {{serial: {json.dumps(str(terminal))}, baudrate: 19200, parity: none, stopbits: 1}}",
        "chargers:",
    ]
    for place in PLACES:
        where = place.connection(endpoints[place.charger])
        lines.append(f"  {place.charger}: {{profile: {place.make}, {where}, poll_interval_s: {POLL_S}}}")
    evses = ", ".join(f"{{charger: {place.charger}, connectors: [{{type: {place.type}}}]}}" for place in PLACES)
    lines += [
        "stations:",
        f"  - id: {STATION}",
        "    vendor: Example Energy",
        "    model: Depot 3",
        "    csms:",
        f"      url: {json.dumps(csms_url)}",
        f"      versions: [{SECOND_VERSION}, {FIRST_VERSION}]",
        "      security_profile: 1",
        f"      password: ${{credential:{CREDENTIAL}}}",
        f"    evses: [{evses}]",
        f"    configuration: {{MeterValueSampleInterval: {METER_INTERVAL_S}, HeartbeatInterval: 300}}",
        "    display: true",
        "files: {allowed_hosts: [127.0.0.1]}",
        f"data_transfer: {{vendors: {{{VENDOR}: {{messages: [{MESSAGE}], answer: {json.dumps(SHOWN)}}}}}}}",
    ]
    if broker_port is not None:
        lines += [
            "mqtt:",
            f'  url: "mqtt://127.0.0.1:{broker_port}"',
            f"  home_assistant: {DISCOVERY}",
            f'  commands: {{{ACTOR}: ["*"], homeassistant: ["*"]}}',
        ]
    return "\n".join([*lines, ""])
