"""Firmware on a booted Debian: a CSMS sends it, the daemon asks, root's unit installs it and says how it ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging import site
from tests.packaging.machine import Machine
from tests.packaging.outside import HERE, Csms, Outside

COMMAND = "/usr/local/sbin/install-firmware"
INSTALLED = "/root/installed"
SETTINGS = f"{site.SETTINGS}firmware:\n  install: {COMMAND}\nfiles:\n  allowed_hosts: [{HERE}]\n"
SCRIPT = f"#!/bin/sh\necho $(id -un) $(wc -c <$1) >>{INSTALLED}\n"
ENDS = ("Installed", "InstallationFailed", "DownloadFailed")
SIZE = 70_000


@pytest.fixture
def ready(off: Machine, outside: Outside, tmp_path: Path) -> Iterator[Callable[..., Csms]]:
    """Boots the site with a command that installs; the firmware is at the other end of the cable."""
    (tmp_path / "firmware.bin").write_bytes(bytes(SIZE))
    server = [sys.executable, "-m", "http.server", "8080", "--directory", str(tmp_path)]
    web = subprocess.Popen(outside._words(*server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready(last_lines: str, *, mode: int = 0o755) -> Csms:
        off.write(COMMAND, SCRIPT + last_lines, mode=mode)
        off.write(site.CONFIG, SETTINGS)
        off.boot()
        off.until(off.is_active)
        csms = outside.csms(site.STATION, site.PASSWORD)
        outside.plug_in(off)
        off.until(lambda: site.status(off)["stations"][0]["csms"]["registration"] == "Accepted")
        return csms

    yield ready
    web.kill()
    web.wait()


def update(csms: Csms) -> None:
    order = {"location": f"http://{HERE}:8080/firmware.bin", "retrieveDate": "2020-01-01T00:00:00Z"}
    assert csms.call("UpdateFirmware", order) == {}


def told(csms: Csms, machine: Machine) -> list[Any]:
    """What the CSMS was told until the end."""

    def so_far() -> list[Any]:
        statuses = [one["status"] for one in csms.received("FirmwareStatusNotification")]
        return statuses if statuses and statuses[-1] in ENDS else []

    found: list[Any] = machine.until(so_far, within_s=90, what="the CSMS is told how it ended")
    return found


def test_firmware_is_installed_by_root_once_and_the_csms_is_told(off: Machine, ready: Callable[..., Csms]):
    csms = ready("")
    update(csms)
    assert told(csms, off) == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert off.read(INSTALLED) == f"root {SIZE}\n"
    assert csms.violations() == []


def test_a_command_that_restarts_the_computer_is_believed_after_it(
    off: Machine, ready: Callable[..., Csms], outside: Outside
):
    csms = ready("systemd-run --on-active=1 systemctl reboot\nexit 20\n")
    update(csms)
    off.has_restarted()
    off.until(off.is_active)
    outside.plug_in(off)
    assert told(csms, off) == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert off.read(INSTALLED) == f"root {SIZE}\n"


def test_a_command_that_others_may_write_to_is_not_run(off: Machine, ready: Callable[..., Csms]):
    csms = ready("", mode=0o777)
    update(csms)
    assert told(csms, off)[-1] == "InstallationFailed"
    assert "it is not trusted" in off.journal(unit="edged-firmware.service")
    assert off.run("test", "-e", INSTALLED, check=False).returncode


@pytest.mark.parametrize("trap", ["mkdir {}", "ln -s /etc/shadow {}", "ln -s /nowhere {}", "ln -s /root {}"])
def test_whatever_asks_for_firmware_gets_nothing_else(machine: Machine, trap: str):
    before = machine.sh("stat -c '%a %s %Z' /etc/shadow /root")
    name = "/var/lib/edged/transfer/requests/firmware-00000000-0000-0000-0000-000000000000.bin"
    machine.run("runuser", "-u", "edged", "--", "sh", "-c", trap.format(name))
    machine.until(lambda: machine.run("test", "-L", name, "-o", "-e", name, check=False).returncode, what="taken away")
    machine.until(lambda: machine.show("ActiveState", unit="edged-firmware.path") == "active")
    assert machine.sh("stat -c '%a %s %Z' /etc/shadow /root") == before
