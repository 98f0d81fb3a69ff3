"""What happens to a computer in its years in the field: it is switched off, its libraries are replaced under edged,
somebody has used the name `edged` before, its disks are full when a newer edged comes. Cars charge meanwhile.

The chargers stand outside, with power of their own: what happens to the computer does not happen to them.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edged import __version__
from tests.packaging import package, site
from tests.packaging.chroot import Chroot
from tests.packaging.machine import UNIT, Dead, Machine
from tests.packaging.outside import HERE, Csms, Outside
from tests.packaging.test_service import broken

pytestmark = pytest.mark.long

NEWER = "99.0.0"
TRANSACTION = f"{package.PROGRAM}/edged/domain/transaction.py"
FULL = "the disk that holds /var/lib/edged is full"
LIBRARY = "libsqlite3-0"
"""One that edged has loaded."""
YARD_PORT = 4001
SETTINGS = site.SETTINGS.replace(
    f"    serial: {site.YARD}\n    baudrate: 115200\n", f"    rtu_over_tcp: {HERE}:{YARD_PORT}\n"
)


class Yard:
    """The chargers outside, behind a converter from serial to Ethernet."""

    def __init__(self, outside: Outside, folder: Path) -> None:
        self._control = str(folder / "yard")
        chargers = ("--profile", "heidelberg-energy-control", "--unit", "1", "--unit", "2")
        listening = ("--listen", f"rtu-tcp:0.0.0.0:{YARD_PORT}", "--control", self._control)
        self._watches: list[site.ContactorWatch] = []
        outside.start(sys.executable, "-m", "edged", "simulate", *chargers, *listening)

    def ask(self, unit_id: int, command: str, **arguments: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(20)
            line.connect(self._control)
            asked = {"command": command, "args": {"charger": unit_id, **arguments}}
            line.sendall((json.dumps(asked) + "\n").encode())
            answer = json.loads(line.makefile().readline())
        assert answer.get("ok"), f"{asked}: {answer}"
        return answer.get("result")

    def get(self, unit_id: int, what: str) -> Any:
        return self.ask(unit_id, "get")[what]

    def watch(self, unit_id: int) -> site.ContactorWatch:
        self._watches.append(site.ContactorWatch(None, unit_id, self._control))
        return self._watches[-1]

    def close(self) -> None:
        for watch in self._watches:
            watch.close()


@pytest.fixture(scope="session")
def newer() -> Path:
    """The same package, later."""
    return package.built_as(NEWER)


@pytest.fixture
def yard(outside: Outside, tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(outside, tmp_path)
    yield yard
    yard.close()


def connect(machine: Machine, outside: Outside) -> None:
    """To the network of CSMS and chargers, after a boot."""
    machine.until(machine.is_active, what="edged serves")
    outside.plug_in(machine)


def use_yard(machine: Machine) -> None:
    """A machine that is off gets the chargers outside."""
    machine.write(site.CONFIG, SETTINGS)
    (machine.root / "etc/systemd/system/multi-user.target.wants/chargers.service").unlink()


def serve(machine: Machine, outside: Outside, furnish: Callable[[Machine], None]) -> Csms:
    """A machine that was off serves, as `furnish` has made it: the CSMS that it is connected to."""
    furnish(machine)
    machine.boot()
    csms = outside.csms(site.STATION, site.PASSWORD)
    connect(machine, outside)
    csms.wait("BootNotification")
    return csms


def start_charging(machine: Machine, csms: Csms, yard: Yard, number: int = 1) -> int:
    """A car, a card, and some energy: the CSMS's number of the transaction."""
    begun = len(csms.received("StartTransaction"))
    yard.ask(number, "plug_in")
    machine.until(lambda: site.connector(machine, number)["plugged"], what="the plug is seen")
    machine.run("edged", "ctl", "present_token", f"connector={number}", f"id_token={site.TOKEN}")
    csms.wait("StartTransaction", begun + 1)
    machine.until(lambda: site.running(machine, number).get("csms_id"), what="the transaction has its number")
    before = yard.get(number, "energy_wh")
    machine.until(lambda: yard.get(number, "energy_wh") > before + 10, what="energy flows")
    return int(site.running(machine, number)["csms_id"])


