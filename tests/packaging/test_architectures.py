"""The same package on every architecture: what a site does in its first minutes, from the package alone.

arm64 and armhf run under emulation (qemu-user), which knows neither LoadCredential= nor PrivateUsers=: a drop-in takes
them out, and the password comes by the environment. What the sandbox does is shown on this computer's own architecture.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging import roots, site
from tests.packaging.machine import UNIT, Machine
from tests.packaging.outside import Outside

EMULATED = (
    "LoadCredential=\nPrivateUsers=no\nTimeoutStartSec=300\nWatchdogSec=120\n"
    f'Environment="CSMS_PASSWORD={site.PASSWORD}"'
)
PATIENCE_S = 300.0


def smoke(machine: Machine, outside: Outside) -> None:
    """Install, start, find the CSMS and the chargers, charge a car, restart, stop."""
    machine.run("apt-get", "install", "-y", "--no-install-recommends", "/edged.deb", within_s=PATIENCE_S)
    machine.run("env", f"CSMS_PASSWORD={site.PASSWORD}", "edged", "check", within_s=PATIENCE_S)
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    machine.run("systemctl", "start", "chargers", UNIT, within_s=PATIENCE_S)
    csms.wait("BootNotification")
    machine.until(lambda: site.connector(machine, 1)["online"], within_s=PATIENCE_S)
    number = site.start_charging(machine, csms)
    pid = machine.pid()
    assert csms.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
    machine.until(lambda: machine.is_back(pid), within_s=PATIENCE_S)
    assert csms.wait("StopTransaction")["transactionId"] == number
    csms.wait("BootNotification", 2)
    machine.run("systemctl", "stop", UNIT, within_s=PATIENCE_S)
    assert machine.show("Result") == "success"
    assert csms.violations() == []


@pytest.mark.long
def test_on_this_computers_own_architecture(blank: Machine, outside: Outside):
    site.furnish(blank)
    smoke(blank, outside)


@pytest.mark.emulated
@pytest.mark.parametrize("suite", roots.SUITES[:1], indirect=True)  # no service of systemd 257 starts under QEMU 7.2
@pytest.mark.parametrize("arch", roots.EMULATORS)
def test_on_another_architecture(
    new_machine: Callable[..., Machine], suite: str, arch: str, deb: Path, outside: Outside
):
    machine = new_machine(roots.base(suite, arch))
    shutil.copy(deb, machine.root / "edged.deb")
    site.furnish(machine)
    machine.write(site.CONFIG, site.SETTINGS.replace("${credential:csms-password}", "${env:CSMS_PASSWORD}"))
    machine.write(f"/etc/systemd/system/{UNIT}.d/emulated.conf", f"[Service]\n{EMULATED}\n")
    machine.boot(within_s=PATIENCE_S)
    assert machine.run("dpkg", "--print-architecture").stdout.strip() == arch
    smoke(machine, outside)
