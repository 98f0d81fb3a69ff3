"""The service on a booted Debian: it starts, hangs, crashes, is stopped and stays within its rights."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging import site
from tests.packaging.machine import UNIT, Dead, Machine
from tests.packaging.package import PROGRAM
from tests.packaging.roots import SUITES

WATCHDOG_S = 3
LAUNCHER = "/usr/bin/edged"
HANG = f"{PROGRAM}/hang.py"
HANGS = """\
import signal, time
def hang(number, frame):
    while True:
        time.sleep(3600)
signal.signal(signal.SIGUSR1, hang)
"""
"""Left beside the program and imported by its launcher: lets the main thread hang for ever at a signal."""


def hanging(machine: Machine) -> None:
    machine.write(HANG, HANGS)
    machine.write(LAUNCHER, machine.read(LAUNCHER).replace("\nsys.exit", "\nimport hang\nsys.exit"), mode=0o755)


def watched(machine: Machine) -> int:
    """With a short watchdog; the daemon's process."""
    machine.drop_in("watchdog", f"WatchdogSec={WATCHDOG_S}")
    machine.run("systemctl", "restart", UNIT)
    return machine.pid()


def ready_after_restart(machine: Machine) -> bool:
    """Whether `systemctl restart` comes back, and with a service that serves."""
    machine.drop_in("start", "TimeoutStartSec=8")
    done = machine.run("systemctl", "restart", UNIT, check=False, within_s=60)
    return done.returncode == 0 and machine.is_active()


# --- starting


def test_a_start_is_over_when_edged_serves(machine: Machine):
    assert machine.show("Type") == "notify"
    machine.run("systemctl", "restart", UNIT)
    assert machine.run("edged", "status").stdout
    assert machine.show("StatusText") == "serving 1 station(s)"


def test_a_healthy_daemon_outlives_the_watchdog_and_is_not_restarted(machine: Machine):
    pid = watched(machine)
    before = int(machine.show("WatchdogTimestampMonotonic"))
    machine.until(
        lambda: int(machine.show("WatchdogTimestampMonotonic")) > before + 2.5 * WATCHDOG_S * 1e6,
        what="the daemon tells that it is alive, for more than two periods",
    )
    assert (machine.pid(), machine.show("NRestarts")) == (pid, "0")


def test_it_runs_as_its_own_user_with_the_serial_groups_and_no_others(machine: Machine):
    status = machine.sh(f"cat /proc/{machine.pid()}/status")
    uid = machine.sh("id -u edged")
    assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    groups = re.search(r"^Groups:(.*)$", status, re.MULTILINE)
    assert groups is not None
    names = {machine.sh(f"getent group {number} | cut -d: -f1") for number in groups[1].split()}
    assert names <= {"edged", "dialout", "systemd-journal"}
    assert "dialout" in names


def test_its_files_are_its_own(machine: Machine):
    assert machine.sh("stat -c '%U %G %a' /var/lib/edged") == "edged edged 750"
    assert machine.sh("stat -c '%U %a' /var/lib/edged/edged.db") == "edged 600"
    assert machine.sh("stat -c '%U %a' /etc/edged/credentials") == "root 700"
    assert machine.sh("stat -c '%U %G %a' /run/edged/control.sock") == "edged edged 660"
    assert machine.run("runuser", "-u", "edged", "--", "ls", "/etc/edged/credentials", check=False).returncode


def test_a_wrong_configuration_is_told_once_and_not_tried_again(machine: Machine):
    machine.write(site.CONFIG, site.SETTINGS.replace("profile: heidelberg", "profil: heidelberg"))
    machine.run("systemctl", "restart", UNIT, check=False)
    machine.until(lambda: machine.show("ActiveState") == "failed", what="the service gives up")
    assert machine.show("ExecMainStatus") == "78"
    assert f"{site.CONFIG}:9" in machine.journal()
    machine.write(site.CONFIG, site.SETTINGS)
    machine.run("systemctl", "start", UNIT)
    assert machine.is_active()


