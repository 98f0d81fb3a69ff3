"""From a .deb to a site in service, as its installer goes, and a new computer in the place of the old one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.setup.conftest import Terminal
from tests.packaging import site
from tests.packaging.machine import UNIT, Machine
from tests.packaging.outside import HERE, URL, Outside
from tests.packaging.roots import ROOT
from tests.packaging.test_service import hanging, watched

STATION = f"""\
gateway: {{id: depot-7}}
stations:
  - id: {site.STATION}
    csms:
      url: {URL}
      versions: [ocpp1.6]
      password: {{file: password.txt}}
"""
LOOK = ("edged", "scan", "--serial", site.YARD, "--baudrates", "19200", "--parities", "even", "--to", "3")
FAILS_HERE = {("disk", "file system")}
"""What edged doctor is right to call failed on such a machine: its disk is an overlay in memory."""
ASIDE_HERE = {
    ("configuration", "file"),  # one warning: a password without TLS
    ("security", site.STATION),
    ("service", "cryptography"),  # only recommended, and not installed
    ("clock", "synchronization"),
    ("clock", "battery"),
    ("network", "route"),  # the cable leads to the CSMS and no further
}


class At(Terminal):
    """Somebody at a terminal of a machine."""

    def __init__(self, machine: Machine, *command: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 140, 0, 0))
        login = (
            "import fcntl,os,sys,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", login, *machine.words("env", "TERM=dumb", *command)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._seen = 0


@pytest.fixture
def at() -> Iterator[Callable[..., At]]:
    opened: list[At] = []

    def sit_down(machine: Machine, *command: str) -> At:
        opened.append(At(machine, *command))
        return opened[-1]

    yield sit_down
    for each in opened:
        each.close()


@pytest.fixture
def fresh(new_machine: Callable[..., Machine], package_layer: Path, debian: Path) -> Machine:
    """A booted machine with the package as it comes, and the chargers at its serial line."""
    machine = new_machine(package_layer, debian)
    machine.boot()
    wire_up(machine)
    return machine


def wire_up(machine: Machine) -> None:
    """The chargers, without a line of configuration."""
    machine.write("/etc/systemd/system/chargers.service", site.CHARGERS)
    machine.run("systemctl", "enable", "--now", "chargers.service")
    machine.until(lambda: machine.run("test", "-e", site.CONTROL, check=False).returncode == 0)


def findings(machine: Machine) -> dict[tuple[str, str], str]:
    """What edged doctor does not call well, with its level."""
    said = json.loads(machine.run("edged", "doctor", "--json", check=False).stdout)
    return {(one["part"], one["subject"]): one["level"] for one in said["findings"] if one["level"] != "ok"}


def failed(machine: Machine) -> set[tuple[str, str]]:
    return {what for what, level in findings(machine).items() if level == "failed"}


def entries(machine: Machine, *matches: str) -> list[dict[str, str]]:
    machine.run("journalctl", "--sync")
    return [json.loads(line) for line in machine.journal("-o", "json", *matches).splitlines()]


def cable(machine: Machine, state: str) -> None:
    machine.run("ip", "link", "set", "eth0", state)


@pytest.mark.long
def test_from_the_package_to_the_first_car(blank: Machine, outside: Outside):
    machine = blank
    machine.run("apt-get", "install", "-y", "--no-install-recommends", "/edged.deb")
    wire_up(machine)
    chargers = json.loads(machine.run(*LOOK, "--json").stdout)["snippet"]
    machine.write("/root/answers.yaml", f"{STATION}{chargers}\n".replace("unit-1", "left").replace("unit-2", "right"))
    machine.write("/root/password.txt", site.PASSWORD, mode=0o600)
    machine.run("edged", "setup", "--answers", "/root/answers.yaml")
    assert machine.read("/etc/edged/credentials/csms-password").strip() == site.PASSWORD
    assert site.PASSWORD not in machine.read(site.CONFIG)
    assert machine.sh("stat -c '%U %a' /etc/edged/credentials/csms-password") == "root 600"
    assert "left" in machine.run("edged", "check").stdout

    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    machine.run("systemctl", "enable", "--now", UNIT)
    csms.wait("BootNotification")
    machine.until(lambda: site.connector(machine, 1)["status"] == "Available")
    machine.until(lambda: site.status(machine)["stations"][0]["csms"]["registration"] == "Accepted")
    assert failed(machine) == FAILS_HERE
    assert findings(machine).keys() - FAILS_HERE <= ASIDE_HERE
    assert "serves" in machine.journal()

    number = site.start_charging(machine, csms)
    assert site.stop_charging(machine, csms)["transactionId"] == number
    assert csms.violations() == []
    cable(machine, "down")
    site.charger(machine, 1, "plug_in")
    machine.until(lambda: site.connector(machine, 1)["plugged"])
    machine.run("edged", "ctl", "present_token", "connector=1", f"id_token={site.TOKEN}", check=False)
    machine.until(
        lambda: site.charger(machine, 1, "get")["contactor"] == "closed",
        within_s=90,
        what="a known card is let in, as soon as the silence is noticed",
    )
    site.charger(machine, 1, "plug_out")
    machine.until(lambda: not site.connector(machine, 1)["plugged"])
    machine.until(lambda: ("csms", site.STATION) in failed(machine), what="the doctor misses the cable")
    cable(machine, "up")
    csms.wait("StopTransaction", 2)

    of_connector = entries(machine, "EDGED_CONNECTOR=1")
    visits = [one for one in of_connector if "transaction.started" in one["MESSAGE"]]
    assert len({one["EDGED_TRANSACTION"] for one in visits}) == 2
    assert {one["EDGED_STATION"] for one in of_connector} == {site.STATION}


def test_a_person_at_a_terminal_is_asked_and_has_a_site_that_runs(fresh: Machine, at: Callable[..., At]):
    here = at(fresh, "edged", "setup")
    here.answer("Name of this gateway", "depot-7")
    here.answer("Which line is it on", here.wait_for("a serial port that is not listed").split()[-1])
    here.answer("The path of the port", site.YARD)
    here.answer("Look who is on it?")
    here.answer("Unit ids to ask", "1-2")
    here.wait_for("unit 2 answers after")
    for unit, name in ((1, "left"), (2, "right")):
        here.answer(f"Take unit {unit}?")
        here.answer("Its name", name)
        here.answer("Its profile")
        here.answer("At most how many ampere", "16")
    here.answer("What next")
    here.answer("Identity of the station", site.STATION)
    for question in ("Vendor", "Model", "Serial number"):
        here.answer(question)
    here.answer("Address of the CSMS", URL)
    here.answer("Which OCPP")
    here.answer("Which security profile")
    here.answer("The station's password", "1")
    here.answer("(it is not shown)", site.PASSWORD)
    here.answer("once more", site.PASSWORD)
    here.answer("Connect to a broker?")
    here.answer("What next", "1")
    here.answer("Start edged now")
    assert here.ended() == 0
    assert site.PASSWORD not in here.shown
    assert fresh.is_active()
    assert [one["charger"] for one in site.status(fresh)["stations"][0]["connectors"]] == ["left", "right"]


def test_secrets_are_for_root_and_the_daemon_and_everybody_else_is_told_so(machine: Machine):
    machine.run("useradd", "--groups", "edged", "installer")
    machine.run("useradd", "guest")

    def says(who: str, *words: str) -> str:
        done = machine.run("runuser", "-u", who, "--", *words, check=False)
        assert done.returncode, (who, words)
        return done.stderr

    def edged(who: str, *words: str) -> str:
        return machine.run("runuser", "-u", who, "--", "edged", *words).stdout

    assert site.STATION in edged("installer", "status")
    edged("installer", "ctl", "backup")
    told = edged("installer", "status", "--json") + edged("installer", "ctl", "list_reservations") + machine.journal()
    machine.run("edged", "backup", "/tmp/depot.tar.gz")
    for who in ("installer", "guest"):
        assert "with sudo" in says(who, "edged", "check")
        assert "use sudo" in says(who, "edged", "backup", "/tmp/own.tar.gz")
        readable = f"find /etc/edged/credentials {site.STATE} /tmp/depot.tar.gz -type f -readable ! -name '*.lock' 2>&-"
        found = machine.run("runuser", "-u", who, "--", "sh", "-c", readable, check=False).stdout
        assert found == "", "nobody else can read what may be secret"
    assert "join the group edged" in says("guest", "edged", "status")
    assert site.PASSWORD not in told + machine.run("edged", "doctor", "--json", check=False).stdout


def test_a_new_computer_goes_on_where_the_backup_was_made(machine: Machine, fresh: Machine, outside: Outside):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    machine.until(lambda: site.connector(machine, 2)["status"] == "Available")
    order = {"connectorId": 2, "expiryDate": "2099-01-01T00:00:00Z", "idTag": site.TOKEN, "reservationId": 7}
    machine.until(lambda: csms.call("ReserveNow", order) == {"status": "Accepted"}, what="the reservation is taken")
    change = {"key": "ConnectionTimeOut", "value": "77"}
    assert csms.call("ChangeConfiguration", change) == {"status": "Accepted"}
    site.start_charging(machine, csms)
    machine.run("edged", "backup", "/root/depot.tar.gz")
    assert site.charger(machine, 1, "get")["contactor"] == "closed"
    machine.cut_power()

    shutil.copy(machine.root / "root/depot.tar.gz", fresh.root / "root")
    told = fresh.run("edged", "restore", "/root/depot.tar.gz").stdout
    assert f"{site.STATION} connector 1: transaction 1 " in told, "the car that charged is to be looked up"
    outside.plug_in(fresh)
    fresh.run("systemctl", "start", UNIT)
    csms.wait("BootNotification", 2)
    assert csms.connected() == [site.STATION]
    station = site.status(fresh)["stations"][0]
    assert [one["id"] for one in station["reservations"]] == [7]
    assert station["transactions"] == []
    (key,) = csms.call("GetConfiguration", {"key": ["ConnectionTimeOut"]})["configurationKey"]
    assert key["value"] == "77"
    assert fresh.sh("stat -c '%U %a' /etc/edged/credentials/csms-password") == "root 600"
    assert csms.violations() == []


def test_the_last_backup_of_the_old_computer_goes_on_with_the_new_one_alone(
    machine: Machine, fresh: Machine, outside: Outside
):
    csms = outside.csms(site.STATION, site.PASSWORD)
    outside.plug_in(machine)
    csms.wait("BootNotification")
    number = site.start_charging(machine, csms)
    machine.run("systemctl", "stop", UNIT)
    machine.run("edged", "backup", "--final", "/root/depot.tar.gz")
    machine.run("systemctl", "start", UNIT, check=False)
    machine.until(lambda: machine.show("ActiveState") == "failed", what="the old one does not serve again")

    shutil.copy(machine.root / "root/depot.tar.gz", fresh.root / "root")
    fresh.run("edged", "restore", "/root/depot.tar.gz")
    outside.plug_in(fresh)
    fresh.run("systemctl", "start", UNIT)
    assert csms.wait("StopTransaction")["transactionId"] == number
    assert csms.violations() == []


def test_a_hang_is_told_after_a_restart_of_the_computer_whose_journal_is_in_memory(off: Machine):
    machine = off
    machine.write("/etc/systemd/journald.conf.d/60-memory.conf", "[Journal]\nStorage=volatile\n")
    machine.boot()
    machine.until(machine.is_active)
    hanging(machine)
    pid = watched(machine)
    machine.signal(signal.SIGUSR1)
    machine.until(lambda: machine.is_back(pid), what="the watchdog has acted")
    machine.cut_power()
    machine.boot()
    machine.until(machine.is_active)
    assert "Fatal Python error" not in machine.journal(), "the journal knows nothing any more"
    first, second, *_ = site.status(machine)["history"]["runs"]
    assert first["why"] == "power lost"
    assert second["why"] == "edged failed"
    assert "Aborted" in second["detail"]
    assert "edged failed" in machine.run("edged", "status").stdout
    assert "hang.py" in machine.read(f"{site.STATE}/last_crash.txt")


# --- security profiles, by the commands of their page

PAGE = ROOT / "docs" / "security-profiles.md"
NAME = "csms.example.com"


def blocks(page: str) -> list[str]:
    """What is indented on a page, block by block."""
    found = re.findall(r"(?:^    .*\n)+", page, re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def do(machine: Machine, marker: str) -> None:
    """The block of the page with these words, as root in /root."""
    (block,) = [block for block in blocks(PAGE.read_text()) if marker in block]
    machine.sh("cd /root && " + block.replace("sudo ", "").strip().replace("\n", " && "))


def way(machine: Machine, place: int, *, change: tuple[str, str] = ("", ""), take_over: str = "reload") -> None:
    """The nth section `csms` of the page, taken over."""
    block = [block for block in blocks(PAGE.read_text()) if block.startswith("csms:")][place]
    section = textwrap.indent(block.replace(*change) + "  versions: [ocpp1.6]\n", "    ")
    head, _, rest = site.SETTINGS.partition("    csms:\n")
    machine.write(site.CONFIG, head + section + rest[rest.index("    evses:") :])
    machine.run("edged", "check")
    machine.run("systemctl", take_over, UNIT)
    assert machine.show("ActiveState") in ("active", "reloading"), "a reload is no stop"


def says(machine: Machine, *sentences: str) -> None:
    """Whether edged doctor says so of the way to the CSMS, and the page shows it as that."""
    said = machine.run("edged", "doctor", "--only", "csms", check=False).stdout
    for sentence in sentences:
        for text in (said, PAGE.read_text()):
            assert sentence in " ".join(text.split())


def no_line(machine: Machine, reason: str) -> bool:
    return reason in str(site.status(machine)["stations"][0]["csms"]["reason"])


def profile(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = site.status(machine)["stations"][0]["security"]
    return found


@pytest.mark.long
def test_from_security_profile_0_to_3_by_its_page(machine: Machine, outside: Outside, tmp_path: Path):
    machine.sh(f"echo {HERE} {NAME} other.example.com >> /etc/hosts")
    for marker in ("-x509", "csms.csr -CA ca.pem", "-keyout station.key"):
        do(machine, marker)
    do(machine, "station.csr -CA ca.pem")
    files = [machine.root / "root" / name for name in ("csms.crt", "csms.key", "ca.pem")]
    old = outside.csms(site.STATION, site.PASSWORD, "443", *files[:2], port=80)
    new = outside.csms(site.STATION, "", "8443", *files, port=81)
    outside.plug_in(machine)

    machine.write("/etc/edged/credentials/csms-password", "not the password at all", mode=0o600)
    way(machine, 0, take_over="restart")
    machine.until(lambda: no_line(machine, "401"))
    says(machine, "failed DEPOT-7: the CSMS refuses the identity DEPOT-7 or its password (HTTP 401)")
    machine.write("/etc/edged/credentials/csms-password", site.PASSWORD, mode=0o600)
    machine.run("systemctl", "restart", UNIT)
    old.wait("BootNotification")
    assert profile(machine)["profile"] == 1

    way(machine, 1)
    machine.until(lambda: no_line(machine, "certificate"))
    says(
        machine, "failed DEPOT-7: the CSMS's certificate comes from Example Energy CA, which is none of this computer's"
    )
    do(machine, "ca.pem /etc/edged")
    way(machine, 2, change=(NAME, "other.example.com"))
    machine.until(lambda: no_line(machine, "certificate"))
    says(machine, "failed DEPOT-7: the CSMS's certificate is not for other.example.com: it is for csms.example.com")
    way(machine, 2)
    old.wait("BootNotification", 2)
    says(
        machine,
        "ok DEPOT-7: TLSv1.3 with the CSMS: certificate of csms.example.com from Example Energy CA, until",
        "ok DEPOT-7: edged is connected (ocpp1.6, security profile 2)",
    )

    way(machine, 2, change=(f"{NAME}/", f"{NAME}:8443/"))
    machine.until(lambda: not site.status(machine)["stations"][0]["csms"]["connected"])
    says(machine, "failed DEPOT-7: csms.example.com:8443 hangs up behind the TLS handshake")
    do(machine, "station.crt /etc/edged")
    way(machine, 3, take_over="restart")
    new.wait("BootNotification")
    assert profile(machine)["profile"] == 3
    machine.run("edged", "doctor", "--only", "csms")

    way(machine, 4)
    old.wait("BootNotification", 3)
    assert old.call("ChangeConfiguration", {"key": "SecurityProfile", "value": "2"}) == {"status": "Accepted"}
    machine.until(lambda: profile(machine) == {"profile": 2, "on_trial": False})
    machine.run("edged", "doctor", "--only", "csms")
