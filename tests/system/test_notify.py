"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.system.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = (
            f"@edged-test-{os.getpid()}-{time.monotonic_ns()}" if request.param == "abstract" else str(tmp_path / "n")
        )
        listening.bind(name.replace("@", "\0") if request.param == "abstract" else name)
        listening.settimeout(5)
        yield listening, name


def test_the_manager_hears_each_word(manager):
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for tell, expected in (
        (notifier.ready, "READY=1"),
        (notifier.watchdog, "WATCHDOG=1"),
        (notifier.stopping, "STOPPING=1"),
    ):
        tell()
        assert listening.recv(4096).decode() == expected
    notifier.close()


def test_a_reload_carries_the_monotonic_time(manager):
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", listening.recv(4096).decode())
    assert found
    assert before_us <= int(found[1]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.close()


def test_a_status_is_one_line_and_can_say_nothing_else(manager):
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.status("serving\nREADY=1" + "x" * 1000)
    message = listening.recv(4096).decode()
    assert message.startswith("STATUS=serving READY=1xxx")
    assert "\n" not in message
    assert len(message) < 300
    notifier.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:1:2"}, {"NOTIFY_SOCKET": "@"}])
def test_without_a_manager_words_go_nowhere(environ):
    notifier = Notifier(environ)
    notifier.ready()
    notifier.close()


def test_a_manager_that_does_not_listen_costs_one_warning(tmp_path, caplog):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.ready()
    notifier.watchdog()
    assert caplog.text.count("cannot tell the service manager") == 1
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_three_times_in_its_period(environ, expected):
    assert Notifier(environ, pid=42).watchdog_interval_s == expected