def test_a_reload_keeps_the_process_and_a_wrong_file_keeps_the_old_settings(machine: Machine):
    pid = machine.pid()
    machine.write(site.CONFIG, site.SETTINGS.replace("HeartbeatInterval: 30", "HeartbeatIntervall: 30"))
    machine.run("systemctl", "reload", UNIT)
    machine.until(lambda: "stays in force" in machine.journal(), what="the file is refused")
    machine.write(site.CONFIG, site.SETTINGS.replace("hard_reset: host", "hard_reset: service"))
    machine.run("systemctl", "reload", UNIT)
    machine.until(lambda: "has changed" in machine.journal(), what="the file is taken over")
    machine.until(machine.is_active, what="the reload is over")
    assert machine.pid() == pid


# --- hanging, crashing, stopping


def test_a_daemon_that_hangs_is_killed_with_its_stack_in_the_journal_and_started_again(machine: Machine):
    hanging(machine)
    pid = watched(machine)
    machine.signal(signal.SIGUSR1)
    machine.until(lambda: machine.is_back(pid), what="the watchdog has acted")
    said = machine.run("journalctl", "-u", UNIT, "--no-pager").stdout
    assert re.search("watchdog timeout", said, re.IGNORECASE)
    assert "most recent call first" in said
    assert "hang.py" in said


def test_a_daemon_that_crashes_is_back_at_once(machine: Machine):
    pid = machine.pid()
    machine.signal(signal.SIGSEGV)
    machine.until(lambda: machine.is_back(pid), what="it is back")
    assert machine.show("NRestarts") == "1"


def test_a_stop_is_clean_and_stays_one(machine: Machine):
    machine.run("systemctl", "stop", UNIT)
    assert (machine.show("Result"), machine.show("ActiveState")) == ("success", "inactive")
    assert machine.show("ExecMainStatus") == "0"


def test_a_daemon_that_is_deaf_is_killed_when_its_time_is_over(machine: Machine):
    hanging(machine)
    machine.drop_in("stop", "TimeoutStopSec=2")
    machine.run("systemctl", "restart", UNIT)
    machine.signal(signal.SIGUSR1)
    machine.run("systemctl", "stop", UNIT)
    assert machine.show("Result") == "timeout"
    machine.run("systemctl", "reset-failed", UNIT)
    machine.run("systemctl", "start", UNIT)
    assert machine.is_active()


# --- rights


SERIAL = {"ttyUSB7": 188, "ttyACM7": 166, "ttyAMA7": 204, "ttyS77": 4}
OPEN = """\
import errno, os, sys
try:
    os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
except OSError as error:
    print(errno.errorcode[error.errno])
else:
    print("opened")
"""


def make_devices(machine: Machine) -> None:
    for name, major in SERIAL.items():
        machine.sh(f"mknod /dev/{name} c {major} 77; chgrp dialout /dev/{name}; chmod 660 /dev/{name}")
    machine.sh("mknod /dev/kvm9 c 10 232; chmod 666 /dev/kvm9")


def opens(machine: Machine, device: str) -> str:
    """What comes of opening a device from inside of the running service's sandbox. There are no such devices here, so
    ENXIO or ENODEV says that the sandbox let it through."""
    script = """
        pid=$(systemctl show -P MainPID edged)
        echo $$ > /sys/fs/cgroup$(sed -n s/^0:://p /proc/$pid/cgroup)/cgroup.procs
        exec nsenter -t $pid -m setpriv --reuid=edged --regid=edged --groups=$(getent group dialout | cut -d: -f3) \\
            python3 -c "$1" "$2"
    """
    return machine.run("sh", "-c", script, "sh", OPEN, device).stdout.strip()


def test_adapters_plugged_in_after_the_start_are_let_through_and_other_devices_are_not(machine: Machine):
    make_devices(machine)
    assert {name: opens(machine, f"/dev/{name}") for name in SERIAL} == dict.fromkeys(SERIAL, "ENXIO") | {
        "ttyS77": opens(machine, "/dev/ttyS77")
    }
    assert opens(machine, "/dev/ttyS77") != "EPERM"
    assert opens(machine, "/dev/kvm9") == "EPERM"


