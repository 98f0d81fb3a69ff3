"""What is said of serial lines and GPIO chips."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.cli.doctor.finding import Level
from edged.cli.doctor.serial_lines import Chip, Port, SerialFacts, Unit, judge, parse_consoles, parse_drivers
from tests.cli.doctor.judged import PAGE, bad, has, only

BY_ID = "/dev/serial/by-id/usb-FTDI_A5-if00-port0"
UNIT = Unit(
    user="edged",
    groups=frozenset({"edged", "dialout"}),
    policy="closed",
    rules=("char-188 rw", "char-204 rw", "char-ttySC rw"),
)
PORT = Port(line="yard", port=BY_ID, device="/dev/ttyUSB0", number=(188, 0), driver="ttyUSB", latency_ms=1)
WELL = SerialFacts(ports=(PORT,), page=PAGE, unit=UNIT, names=(BY_ID,))
CHIP = Chip(charger="left", path="/dev/gpiochip0", number=(254, 0), driver="gpiochip")


def with_port(**change: object) -> SerialFacts:
    return replace(WELL, ports=(replace(PORT, **change),))  # type: ignore[arg-type]


def test_a_port_that_the_service_may_open_is_all_right():
    assert bad(judge(WELL)) == []


def test_a_site_without_serial_lines_is_all_right():
    assert bad(judge(replace(WELL, ports=(), sees_holders=True))) == []


@pytest.mark.parametrize(
    ("change", "level", "words", "command"),
    [
        (
            {"port": "/dev/ttyUSB0", "exists": False},
            Level.FAILED,
            "there is no /dev/ttyUSB0",
            f"line 2: write one that there is ({BY_ID})",
        ),
        ({"number": None}, Level.FAILED, "is no serial port", BY_ID),
        ({"port": "/dev/ttyUSB0", "lasting": BY_ID}, Level.WARNING, "came first", f"line 2: write {BY_ID} instead"),
        ({"group": "uucp"}, Level.FAILED, "for the group uucp, and edged is not in it", "usermod -aG uucp edged"),
        ({"group_may": False}, Level.FAILED, "for root alone", 'GROUP="dialout"'),
        ({"group": "root"}, Level.FAILED, "for root alone", "/etc/udev/rules.d/60-edged-serial.rules"),
        ({"number": (189, 0), "driver": "odd"}, Level.FAILED, "the unit's sandbox", "DeviceAllow=char-189 rw"),
        ({"number": (240, 0), "driver": "ttyXRUSB"}, Level.FAILED, "driver ttyXRUSB", "DeviceAllow=char-ttyXRUSB rw"),
        ({"holders": ((71, "minicom"),)}, Level.FAILED, "held by minicom (process 71)", "sudo kill 71"),
        ({"latency_ms": 16}, Level.NOTE, "up to 16 ms; a rule of udev", "latency_timer"),
    ],
)
def test_each_trouble_of_a_port_has_its_command(change, level, words, command):
    only(judge(with_port(**change)), level, words, command=command)


def test_a_missing_port_on_a_computer_without_any_is_to_be_plugged_in():
    only(judge(replace(with_port(exists=False), names=())), Level.FAILED, "no serial port at all", command="dmesg")


def test_a_port_that_edged_itself_holds_is_all_right():
    assert bad(judge(with_port(holders=((9, "edged"),)))) == []


def test_a_port_of_ones_own_needs_no_group():
    assert bad(judge(with_port(owner="edged", group="nobody"))) == []


def test_a_driver_with_a_number_of_its_own_is_let_through_by_its_name():
    assert bad(judge(with_port(number=(511, 3), driver="ttySC"))) == []


@pytest.mark.parametrize(
    ("unit", "through"),
    [
        (Unit(), True),
        (Unit(policy="auto"), True),
        (Unit(policy="closed"), False),
        (Unit(policy="auto", rules=("char-4 rw",)), False),
        (Unit(policy="strict", rules=("/dev/ttyUSB0 rw",)), True),
        (Unit(policy="strict", rules=("char-ttyU* rw",)), True),
        (Unit(policy="strict", rules=("char-188 w",)), False),
        (Unit(policy="strict", rules=("",)), False),
    ],
)
def test_a_unit_lets_through_what_its_rules_say(unit, through):
    assert unit.lets_through("ttyUSB", (188, 0), "/dev/ttyUSB0") is through


def test_an_adapter_that_stays_slow_under_a_running_edged_is_a_warning():
    only(judge(replace(with_port(latency_ms=16), daemon_runs=True)), Level.WARNING, "16 ms", command="61-ftdi.rules")


@pytest.mark.parametrize("name", ["ModemManager", "brltty", "gpsd"])
def test_a_program_that_takes_ports_is_to_be_stopped(name):
    only(judge(replace(WELL, running={name, "bash"})), Level.WARNING, name, command="sudo")


def test_modem_manager_does_not_mind_a_port_of_the_board():
    facts = replace(with_port(device="/dev/ttyAMA0", number=(204, 64), driver="ttyAMA"), running={"ModemManager"})
    assert bad(judge(facts)) == []


def test_a_console_and_a_login_on_the_port_are_told_apart():
    port = {"device": "/dev/ttyAMA0", "number": (204, 64), "driver": "ttyAMA"}
    console = replace(with_port(**port), consoles={"/dev/ttyAMA0"})
    only(judge(console), Level.FAILED, "the kernel writes", command="do_serial_cons 1")
    login = replace(with_port(**port), gettys={"/dev/ttyAMA0"})
    only(judge(login), Level.FAILED, "log in at", command="serial-getty@ttyAMA0.service")


def test_who_is_not_shown_the_holders_is_told_so():
    only(judge(replace(WELL, sees_holders=False)), Level.NOTE, "was not seen", command="sudo edged doctor")


@pytest.mark.parametrize(
    ("chip", "groups", "level", "command"),
    [
        (replace(CHIP, flaw="is no GPIO chip"), {"gpio"}, Level.FAILED, "write a GPIO chip"),
        (CHIP, {"dialout"}, Level.FAILED, "SupplementaryGroups=gpio\\nDeviceAllow=char-gpiochip rw"),
        (CHIP, {"gpio"}, Level.FAILED, "[Service]\\nDeviceAllow=char-gpiochip rw"),
        (replace(CHIP, group="root"), {"dialout"}, Level.FAILED, "groupadd --system --force gpio"),
    ],
)
def test_a_reset_line_needs_its_chip_and_the_right_to_it(chip, groups, level, command):
    facts = replace(WELL, ports=(), chips=(chip,), unit=replace(UNIT, groups=frozenset(groups)))
    only(judge(facts), level, command=command)


def test_a_chip_that_edged_may_use_is_all_right():
    unit = replace(UNIT, groups=frozenset({"gpio"}), rules=("char-gpiochip rw",))
    assert bad(judge(replace(WELL, ports=(), chips=(CHIP,), unit=unit))) == []


def test_a_troubled_port_is_told_with_everything_at_once():
    found = judge(with_port(group="uucp", holders=((7, "cu"),), number=(240, 1), driver="x"))
    assert len(bad(found)) == 3
    assert has(found, Level.FAILED, "held by cu")


def test_the_drivers_of_proc_devices_are_read_up_to_the_block_devices():
    text = "Character devices:\n  4 /dev/vc/0\n  4 tty\n188 ttyUSB\nnonsense\n\nBlock devices:\n259 blkext\n"
    assert parse_drivers(text) == {4: "/dev/vc/0", 188: "ttyUSB"}


def test_consoles_are_found_in_a_command_line():
    assert parse_consoles("console=serial0,115200 console=tty1 root=x", "") == {"/dev/serial0", "/dev/tty1"}


def test_a_pseudo_terminal_is_let_through_as_systemd_does():
    assert Unit(policy="closed").lets_through("pts", (136, 4), "/dev/pts/4")
    assert not Unit(policy="strict").lets_through("pts", (136, 4), "/dev/pts/4")
