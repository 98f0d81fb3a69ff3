"""The same package on every architecture: what a site does in its first minutes, from the package alone.

arm64 and armhf run under emulation (qemu-user), which knows no clone() into other namespaces and no filters of system
calls. So neither credentials nor PrivateUsers= work: drop-ins take the credentials out of every service, systemd's own
and edged's, and PrivateUsers= out of edged's, whose password comes by the environment. The mounts of its sandbox are
made. What the sandbox keeps out is shown on this computer's own architecture.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.packaging import roots, site
from tests.packaging.machine import UNIT, Machine
from tests.packaging.outside import Outside

EVERY_SERVICE = "ImportCredential=\nLoadCredential=\n"
EMULATED = f'PrivateUsers=no\nTimeoutStartSec=300\nWatchdogSec=120\nEnvironment="CSMS_PASSWORD={site.PASSWORD}"'
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


@pytest.fixture
def foreign(suite: str, arch: str) -> Iterator[Path]:
    """The suite for another architecture, whose programs run as long as the test does."""
    roots.need("systemd-container", "systemd-nspawn")
    roots.need("iproute2", "ip")
    with roots.emulation(arch):
        yield roots.base(suite, arch)


@pytest.mark.emulated
@pytest.mark.parametrize("arch", roots.EMULATORS)
def test_on_another_architecture(
    foreign: Path, new_machine: Callable[..., Machine], arch: str, deb: Path, outside: Outside
):
    machine = new_machine(foreign)
    shutil.copy(deb, machine.root / "edged.deb")
    site.furnish(machine)
    machine.write(site.CONFIG, site.SETTINGS.replace("${credential:csms-password}", "${env:CSMS_PASSWORD}"))
    machine.write("/etc/systemd/system/service.d/emulated.conf", f"[Service]\n{EVERY_SERVICE}")
    machine.write(f"/etc/systemd/system/{UNIT}.d/site.conf", f"[Service]\n{EMULATED}\n")
    machine.boot(within_s=PATIENCE_S)
    machine.run("systemctl", "is-active", "systemd-journald", "systemd-logind")
    assert machine.run("dpkg", "--print-architecture").stdout.strip() == arch
    smoke(machine, outside)