def test_the_units_sandbox_scores_below_one_and_a_half(machine: Machine):
    said = machine.run("systemd-analyze", "security", "--no-pager", UNIT).stdout
    exposure = re.search(r"Overall exposure level for edged.service: ([\d.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) < 1.5


def test_systemd_finds_nothing_wrong_with_the_units(machine: Machine, suite: str):
    units = machine.sh("ls /usr/lib/systemd/system/ | grep ^edged").split()
    done = machine.run("systemd-analyze", "verify", "--man=no", *units, check=False)  # there is no man(1) here
    said = [line for line in (done.stdout + done.stderr).splitlines() if "edged" in line]
    if suite == "bookworm":  # its systemd is older than these two, says so, and goes on
        said = [line for line in said if not re.search("RestartSteps|RestartMaxDelaySec", line)]
    assert said == []


# --- mutants: what is broken here, the tests above must find


def broken(machine: Machine, *, path: str, old: str, new: str) -> None:
    """A machine's installed file, changed."""
    file = machine.root / path.lstrip("/")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()


NOTIFY = f"{PROGRAM}/edged/system/notify.py"


def test_the_tests_find_a_daemon_that_never_says_ready(off: Machine):
    broken(off, path=NOTIFY, old='self._tell("READY=1")', new="return")
    (off.root / "etc/systemd/system/multi-user.target.wants" / UNIT).unlink()  # or the boot would wait for it
    off.boot()
    assert not ready_after_restart(off)


def test_the_tests_find_a_daemon_that_never_feeds_the_watchdog(off: Machine):
    broken(off, path=NOTIFY, old='self._tell("WATCHDOG=1")', new="return")
    off.boot()
    off.until(off.is_active)
    with pytest.raises((AssertionError, Dead)):
        test_a_healthy_daemon_outlives_the_watchdog_and_is_not_restarted(off)


@pytest.mark.parametrize(
    ("lines", "judge"),
    [
        pytest.param(
            "DeviceAllow=\nDeviceAllow=char-ttyUSB rw\nDeviceAllow=char-166 rw\nDeviceAllow=char-204 rw",
            test_adapters_plugged_in_after_the_start_are_let_through_and_other_devices_are_not,
            id="devices by the driver's name",
        ),
        pytest.param(
            "DevicePolicy=auto\nDeviceAllow=",
            test_adapters_plugged_in_after_the_start_are_let_through_and_other_devices_are_not,
            id="no device policy",
        ),
        pytest.param(
            "Restart=on-success", test_a_daemon_that_crashes_is_back_at_once, id="not restarted after a crash"
        ),
        pytest.param(
            "RestartPreventExitStatus=",
            test_a_wrong_configuration_is_told_once_and_not_tried_again,
            id="tried again with a wrong configuration",
        ),
        pytest.param(
            "SupplementaryGroups=disk",
            test_it_runs_as_its_own_user_with_the_serial_groups_and_no_others,
            id="with the right to every disk",
        ),
        pytest.param(
            "PrivateUsers=no\nProtectClock=no\nProtectKernelLogs=no\nRestrictNamespaces=no",
            test_the_units_sandbox_scores_below_one_and_a_half,
            id="a weaker sandbox",
        ),
    ],
)
def test_the_tests_find_a_unit_with_a_flaw(off: Machine, lines: str, judge: Callable[[Machine], None]):
    off.write(f"/etc/systemd/system/{UNIT}.d/flaw.conf", f"[Service]\n{lines}\n")
    off.boot()
    off.until(off.is_active)
    with pytest.raises((AssertionError, Dead)):
        judge(off)


def test_the_tests_find_a_hang_without_its_stack(off: Machine):
    broken(off, path=f"{PROGRAM}/edged/system/crash.py", old="faulthandler.enable(self._file)", new="pass")
    off.boot()
    off.until(off.is_active)
    with pytest.raises(AssertionError):
        test_a_daemon_that_hangs_is_killed_with_its_stack_in_the_journal_and_started_again(off)


def test_both_suites_are_tried(suite: str, debian: Path):
    assert suite in SUITES
    assert f"VERSION_CODENAME={suite}" in (debian / "etc/os-release").read_text()