def stop_charging(csms: Csms, yard: Yard, number: int = 1) -> dict[str, Any]:
    """The car leaves: what the CSMS is told of the end."""
    ended = len(csms.received("StopTransaction"))
    yard.ask(number, "plug_out")
    return csms.wait("StopTransaction", ended + 1)


def upgrade(machine: Machine, deb: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    shutil.copy(deb, machine.root / "next.deb")
    return machine.run("apt-get", "install", "-y", "--no-install-recommends", "/next.deb", check=check)


# --- the computer is switched off, and on again


def went_off_in_order(machine: Machine) -> None:
    """The run of edged that the switching off ended left by itself, with no word of a timeout or a kill."""
    said = machine.sh(f"journalctl -b -1 -u {UNIT} -o cat --no-pager")
    assert "edged.service: Deactivated successfully" in said
    assert not re.search(r"SIGKILL|SIGABRT|timed out|Failed with result", said)


@pytest.mark.parametrize("order", ["poweroff", "reboot"])
def test_a_computer_is_switched_off_while_a_car_charges_and_all_energy_is_told_once(
    off: Machine, outside: Outside, yard: Yard, order: str
):
    machine = off
    csms = serve(machine, outside, use_yard)
    number = start_charging(machine, csms, yard)
    limit_ma = yard.get(1, "limit_ma")
    machine.run("systemctl", order, check=False)
    if order == "poweroff":
        machine.has_gone_off()
        assert yard.get(1, "limit_ma") == limit_ma  # nothing was told it
        machine.until(lambda: yard.get(1, "failsafe_active"), what="the charger falls back by itself")
        assert csms.connected() == []
        machine.boot()
    else:
        machine.has_restarted()
        assert yard.get(1, "contactor") == "closed"
    without_us_wh = yard.get(1, "energy_wh")
    connect(machine, outside)
    end = csms.wait("StopTransaction")
    assert (end["transactionId"], end["reason"]) == (number, "PowerLoss")
    assert without_us_wh - 1 <= end["meterStop"] <= yard.get(1, "energy_wh")
    machine.until(lambda: yard.get(1, "contactor") == "open", what="what is over gets no more energy")
    went_off_in_order(machine)
    machine.until(lambda: site.status(machine)["stations"][0]["csms"]["registration"] == "Accepted")
    yard.ask(1, "plug_out")
    machine.until(lambda: not site.connector(machine, 1)["plugged"], what="the car has left")
    following = start_charging(machine, csms, yard)
    assert csms.received("StartTransaction")[1]["meterStart"] >= end["meterStop"]
    stop_charging(csms, yard)
    assert [one["transactionId"] for one in csms.received("StopTransaction")] == [number, following]
    assert csms.violations() == []


# --- Debian replaces what edged is made of


@pytest.fixture(scope="session")
def needrestart(debian: Path, installed: Path, new_layer: Callable[..., Path], suite: str) -> Path:
    """A layer: a library to be put there anew, and needrestart, which restarts what uses it without asking."""

    def make(folder: Path) -> None:
        with Chroot([installed, debian], folder) as chroot:
            chroot.give_network()
            chroot.run("apt-get", "install", "-y", "--no-install-recommends", "needrestart")
            chroot.run("apt-get", "install", "-y", "--reinstall", "--download-only", LIBRARY)
            chroot.write("/etc/needrestart/conf.d/automatic.conf", "$nrconf{restart} = 'a';\n")
            (chroot.root / "etc/resolv.conf").write_text("")

    return new_layer(f"needrestart-{suite}", make)


def test_needrestart_starts_edged_again_under_a_charging_car_and_only_when_it_must(
    new_machine: Callable[..., Machine],
    needrestart: Path,
    installed: Path,
    debian: Path,
    newer: Path,
    outside: Outside,
    yard: Yard,
):
    machine = new_machine(needrestart, installed, debian)
    csms = serve(machine, outside, use_yard)
    number = start_charging(machine, csms, yard)
    watch = yard.watch(1)
    pid = machine.pid()
    said = machine.run("apt-get", "install", "-y", "--reinstall", LIBRARY).stdout
    assert "systemctl restart edged.service" in said
    machine.until(lambda: machine.is_back(pid), what="it serves with the new library")
    csms.wait("BootNotification", 2)
    assert "edged" not in machine.run("needrestart", "-b", "-r", "l").stdout
    said = upgrade(machine, newer).stdout
    assert "systemctl restart edged.service" not in said  # the package has done it
    csms.wait("BootNotification", 3)
    assert site.running(machine, 1)["csms_id"] == number
    assert watch.positions() == ["closed"]
    assert stop_charging(csms, yard)["transactionId"] == number
    assert len(csms.received("BootNotification")) == 3
    assert csms.violations() == []


# --- somebody has used the name before


def has(machine: Machine, path: str) -> str:
    return machine.sh(f"stat -c '%U:%G %a' {path}")


def test_a_user_of_that_name_who_is_there_already_is_the_one_that_it_runs_as_and_stays(blank: Machine):
    """An earlier installation by hand: its user, its folders, its configuration."""
    blank.sh("groupadd -g 4321 edged && useradd -u 1234 -g edged -m -d /home/edged -s /bin/bash edged")
    user = blank.sh("getent passwd edged")
    site.furnish(blank)
    blank.sh("mkdir /var/lib/edged /home/edged/work && touch /var/lib/edged/old")
    blank.sh(
        f"chown -R edged:edged /var/lib/edged /home/edged /etc/edged; chmod -R go= /etc/edged; chmod 600 {site.CONFIG}"
    )
    blank.run("apt-get", "install", "-y", "--no-install-recommends", "/edged.deb")
    blank.run("systemctl", "start", "chargers")
    blank.until(blank.is_active, what="edged serves")
    blank.until(lambda: site.connector(blank, 1)["status"] == "Available", what="it reaches its chargers")
    assert re.search(r"^Uid:\s+1234\s+1234\s", blank.sh(f"cat /proc/{blank.pid()}/status"), re.MULTILINE)
    assert blank.sh("getent passwd edged") == user
    assert "dialout" in blank.sh("id -nG edged").split()
    assert has(blank, "/var/lib/edged") == "edged:edged 750"
    assert has(blank, site.DATABASE) == "edged:edged 600"
    assert has(blank, "/etc/edged") == "root:root 755"
    assert has(blank, "/etc/edged/credentials") == "root:root 700"
    blank.run("apt-get", "purge", "-y", "edged")
    assert blank.sh("getent passwd edged") == user
    assert has(blank, "/home/edged/work") == "edged:edged 755"


def test_the_state_of_a_former_user_goes_to_the_one_who_has_the_name_now(
    off: Machine, outside: Outside, yard: Yard, deb: Path
):
    """He has no group of that name, and the numbers on the files are nobody's. A transaction runs meanwhile."""
    machine = off
    csms = serve(machine, outside, use_yard)
    number = start_charging(machine, csms, yard)
    before = machine.sh("id -u edged")
    machine.run("apt-get", "remove", "-y", "edged")
    machine.sh("userdel edged && useradd -u 4567 -N -g users -m -d /srv/edged -s /bin/bash edged")
    assert machine.sh(f"stat -c %u {site.DATABASE}") == before
    upgrade(machine, deb)
    machine.until(machine.is_active, what="edged serves")
    csms.wait("BootNotification", 2)
    assert machine.sh("id -u edged") == "4567"
    assert machine.sh("find /var/lib/edged /run/edged ! -user edged -o ! -group edged") == ""
    assert site.running(machine, 1)["csms_id"] == number
    assert stop_charging(csms, yard)["transactionId"] == number
    assert csms.violations() == []


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        pytest.param(site.CONFIG, f"{site.CONFIG}: cannot be read (Permission denied): let this user", id="settings"),
        pytest.param(site.DATABASE, f"{site.DATABASE} is not this user's to read and write: sudo chown", id="database"),
    ],
)
def test_a_file_that_is_somebody_elses_is_named(machine: Machine, path: str, sentence: str):
    machine.run("systemctl", "stop", UNIT)
    machine.sh(f"chown root:root {path} && chmod 600 {path}")
    machine.run("systemctl", "start", UNIT, check=False)
    machine.until(lambda: sentence in machine.journal("-n", "20"), what="it is told")
    assert "Traceback" not in machine.journal()
    machine.sh(f"chown edged: {path}")
    machine.run("systemctl", "restart", UNIT)
    assert machine.is_active()


