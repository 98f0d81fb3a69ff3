"""The site of these tests: two chargers on one serial line, simulated by the installed package, and a CSMS outside."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.packaging.machine import Machine
from tests.packaging.outside import URL, Csms

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
ExecStart=/usr/bin/edged simulate --profile heidelberg-energy-control --unit 1 --unit 2 --listen pty:{YARD} \\
  --control {CONTROL}
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


def fill(machine: Machine) -> None:
    """The disk of the state, up to the last block."""
    machine.sh(f"dd if=/dev/zero of={STATE}/ballast bs=4k 2>/dev/null; true")
    assert machine.sh(f"df --output=avail {STATE} | tail -1").strip() == "0"


def charger(machine: Machine, unit_id: int, command: str, **arguments: Any) -> Any:
    """What happens at a charger: `plug_in`, `get`, ... as `edged simulate` tells. Connector N's has unit id N."""
    asked = {"charger": unit_id, **arguments}
    done = machine.run("python3", "-c", ASK, CONTROL, command, json.dumps(asked))
    answer = json.loads(done.stdout)
    if not answer.get("ok"):
        raise AssertionError(f"{command} {asked}: {answer}")
    return answer.get("result")


def status(machine: Machine) -> dict[str, Any]:
    """`edged status --json`."""
    found: dict[str, Any] = json.loads(machine.run("edged", "status", "--json").stdout)
    return found


WATCH = """\
import json, select, socket, sys
line = socket.socket(socket.AF_UNIX)
line.settimeout(20)
line.connect(sys.argv[1])
answers = line.makefile()
before = None
while not select.select([sys.stdin], [], [], 0.02)[0]:
    line.sendall((json.dumps({"command": "get", "args": {"charger": int(sys.argv[2])}}) + "\\n").encode())
    now = json.loads(answers.readline())["result"]["contactor"]
    if now != before:
        print(now, flush=True)
        before = now
"""


class ContactorWatch:
    """Sees every change of a charger's contactor, from the first position on. `machine`: None for chargers outside."""

    def __init__(self, machine: Machine | None, unit_id: int, control: str = CONTROL) -> None:
        words = ["python3", "-c", WATCH, control, str(unit_id)]
        words = words if machine is None else machine.words(*words)
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def positions(self) -> list[str]:
        """What it has been, in order. Ends the watch."""
        said, _ = self._process.communicate(timeout=30)
        return said.split()

    def close(self) -> None:
        """End a watch whose positions nobody has asked for."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def connector(machine: Machine, number: int) -> dict[str, Any]:
    """What `edged status` says of a connector."""
    station = status(machine)["stations"][0]
    found: dict[str, Any] = next(one for one in station["connectors"] if one["connector"] == number)
    return found


def start_charging(machine: Machine, csms: Csms, number: int = 1) -> int:
    """A car, a card: the CSMS's number of the transaction that began."""
    begun = len(csms.received("StartTransaction"))
    charger(machine, number, "plug_in")
    machine.until(lambda: connector(machine, number)["plugged"], what="the plug is seen")
    machine.run("edged", "ctl", "present_token", f"connector={number}", f"id_token={TOKEN}")
    csms.wait("StartTransaction", begun + 1)
    machine.until(lambda: charger(machine, number, "get")["contactor"] == "closed", what="energy flows")
    machine.until(lambda: running(machine, number).get("csms_id"), what="the transaction has its number")
    return int(running(machine, number)["csms_id"])


def running(machine: Machine, number: int) -> dict[str, Any]:
    """The connector's transaction; empty where there is none."""
    station = status(machine)["stations"][0]
    return next((one for one in station["transactions"] if one["connector"] == number), {})


def stop_charging(machine: Machine, csms: Csms, number: int = 1) -> dict[str, Any]:
    """The car leaves: what the CSMS is told of the end."""
    ended = len(csms.received("StopTransaction"))
    charger(machine, number, "plug_out")
    return csms.wait("StopTransaction", ended + 1)
