"""The rules for adapters, judged by udev itself: on made-up devices, for there are no others here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.chroot import Chroot
from tests.packaging.machine import Dead

SOCKET = "/devices/pci0/usb1/1-1/1-1.3"
RULES = "/usr/lib/udev/rules.d/61-edged.rules"


def port(number: int, driver: str, name: str) -> str:
    """A serial port of the adapter, in umockdev's words."""
    interface = f"{SOCKET}/1-1.3:1.{number}"
    return f"""
P: {interface}
E: SUBSYSTEM=usb
E: DRIVER={driver}
A: bInterfaceNumber=0{number}
L: driver=../../../../../../bus/usb/drivers/{driver}

P: {interface}/{name}
E: SUBSYSTEM=usb-serial
E: DRIVER={driver}
A: latency_timer=16
L: driver=../../../../../../../bus/usb-serial/drivers/{driver}

P: {interface}/{name}/tty/{name}
E: SUBSYSTEM=tty
E: DEVNAME=/dev/{name}
E: MAJOR=188
E: MINOR={number}
"""


DEVICES = f"""\
P: {SOCKET}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
E: DRIVER=usb
L: driver=../../../../../bus/usb/drivers/usb
{port(0, "ftdi_sio", "ttyUSB0")}{port(1, "ftdi_sio", "ttyUSB1")}{port(2, "ch341", "ttyUSB2")}
P: /devices/platform/serial/tty/ttyAMA0
E: SUBSYSTEM=tty
E: DEVNAME=/dev/ttyAMA0
E: MAJOR=204
E: MINOR=64
"""


@pytest.fixture(scope="session")
def mocking(package_layer: Path, debian: Path, suite: str, new_layer: Callable[..., Path]) -> Path:
    """A layer over the package: what makes devices up."""

    def make(folder: Path) -> None:
        with Chroot([package_layer, debian], folder) as chroot:
            chroot.give_network()
            chroot.run("apt-get", "install", "-y", "--no-install-recommends", "umockdev")
            chroot.write("/devices", DEVICES)

    return new_layer(f"mocking-{suite}", make)


@pytest.fixture
def bench(new_chroot: Callable[..., Chroot], mocking: Path, package_layer: Path, debian: Path) -> Chroot:
    """A Debian with edged and made-up devices, whose links go nowhere near this computer's /dev."""
    chroot = new_chroot(mocking, package_layer, debian)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", chroot.root / "dev"], check=True)
    subprocess.run(["mount", "-t", "sysfs", "sysfs", chroot.root / "sys"], check=True)
    subprocess.run(["mknod", chroot.root / "dev/null", "c", "1", "3"], check=True)
    return chroot


def judged(bench: Chroot, device: str) -> str:
    """What udev would do when the device appears."""
    done = bench.run("umockdev-run", "-d", "/devices", "--", "udevadm", "test", "--action=add", f"/sys{device}")
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("device", "link"),
    [
        (f"{SOCKET}/1-1.3:1.0/ttyUSB0/tty/ttyUSB0", "DEVLINKS=/dev/edged/usb-1-1.3\n"),
        (f"{SOCKET}/1-1.3:1.1/ttyUSB1/tty/ttyUSB1", "DEVLINKS=/dev/edged/usb-1-1.3-if01\n"),
    ],
)
def test_an_adapter_is_named_after_its_socket_and_its_further_ports_after_it(bench: Chroot, device: str, link: str):
    assert link in judged(bench, device)


def test_a_port_on_the_board_gets_no_name(bench: Chroot):
    said = judged(bench, "/devices/platform/serial/tty/ttyAMA0")
    assert "DEVNAME=/dev/ttyAMA0" in said
    assert "edged/usb" not in said


def test_an_ftdi_adapter_answers_at_once_and_no_other_is_touched(bench: Chroot):
    lines = [line for line in judged(bench, f"{SOCKET}/1-1.3:1.0/ttyUSB0").splitlines() if "61-edged.rules" in line]
    assert any("latency_timer" in line and "1" in line for line in lines)
    assert "latency_timer" not in judged(bench, f"{SOCKET}/1-1.3:1.2/ttyUSB2")


def test_udev_takes_the_rules(installed_chroot: Chroot, suite: str):
    if suite == "bookworm":  # its udevadm cannot verify, but says what it thinks of rules when it tests a device
        said = installed_chroot.run("udevadm", "test", "/devices/virtual/mem/null", check=False).stderr
        assert "Reading rules file" in said
        assert not [line for line in said.splitlines() if "61-edged.rules:" in line]
    else:
        installed_chroot.run("udevadm", "verify", RULES)


def test_a_broken_rule_is_noticed(installed_chroot: Chroot, suite: str):
    installed_chroot.write(RULES, installed_chroot.sh(f"cat {RULES}") + '\nSUBSYSTEMZ=="usb"\n')
    with pytest.raises((AssertionError, Dead)):
        test_udev_takes_the_rules(installed_chroot, suite)