def test_a_unit_that_was_written_by_hand_is_named_at_each_installation(blank: Machine):
    blank.write(f"/etc/systemd/system/{UNIT}", "[Service]\nExecStart=/opt/edged/bin/edged\n")
    done = blank.run("apt-get", "install", "-y", "--no-install-recommends", "/edged.deb")
    assert f"/etc/systemd/system/{UNIT} hides the package's own" in done.stdout
    blank.sh(f"rm /etc/systemd/system/{UNIT} && systemctl daemon-reload && systemctl mask edged")
    done = blank.run("apt-get", "install", "-y", "--reinstall", "/edged.deb")
    assert "hides" not in done.stdout


# --- the disks are full when a newer edged comes


def is_installed(machine: Machine, version: str) -> bool:
    """As a whole, and dpkg has nothing left to do."""
    found = machine.run("dpkg-query", "-W", "-f", "${Status} ${Version}", "edged").stdout
    return found == f"install ok installed {version}" and machine.sh("dpkg --audit") == ""


@pytest.mark.parametrize("at_the_end", [False, True], ids=["before it", "when edged has made room itself"])
def test_an_upgrade_with_no_room_for_the_state_is_whole_and_no_transaction_is_lost(
    small: Callable[..., Machine], outside: Outside, yard: Yard, newer: Path, at_the_end: bool
):
    """At its end edged makes its log's room free. Who runs on a full disk keeps it, and needs no other to start."""
    machine = small()
    csms = serve(machine, outside, use_yard)
    number = start_charging(machine, csms, yard)
    pid = machine.pid()
    if at_the_end:
        machine.drop_in("fill", f"ExecStopPost=+-/bin/dd if=/dev/zero of={site.STATE}/ballast bs=4k")
    else:
        site.fill(machine)
    upgrade(machine, newer)
    assert is_installed(machine, NEWER)
    if at_the_end:
        machine.until(lambda: FULL in machine.journal("-n", "20"), what="it is told")
        machine.sh(f"rm /run/systemd/system/{UNIT}.d/fill.conf && systemctl daemon-reload")
    else:
        machine.until(lambda: machine.is_back(pid), what="the newer one serves all the same")
    machine.sh(f"rm {site.STATE}/ballast")
    machine.until(lambda: machine.is_back(pid), what="it serves as soon as there is room")
    csms.wait("BootNotification", 2)
    assert "Traceback" not in machine.journal()
    machine.until(lambda: site.running(machine, 1).get("csms_id") == number, what="the transaction goes on")
    machine.until(lambda: yard.get(1, "contactor") == "closed", what="energy flows")
    at_wh = yard.get(1, "energy_wh")
    end = stop_charging(csms, yard)
    assert end["transactionId"] == number
    assert at_wh - 1 <= end["meterStop"] <= yard.get(1, "energy_wh")
    assert len(csms.received("StopTransaction")) == 1
    assert csms.violations() == []


