"""Findings as tests look at them."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterable
from pathlib import Path

from edged.cli.doctor.finding import Finding, Level
from edged.cli.doctor.places import Page

PAGE = Page(
    Path("/etc/edged/edged.yaml"),
    (
        "buses:",
        "  yard: {serial: /dev/ttyUSB0}",
        "# /dev/ttyUSB1",
        "chargers:",
        "  left: {bus: yard}",
        "  right: {tcp: 10.0.0.21:502}",
        "stations:",
        "  - id: DEPOT-7",
        "    csms:",
        "      url: wss://csms.example.com/ocpp",
        "      password: ${credential:csms-password}",
        "mqtt:",
        "  url: mqtt://broker.example.com:1883",
    ),
)


PROSE = ("in ", "plug ", "mount ")
"""How a command begins that tells what to do by hand."""


@functools.cache
def check_shell(command: str) -> None:
    """A shell would take it."""
    if not command.startswith(PROSE):
        done = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def bad(findings: Iterable[Finding]) -> list[Finding]:
    """Whatever is not all right."""
    return [each for each in findings if each.level is not Level.OK]


def only(findings: Iterable[Finding], level: Level, *words: str, command: str = "") -> Finding:
    """The one finding that is not all right: its level, words of its sentence, words of its command."""
    found = bad(findings)
    assert len(found) == 1, found
    finding = found[0]
    check_shell(finding.command)
    assert finding.level is level, finding
    for word in words:
        assert word in finding.sentence, finding
    assert command in finding.command, finding
    return finding


def has(findings: Iterable[Finding], level: Level, *words: str, command: str = "") -> bool:
    """Whether there is one like this."""
    return any(
        each.level is level and all(word in each.sentence for word in words) and command in each.command
        for each in findings
    )
