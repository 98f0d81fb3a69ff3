"""Certificates with Debian's own cryptography beside the package, and without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.pki import Authority
from tests.packaging import site
from tests.packaging.chroot import Chroot
from tests.packaging.machine import Machine
from tests.packaging.outside import Outside

NEEDED = ("python3-cryptography", "python3-openssl")


@pytest.fixture
def with_cryptography(
    new_chroot: Callable[..., Chroot], new_machine: Callable[..., Machine], installed: Path, debian: Path
) -> Machine:
    """A machine with edged, its site, and what the package recommends for certificates; booted."""
    chroot = new_chroot(installed, debian)
    chroot.give_network()
    chroot.run("apt-get", "install", "-y", "--no-install-recommends", *NEEDED, within_s=300)
    chroot.write("/etc/resolv.conf", "")
    chroot.close()
    machine = new_machine(chroot.written, installed, debian)
    machine.boot()
    machine.until(machine.is_active, what="edged serves")
    return machine


def install_a_root(machine: Machine, outside: Outside) -> str:
    """What the station answers to a CSMS that wants a new authority installed."""
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    request = {"certificateType": "CentralSystemRootCertificate", "certificate": Authority.new("Depot Root").pem}
    status: str = csms.call("InstallCertificate", request)["status"]
    assert csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"}) == {"status": "Accepted"}
    csms.wait("Heartbeat")
    return status


def test_without_cryptography_certificates_are_refused_in_words_and_the_rest_goes_on(
    machine: Machine, outside: Outside
):
    assert machine.run("test", "-e", "/usr/lib/python3/dist-packages/cryptography", check=False).returncode
    pid = machine.pid()
    assert install_a_root(machine, outside) in ("Rejected", "Failed")
    machine.until(lambda: "Debian: python3-cryptography and python3-openssl" in machine.journal(), what="it says why")
    assert machine.pid() == pid


@pytest.mark.timeout(400)
def test_with_the_distributions_cryptography_certificates_are_accepted(with_cryptography: Machine, outside: Outside):
    assert install_a_root(with_cryptography, outside) == "Accepted"