@pytest.fixture
def cramped(memory: Path, installed: Path, debian: Path) -> Iterator[Machine]:
    """A machine whose whole disk is small. As with snapshots, taking the old program away makes no room on it."""
    folder = memory / "cramped"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", folder], check=True)
    with Machine([installed, debian], folder) as machine:
        yield machine
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


def leave(machine: Machine, mib: int) -> None:
    """So much room, and no more."""
    machine.sh("rm -f /ballast")
    free = int(machine.sh("df -BM --output=avail / | tail -1").strip(" M"))
    machine.sh(f"dd if=/dev/zero of=/ballast bs=1M count={free - mib} 2>/dev/null")


def test_an_upgrade_that_has_no_room_is_refused_before_it_begins_and_the_old_one_serves_on(
    cramped: Machine, outside: Outside, yard: Yard, newer: Path
):
    machine = cramped
    csms = serve(machine, outside, use_yard)
    number = start_charging(machine, csms, yard)
    watch = yard.watch(1)
    leave(machine, 14)
    done = upgrade(machine, newer, check=False)
    assert done.returncode
    assert "edged: 20 MiB are needed below /usr/lib" in done.stdout + done.stderr
    assert is_installed(machine, __version__)
    machine.until(machine.is_active, what="the old one serves")
    assert site.running(machine, 1)["csms_id"] == number
    pid = machine.pid()
    leave(machine, 21)
    machine.run("dpkg", "--install", "/next.deb")  # apt would like to have room for a cache of its lists
    assert is_installed(machine, NEWER)
    machine.until(lambda: machine.is_back(pid), what="the newer one serves")
    assert watch.positions() == ["closed"]
    assert stop_charging(csms, yard)["transactionId"] == number
    assert csms.violations() == []


