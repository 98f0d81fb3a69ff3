"""The package's life on a booted Debian: installed, upgraded under a charging car, downgraded, removed, purged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.packaging import package, site
from tests.packaging.machine import UNIT, Dead, Machine
from tests.packaging.outside import Outside

pytestmark = pytest.mark.both

NEWER = "99.0.0"
PATHS = (
    "/etc/edged /var/lib/edged /var/lib/edged-firmware /usr/lib/edged /run/edged /usr/share/edged /etc/systemd/system"
)


@pytest.fixture(scope="session")
def newer() -> Path:
    """The same package, later."""
    return package.built_as(NEWER)


def put(machine: Machine, deb: Path) -> str:
    shutil.copy(deb, machine.root / "next.deb")
    return "/next.deb"


def installed_version(machine: Machine) -> str:
    return machine.run("dpkg-query", "-W", "-f", "${Version}", "edged").stdout


def test_it_installs_without_a_network_and_waits_for_its_configuration(blank: Machine):
    done = blank.run("apt-get", "install", "-y", "--no-install-recommends", "/edged.deb")
    assert "edged setup" in done.stdout
    assert blank.run("systemctl", "is-enabled", UNIT).stdout.strip() == "enabled"
    assert not blank.is_active()
    assert blank.show("Result") == "success"
    assert blank.show("NRestarts") == "0"
    assert blank.run("systemctl", "is-system-running", check=False).stdout.strip() == "running"
    site.furnish(blank)
    blank.run("systemctl", "start", "chargers", UNIT)
    assert blank.is_active()


def test_on_an_image_that_knows_no_package_lists_plain_apt_install_needs_no_network(blank: Machine):
    blank.run("apt-get", "install", "-y", "python3")  # as on any image of a Raspberry Pi
    blank.sh("rm -rf /var/lib/apt/lists/*")
    blank.run("apt-get", "install", "-y", "/edged.deb")
    assert blank.run("edged", "--version").stdout.startswith("edged ")


def test_every_command_runs_from_the_package(machine: Machine):
    assert machine.run("edged", "--version").stdout.startswith("edged ")
    assert "left" in machine.run("edged", "check").stdout
    for command in ("run", "check", "status", "ctl", "probe", "scan", "simulate", "mqtt", "demo"):
        assert machine.run("edged", command, "--help").stdout


def test_an_upgrade_keeps_everything_and_a_charging_car_does_not_notice(
    machine: Machine, outside: Outside, newer: Path
):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    number = site.start_charging(machine, csms)
    edited = site.SETTINGS + "# the installer was here\n"
    machine.write(site.CONFIG, edited)
    watch = site.ContactorWatch(machine, 1)
    pid = machine.pid()
    machine.run("apt-get", "install", "-y", put(machine, newer))
    assert installed_version(machine) == NEWER
    machine.until(lambda: machine.is_back(pid), what="the newer one serves")
    csms.wait("BootNotification", 2)
    assert machine.read(site.CONFIG) == edited
    assert machine.sh("stat -c '%U %a' /etc/edged/credentials/csms-password") == "root 600"
    assert site.running(machine, 1)["csms_id"] == number
    assert watch.positions() == ["closed"]
    assert csms.received("StopTransaction") == []
    assert site.stop_charging(machine, csms)["transactionId"] == number
    assert csms.violations() == []


def test_an_older_package_does_not_open_a_newer_database_and_says_so(machine: Machine, newer: Path):
    machine.run("systemctl", "stop", UNIT)
    bump = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.execute('PRAGMA user_version = 99'); d.commit()"
    machine.run("python3", "-c", bump, site.DATABASE)
    before = machine.sh(f"sha256sum < {site.DATABASE}")
    machine.run("systemctl", "start", UNIT, check=False)
    machine.until(lambda: "install the newer edged again" in machine.journal(), what="it says why")
    assert machine.sh(f"sha256sum < {site.DATABASE}") == before
    assert machine.sh(f"ls {site.STATE} | grep -c damaged", check=False) == "0"


def test_a_downgrade_to_the_same_database_goes_on(machine: Machine, newer: Path, deb: Path):
    machine.run("apt-get", "install", "-y", put(machine, newer))
    machine.until(machine.is_active)
    pid = machine.pid()
    machine.run("apt-get", "install", "-y", "--allow-downgrades", put(machine, deb))
    machine.until(lambda: machine.is_back(pid))
    assert installed_version(machine) != NEWER


def test_what_the_installer_disabled_stays_so(machine: Machine, newer: Path):
    machine.run("systemctl", "disable", "--now", UNIT)
    machine.run("apt-get", "install", "-y", put(machine, newer))
    assert machine.run("systemctl", "is-enabled", UNIT, check=False).stdout.strip() == "disabled"
    assert not machine.is_active()


def test_reinstalling_repairs_a_damaged_program(machine: Machine, deb: Path):
    machine.sh(f"rm -r {package.PROGRAM}/edged/domain")
    assert machine.run("edged", "check", check=False).returncode
    machine.run("apt-get", "install", "-y", "--reinstall", put(machine, deb))
    machine.until(machine.is_active)
    assert machine.run("edged", "check").returncode == 0


def test_removing_keeps_what_is_the_sites_and_installing_again_goes_on_with_it(machine: Machine, deb: Path):
    machine.run("apt-get", "remove", "-y", "edged")
    assert machine.run("systemctl", "is-active", UNIT, check=False).stdout.strip() in ("inactive", "failed")
    assert machine.sh("ls /usr/bin/edged /usr/lib/edged 2>/dev/null", check=False) == ""
    for path in (site.CONFIG, "/etc/edged/credentials/csms-password", site.DATABASE):
        assert machine.run("test", "-f", path).returncode == 0
    machine.run("apt-get", "install", "-y", "--no-install-recommends", put(machine, deb))
    machine.until(machine.is_active)
    assert site.status(machine)["stations"][0]["id"] == site.STATION


def leftovers(machine: Machine) -> str:
    return machine.sh(f"find {PATHS} -name '*' -path '*edged*' 2>/dev/null", check=False)


def test_purging_leaves_nothing(machine: Machine):
    machine.run("apt-get", "purge", "-y", "edged")
    assert leftovers(machine) == ""
    assert machine.run("systemctl", "is-system-running", check=False).stdout.strip() == "running"


def test_the_tests_find_a_package_that_does_not_purge(machine: Machine):
    machine.sh("printf '#!/bin/sh\\nexit 0\\n' > /var/lib/dpkg/info/edged.postrm")
    with pytest.raises(AssertionError):
        test_purging_leaves_nothing(machine)


def test_half_a_package_is_refused_and_the_old_one_goes_on(machine: Machine, deb: Path, memory: Path):
    half = memory / "half.deb"
    half.write_bytes(deb.read_bytes()[: deb.stat().st_size // 2])
    pid = machine.pid()
    with pytest.raises(Dead):
        machine.run("apt-get", "install", "-y", put(machine, half))
    assert machine.pid() == pid
    assert machine.is_active()
    assert machine.run("edged", "check").returncode == 0
