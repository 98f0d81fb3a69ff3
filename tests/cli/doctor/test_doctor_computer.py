"""How the doctor looks at a computer: its own folder tree, and programs that say anything at all."""

from __future__ import annotations

import os
import pwd
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.cli.doctor import clock, disk, service
from edged.cli.doctor.computer import TEXT_BYTES, Computer
from edged.cli.doctor.configuration import Site, credential_of, judge, read_site
from edged.cli.doctor.daemon import Daemon, Presence
from edged.cli.doctor.finding import Level
from edged.cli.doctor.look_computer import look_at_clock, look_at_disk, look_at_service
from edged.cli.doctor.look_lines import look_at_network, look_at_serial, unit_of
from edged.cli.doctor.names import Resolver
from edged.cli.doctor.places import Page
from edged.cli.doctor.serial_lines import Unit
from tests.cli.doctor.judged import bad, has, only
from tests.fakes.somebody import as_somebody

SITE = """\
buses:
  yard: {serial: /dev/ttyUSB0}
chargers:
  left: {profile: heidelberg-energy-control, bus: yard, unit_id: 1, reset_relay: {gpio: /dev/gpiochip7, line: 1}}
  right: {profile: phoenix-charx-sec, tcp: "127.0.0.1:1", point: 2}
stations:
  - id: DEPOT-7
    csms: {url: "ws://127.0.0.1:9/ocpp"}
    evses: [{charger: left}, {charger: right}]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def computer(root: Path, tmp_path: Path) -> Computer:
    (tmp_path / "bin").mkdir()
    return Computer(root, path=f"{tmp_path / 'bin'}:/usr/bin:/bin")


def put(root: Path, path: str, text: str = "") -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def program(tmp_path: Path, name: str, script: str) -> None:
    place = tmp_path / "bin" / name
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)


def site_of(tmp_path: Path, text: str = SITE) -> Site:
    path = tmp_path / "edged.yaml"
    path.write_text(text)
    site = read_site(path)
    assert site.settings is not None, site.errors
    return site


# --- programs and files


def test_a_program_is_asked_in_the_c_locale_and_its_status_told(tmp_path: Path, computer: Computer):
    program(tmp_path, "tell", 'echo "$1 $LC_ALL"; exit 3')
    answer = computer.run("tell", "hello")
    assert (answer.status, answer.text) == (3, "hello C\n")


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path, computer: Computer):
    program(tmp_path, "hang", f"echo begun; sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60' & wait")
    answer = computer.run("hang", within_s=0.5)
    assert answer.status is None
    assert "does not come to an end" in answer.problem
    child = int((tmp_path / "pid").read_text())
    for _ in range(200):
        try:
            os.kill(child, 0)
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            break
        if state == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("its child lives on")


def test_a_program_that_floods_is_cut_off(tmp_path: Path, computer: Computer):
    program(tmp_path, "flood", "exec cat /dev/zero")
    answer = computer.run("flood")
    assert "says too much" in answer.problem
    assert len(answer.text) < 2 * TEXT_BYTES


def test_a_program_that_is_not_there_is_no_error(computer: Computer, tmp_path: Path):
    assert "there is no nonsense here" in computer.run("nonsense").problem
    place = tmp_path / "bin" / "odd"
    place.write_bytes(b"\x7fELF nonsense")
    place.chmod(0o755)
    assert "cannot be started" in computer.run("odd").problem


def test_files_are_read_up_to_a_bound_and_pipes_not_at_all(root: Path, computer: Computer):
    put(root, "/etc/large", "x" * (2 * TEXT_BYTES))
    assert len(computer.text("/etc/large") or "") == TEXT_BYTES
    os.mkfifo(root / "etc/pipe")
    assert computer.text("/etc/pipe") is None
    assert computer.text("/etc") is None
    assert computer.text("/none\x00") is None
    assert computer.names("/etc/large") is None


# --- the service

SHOWN = "Id=edged.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNRestarts=2\n"


def test_a_booted_computer_is_asked_by_systemctl(tmp_path: Path, root: Path, computer: Computer):
    program(
        tmp_path,
        "systemctl",
        f'case "$*" in *RuntimeWatchdog*) echo RuntimeWatchdogUSec=0;; *) printf "{SHOWN}";; esac',
    )
    (root / "run/systemd/system").mkdir(parents=True)
    put(root, "/dev/watchdog")
    put(root, "/etc/systemd/journald.conf", "[Journal]\nStorage=persistent\n")
    put(root, "/usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf", "[Journal]\nStorage=volatile\n")
    facts = look_at_service(site_of(tmp_path), Daemon(), computer)
    assert (facts.watchdog, facts.has_watchdog) == ("0", True)
    found = service.judge(facts)
    assert has(found, Level.OK, "the service runs (running), enabled")
    assert has(found, Level.NOTE, "again 2 times")
    assert has(found, Level.NOTE, "Storage=volatile")
    assert has(found, Level.NOTE, "hardware watchdog")


def test_an_own_drop_in_of_the_same_name_hides_the_systems(tmp_path: Path, root: Path, computer: Computer):
    (root / "run/systemd/system").mkdir(parents=True)
    put(root, "/usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf", "[Journal]\nStorage=volatile\n")
    put(root, "/etc/systemd/journald.conf.d/40-rpi-volatile-storage.conf", "[Journal]\nStorage=persistent\n")
    journal = look_at_service(site_of(tmp_path), Daemon(), computer).journal
    assert journal is not None
    assert journal.lasts


@pytest.mark.parametrize(
    "script", ["head -c 100000 /dev/urandom", "exit 1", "echo Failed to connect to bus >&2; exit 1"]
)
def test_whatever_systemctl_and_timedatectl_say_nothing_breaks(
    script: str, tmp_path: Path, root: Path, computer: Computer
):
    for name in ("systemctl", "timedatectl"):
        program(tmp_path, name, script)
    (root / "run/systemd/system").mkdir(parents=True)
    site = site_of(tmp_path)
    assert service.judge(look_at_service(site, Daemon(), computer))
    assert clock.judge(look_at_clock(site, Daemon(), computer))


def test_a_computer_without_systemd_is_told_so(tmp_path: Path, computer: Computer):
    assert has(
        service.judge(look_at_service(site_of(tmp_path), Daemon(), computer)), Level.NOTE, "not booted by systemd"
    )


# --- the clock


def test_the_clock_is_asked_by_timedatectl_and_the_flag_of_timesyncd(tmp_path: Path, root: Path, computer: Computer):
    program(tmp_path, "timedatectl", "echo NTP=yes; echo NTPSynchronized=yes")
    program(
        tmp_path,
        "systemctl",
        'shift; for each in "$@"; do case $each in chrony) echo active;; *) echo inactive;; esac; done',
    )
    put(root, "/sys/class/rtc/rtc0/name")
    site = site_of(tmp_path)
    facts = look_at_clock(site, Daemon(), computer)
    assert facts.clients == ("chrony",)
    assert (facts.synchronized, facts.ntp_flag, facts.has_rtc) == (True, False, True)
    put(root, "/run/systemd/timesync/synchronized")
    assert look_at_clock(site, Daemon(), computer).ntp_flag


def test_a_clock_that_differs_from_the_running_edgeds_is_told(tmp_path: Path, computer: Computer):
    now = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    told = {"stations": [{"clock": {"utc": "2026-08-22T10:00:00+00:00", "synchronized": True}}]}
    daemon = Daemon(presence=Presence.RUNNING, status=told, asked_at=now)
    found = clock.judge(look_at_clock(site_of(tmp_path), daemon, computer))
    assert has(found, Level.FAILED, "behind that of the CSMS that edged asks")


# --- the disk


def test_the_state_is_looked_at_with_its_mount_and_its_room(tmp_path: Path, root: Path, computer: Computer):
    put(root, "/var/lib/edged/edged.db.damaged-20260822T100000Z")
    put(root, "/var/lib/edged/edged.db.damaged-20260822T100000Z-wal")
    put(root, "/proc/self/mountinfo", "1 2 8:1 / / rw,noatime - tmpfs tmpfs rw\n")
    (root / "var/lib/edged").chmod(0o755)
    facts = look_at_disk(site_of(tmp_path), Daemon(), computer, Path("/var/lib/edged"), None, "root")
    found = disk.judge(facts)
    assert has(found, Level.WARNING, "mode 0755")
    assert has(found, Level.FAILED, "(tmpfs), which is lost")
    assert has(
        found, Level.WARNING, "1 damaged database lie set aside, /var/lib/edged/edged.db.damaged-20260822T100000Z"
    )
    assert facts.room is not None


def test_secrets_beside_the_configuration_are_looked_at(tmp_path: Path):
    site = site_of(tmp_path)
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o755)
    (folder / "csms-password").write_text("x")
    (folder / "csms-password").chmod(0o644)
    found = disk.judge(look_at_disk(site, Daemon(), Computer(), tmp_path / "none", None, None))
    assert has(found, Level.FAILED, "may look into", command=f"chmod 700 {folder}")
    assert has(found, Level.FAILED, "may read", command=f"chmod 600 {folder}/csms-password")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="edged-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def test_who_may_not_look_is_told_what_was_not_seen(open_folder: Path):
    hidden = open_folder / "hidden"
    (hidden / "state").mkdir(parents=True)
    hidden.chmod(0o000)
    site = site_of(open_folder)
    with as_somebody():
        facts = look_at_disk(site, Daemon(), Computer(), hidden / "state", None, None)
    hidden.chmod(0o700)
    assert facts.hidden
    assert has(disk.judge(facts), Level.NOTE, "may not see", command="sudo edged doctor")


def test_what_edged_keeps_is_looked_at_by_its_owner_and_nothing_else(tmp_path: Path, root: Path, computer: Computer):
    ours = ("edged.db", "edged.db-wal", "crash.txt", "keys/a.pem", "transfer/requests")
    for name in (*ours, "lost+found", "edged.db.damaged-20260101T000000Z", "depot.tar.gz"):
        put(root, f"/var/lib/edged/{name}")
    facts = look_at_disk(site_of(tmp_path), Daemon(), computer, Path("/var/lib/edged"), None, "edged")
    kept = {each.path.removeprefix("/var/lib/edged/") for each in facts.kept}
    assert kept == {*ours, "keys", "transfer"}
    assert {each.owner for each in facts.kept} == {pwd.getpwuid(os.geteuid()).pw_name}


def test_a_file_in_the_place_of_the_state_is_told(tmp_path: Path, root: Path, computer: Computer):
    put(root, "/var/lib/edged")
    facts = look_at_disk(site_of(tmp_path), Daemon(), computer, Path("/var/lib/edged"), None, "edged")
    assert has(disk.judge(facts), Level.FAILED, "/var/lib/edged is no folder", command="sudo mv")


# --- lines


def test_a_port_is_looked_at_without_being_opened(tmp_path: Path):
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    os.close(theirs)
    try:
        facts = look_at_serial(
            site_of(tmp_path, SITE.replace("/dev/ttyUSB0", name)), Daemon(), Computer(), Unit(user="nobody")
        )
    finally:
        os.close(ours)
    assert facts is not None
    port = facts.ports[0]
    assert (port.line, port.device, port.exists) == ("yard", name, True)
    assert port.number is not None
    assert facts.chips[0].flaw


def test_a_port_that_is_a_file_or_is_missing_is_told(tmp_path: Path, root: Path, computer: Computer):
    put(root, "/dev/ttyUSB0")
    put(root, "/proc/77/comm", "ModemManager\n")
    put(root, "/proc/cmdline", "console=ttyUSB0,115200")
    for port, words in (("/dev/ttyUSB0", "is no serial port"), ("/dev/ttyUSB9", "there is no /dev/ttyUSB9")):
        facts = look_at_serial(site_of(tmp_path, SITE.replace("/dev/ttyUSB0", port)), Daemon(), computer, Unit())
        assert facts is not None
        assert facts.ports[0].number is None
        assert "ModemManager" in facts.running
        assert "/dev/ttyUSB0" in facts.consoles
        from edged.cli.doctor.serial_lines import judge as judge_serial

        assert has(judge_serial(facts), Level.FAILED, words)


def test_edged_is_known_as_who_holds_a_port_however_it_was_started(tmp_path: Path, root: Path, computer: Computer):
    put(root, "/dev/ttyUSB0")
    for pid, words in ((71, "/usr/bin/python3\0-I\0/usr/bin/edged\0run\0"), (72, "/usr/bin/minicom\0edged.cfg\0")):
        put(root, f"/proc/{pid}/cmdline", words)
        (root / f"proc/{pid}/fd").mkdir()
        (root / f"proc/{pid}/fd/5").symlink_to("/dev/ttyUSB0")
    facts = look_at_serial(site_of(tmp_path), Daemon(), computer, Unit())
    assert facts is not None
    assert facts.ports[0].holders == ((71, "edged"), (72, "minicom"))


def test_a_secret_that_others_may_read_is_closed_by_the_command(tmp_path: Path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o644)
    path = tmp_path / "edged.yaml"
    path.write_text(SITE.replace('ocpp"}', 'ocpp", password: "${credential:secret}"}'))
    only(judge(read_site(path)), Level.FAILED, "others may read", command=f"sudo chmod 0600 {tmp_path}/secret && sudo")


def test_without_a_unit_the_user_is_whoever_asks():
    unit = unit_of({}, "edged.service")
    assert unit.lets_through("ttyUSB", (188, 0), "/dev/ttyUSB0")
    loaded = {
        "LoadState": ("loaded",),
        "User": ("root",),
        "DevicePolicy": ("closed",),
        "SupplementaryGroups": ("dialout x",),
    }
    unit = unit_of({"edged.service": loaded}, "edged.service")
    assert unit.user == "root"
    assert {"root", "dialout", "x"} <= set(unit.groups)
    assert not unit.lets_through("ttyUSB", (188, 0), "/dev/ttyUSB0")


def test_network_chargers_are_asked_only_where_no_edged_has_them(tmp_path: Path, computer: Computer):
    site = site_of(tmp_path)
    alone = look_at_network(site, Daemon(), computer, Resolver(), {}, offline=False)
    assert [str(each.trouble) for each in alone.knocks] == ["refused"]
    for presence in (Presence.RUNNING, Presence.FORBIDDEN, Presence.SILENT):
        found = look_at_network(site, Daemon(presence=presence), computer, Resolver(), {}, offline=False)
        assert [each.trouble for each in found.knocks] == [None]
        assert all(each.skipped for each in found.knocks)


# --- the configuration


def test_a_wrong_configuration_is_told_mistake_by_mistake(tmp_path: Path):
    path = tmp_path / "edged.yaml"
    path.write_text("chargers:\n\tleft: x\n")
    only(judge(read_site(path)), Level.FAILED, f"{path}:2", command=f"+2 {path}")


def test_no_configuration_is_to_be_set_up(tmp_path: Path):
    only(judge(read_site(tmp_path / "none.yaml")), Level.FAILED, "cannot be read", command="sudo edged setup")


def test_garbage_is_no_configuration(tmp_path: Path):
    path = tmp_path / "edged.yaml"
    path.write_bytes(os.urandom(4096))
    assert bad(judge(read_site(path)))


def test_secrets_that_are_not_shown_do_not_make_a_configuration_wrong(open_folder: Path):
    path = open_folder / "edged.yaml"
    path.write_text(SITE.replace('ocpp"}', 'ocpp", password: "${credential:csms-password}"}'))
    folder = open_folder / "credentials"
    folder.mkdir()
    secret = folder / "csms-password"
    secret.write_text("correct-horse-battery\n")
    secret.chmod(0o600)
    folder.chmod(0o000)
    with as_somebody():
        site = read_site(path)
    folder.chmod(0o700)
    assert site.settings is not None, site.errors
    assert site.stand_ins
    assert has(judge(site), Level.NOTE, "were not read, and so not tried", command="sudo edged doctor")
    assert not read_site(path).stand_ins


def test_the_credential_of_a_station_is_the_one_behind_it():
    page = Page(
        Path("x"),
        (
            "mqtt:",
            "  password: ${credential:mq}",
            "stations:",
            "- id: A",
            "  csms: {password: '${credential:a}'}",
            "- id: B",
        ),
    )
    assert credential_of(page, "A") == "a"
    assert credential_of(page, "B") == ""