# --- mutants: what is broken here, the tests above must find


def flaw(machine: Machine, lines: str) -> None:
    machine.write(f"/etc/systemd/system/{UNIT}.d/flaw.conf", f"[Service]\n{lines}\n")


def test_the_tests_find_a_daemon_that_has_to_be_killed_at_a_reboot(off: Machine, outside: Outside, yard: Yard):
    flaw(off, "KillSignal=SIGCONT\nTimeoutStopSec=2")
    with pytest.raises(AssertionError, match="Deactivated"):
        test_a_computer_is_switched_off_while_a_car_charges_and_all_energy_is_told_once(off, outside, yard, "reboot")


def test_the_tests_find_energy_that_flowed_while_the_computer_was_off_and_is_told_to_nobody(
    off: Machine, outside: Outside, yard: Yard
):
    broken(off, path=TRANSACTION, old="most_wh = kept_wh + energy_register", new="most_wh = 0 * energy_register")
    with pytest.raises(AssertionError, match=r" <= \d"):
        test_a_computer_is_switched_off_while_a_car_charges_and_all_energy_is_told_once(off, outside, yard, "reboot")


def test_the_tests_find_a_restart_that_counts_as_a_power_cut(
    new_machine: Callable[..., Machine],
    needrestart: Path,
    installed: Path,
    debian: Path,
    newer: Path,
    outside: Outside,
    yard: Yard,
    memory: Path,
):
    layer = memory / "flaw"
    bent = layer / f"etc/systemd/system/{UNIT}.d/flaw.conf"
    bent.parent.mkdir(parents=True, exist_ok=True)
    bent.write_text("[Service]\nRuntimeDirectoryPreserve=no\n")

    def with_flaw(*lowers: Path) -> Machine:
        return new_machine(layer, *lowers)

    with pytest.raises((AssertionError, KeyError)):
        test_needrestart_starts_edged_again_under_a_charging_car_and_only_when_it_must(
            with_flaw, needrestart, installed, debian, newer, outside, yard
        )


def test_the_tests_find_a_package_that_takes_the_user_away(blank: Machine):
    bent = package.built_as(
        "99.7.0", lambda tree: added(tree / "DEBIAN/postrm", "[ $1 != purge ] || sed -i /^edged:/d /etc/passwd")
    )
    shutil.copy(bent, blank.root / "edged.deb")
    with pytest.raises(Dead, match="getent passwd"):
        test_a_user_of_that_name_who_is_there_already_is_the_one_that_it_runs_as_and_stays(blank)


def test_the_tests_find_state_that_stays_a_former_users(off: Machine, outside: Outside, yard: Yard, deb: Path):
    flaw(off, "StateDirectory=\nReadWritePaths=/var/lib/edged")
    with pytest.raises(Dead, match="edged serves"):
        test_the_state_of_a_former_user_goes_to_the_one_who_has_the_name_now(off, outside, yard, deb)


def test_the_tests_find_a_package_that_is_half_installed_where_its_service_does_not_start(
    small: Callable[..., Machine], outside: Outside, yard: Yard
):
    bent = package.built_as("99.7.1", starts_or_fails)
    with pytest.raises(Dead, match="apt-get install"):
        test_an_upgrade_with_no_room_for_the_state_is_whole_and_no_transaction_is_lost(
            small, outside, yard, bent, at_the_end=True
        )


def test_the_tests_find_a_package_that_does_not_ask_for_room(cramped: Machine, outside: Outside, yard: Yard):
    bent = package.built_as("99.7.2", lambda tree: (tree / "DEBIAN/preinst").unlink())
    with pytest.raises(AssertionError, match="20 MiB"):  # dpkg fails: in the middle of it
        test_an_upgrade_that_has_no_room_is_refused_before_it_begins_and_the_old_one_serves_on(
            cramped, outside, yard, bent
        )
    assert not is_installed(cramped, __version__)


def added(script: Path, line: str) -> None:
    script.write_text(f"{script.read_text()}\n{line}\n")


def starts_or_fails(tree: Path) -> None:
    script = tree / "DEBIAN/postinst"
    text = script.read_text()
    line = next(line for line in text.splitlines() if "deb-systemd-invoke" in line and "edged.service" in line)
    script.write_text(text.replace(line, line.replace("|| true", "")))
