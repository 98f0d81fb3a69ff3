"""The site of these tests: two chargers on one serial line, simulated by the installed package, and a CSMS outside."""

from __future__ import annotations

import json
from typing import Any

from tests.packaging.machine import Machine
from tests.packaging.outside import URL

STATION = "DEPOT-7"
PASSWORD = "correct horse battery"
TOKEN = "04A2E5"
CONFIG = "/etc/edged/edged.yaml"
YARD = "/run/site/yard"
CONTROL = "/run/site/control.sock"
STATE = "/var/lib/edged"
DATABASE = f"{STATE}/edged.db"

SETTINGS = f"""\
gateway:
  id: depot-7
  hard_reset: host
buses:
  yard:
    serial: {YARD}
    baudrate: 115200
chargers:
  left: {{profile: heidelberg-energy-control, bus: yard, unit_id: 1}}
  right: {{profile: heidelberg-energy-control, bus: yard, unit_id: 2}}
stations:
  - id: {STATION}
    csms:
      url: {URL}
      versions: [ocpp1.6]
      security_profile: 1
      password: ${{credential:csms-password}}
    evses:
      - charger: left
      - charger: right
    configuration:
      HeartbeatInterval: 30
"""

CHARGERS = f"""\
[Unit]
Description=The chargers of the site, simulated
Before=edged.service
[Service]
User=edged
RuntimeDirectory=site
ExecStart=/usr/bin/edged simulate --profile heidelberg-energy-control --listen pty:{YARD} --unit 1 --unit 2 --control {CONTROL}
[Install]
WantedBy=multi-user.target
"""
ASK = """\
import json, socket, sys
line = socket.socket(socket.AF_UNIX)
line.settimeout(20)
line.connect(sys.argv[1])
line.sendall((json.dumps({"command": sys.argv[2], "args": json.loads(sys.argv[3])}) + "\\n").encode())
print(line.makefile().readline())
"""


def furnish(machine: Machine) -> None:
    """The configuration, its password and the chargers; nothing is started."""
    machine.write(CONFIG, SETTINGS)
    machine.write("/etc/edged/credentials/csms-password", PASSWORD, mode=0o600)
    machine.write("/etc/systemd/system/chargers.service", CHARGERS)


def charger(machine: Machine, name: str, command: str, **arguments: Any) -> Any:
    """What happens at a charger: `plug_in`, `get`, ... as `edged simulate` tells."""
    asked = {"charger": name, **arguments}
    done = machine.run("python3", "-c", ASK, CONTROL, command, json.dumps(asked))
    answer = json.loads(done.stdout)
    if not answer.get("ok"):
        raise AssertionError(f"{command} {asked}: {answer}")
    return answer.get("result")


def status(machine: Machine) -> dict[str, Any]:
    """`edged status --json`."""
    found: dict[str, Any] = json.loads(machine.run("edged", "status", "--json").stdout)
    return found
