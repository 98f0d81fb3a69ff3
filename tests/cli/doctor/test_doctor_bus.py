"""What is said of the lines by their figures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.cli.doctor.bus import BusFacts, judge
from edged.cli.doctor.daemon import Daemon, Presence
from edged.cli.doctor.finding import Level
from tests.cli.doctor.judged import bad, has, only

PORT = "/dev/serial/by-id/usb-FTDI_A5-if00-port0"
LEFT = {
    "chargers": ["left"],
    "state": "online",
    "requests": 1000,
    "timeouts": 3,
    "timeout_s": 0.124,
    "last_answer_s": 0.4,
}
YARD = {
    "name": "yard",
    "is_open": True,
    "down_reason": "",
    "device": "/dev/ttyUSB0",
    "latency_timer_ms": 1,
    "requests": 1000,
    "timeouts": 3,
    "crc_errors": 1,
    "protocol_errors": 0,
    "strays": 0,
    "lost": 0,
    "utilisation": 0.5,
    "failed_share": 0.01,
    "efficiency": 0.98,
    "units": {"1": LEFT},
}


def of(bus: dict[str, Any] | None = None, unit: dict[str, Any] | None = None) -> BusFacts:
    told = {**YARD, **(bus or {})}
    if unit is not None:
        told["units"] = {"1": {**LEFT, **unit}}
    return BusFacts(buses={PORT: told})


def test_a_line_on_which_all_answer_is_all_right():
    assert bad(judge(of())) == []


@pytest.mark.parametrize(
    ("bus", "unit", "level", "words", "command"),
    [
        (
            {"is_open": False, "down_reason": "there is no such port"},
            None,
            Level.FAILED,
            "no such port",
            "--only serial",
        ),
        (
            {},
            {"state": "dead", "last_answer_s": 300},
            Level.FAILED,
            "left (unit 1) has not answered for 300 s",
            "edged probe left",
        ),
        ({}, {"state": "dead", "last_answer_s": None}, Level.FAILED, "since edged was started", "edged probe left"),
        ({}, {"state": "suspect"}, Level.NOTE, "has not answered lately", "edged probe left"),
        ({}, {"timeouts": 80}, Level.WARNING, "80 of 1000 requests (8 %)", "edged probe left"),
        ({}, {"timeout_s": 1.0}, Level.NOTE, "waited for 1.0 s", "edged probe left"),
        ({"crc_errors": 30}, None, Level.WARNING, "30 of 1000 answers were damaged (3 %): A and B", "edged probe left"),
        ({"protocol_errors": 30, "strays": 9}, None, Level.WARNING, "another master asks", "edged probe left"),
        ({"failed_share": 0.2}, None, Level.WARNING, "20 % of the last minute", "edged probe left"),
        ({"utilisation": 0.95}, None, Level.WARNING, "95 % of the last minute: it is full", "poll_interval_s"),
        ({"efficiency": 0.4}, None, Level.NOTE, "only 40 %", "top"),
        ({"lost": 4}, None, Level.WARNING, "lost 4 times", "dmesg"),
    ],
)
def test_each_pattern_is_told_with_its_figure_and_the_next_command(bus, unit, level, words, command):
    only(judge(of(bus, unit)), level, words, command=command)


def test_a_probe_is_made_while_edged_is_stopped_and_it_is_started_again():
    command = bad(judge(of(unit={"state": "dead"})))[0].command
    assert command.startswith("sudo systemctl stop edged && ")
    assert command.endswith("; sudo systemctl start edged")


def test_a_few_requests_prove_nothing():
    assert bad(judge(of({"requests": 10, "crc_errors": 5}, {"requests": 10, "timeouts": 5}))) == []


def test_without_a_daemon_nothing_is_known():
    only(judge(BusFacts(buses={}, runs=False)), Level.NOTE, "while edged runs", command="systemctl start edged")
    only(judge(BusFacts(buses={}, runs=False, may_not=True)), Level.NOTE, "may not", command="sudo edged doctor")


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*YARD, *LEFT]), inner, max_size=5),
    max_leaves=10,
)


@given(buses=st.dictionaries(st.text(max_size=5), ODD, max_size=3), unit=ODD)
def test_whatever_a_daemon_of_another_release_says_is_judged_without_an_error(buses, unit):
    status = {"buses": {**buses, PORT: {**YARD, "units": {"1": unit}}}, "stations": [unit], "mqtt": unit}
    daemon = Daemon(presence=Presence.RUNNING, status=status)
    assert judge(BusFacts(buses=daemon.buses))
    assert daemon.clock is None
    assert daemon.station("DEPOT-7") is not None
    assert daemon.mqtt is not None


def test_a_line_of_another_shape_is_told_by_its_address():
    assert has(judge(BusFacts(buses={"tcp:10.0.0.21:502": {"is_open": True}})), Level.OK, "0 of 0 units")
