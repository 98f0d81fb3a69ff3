"""Whose word counts in the demo."""

from __future__ import annotations

from enum import StrEnum


class Witness(StrEnum):
    """Who has seen it."""

    CSMS = "CSMS"
    HARDWARE = "hardware"
    BROKER = "broker"
    SOCKET = "control socket"
    DISK = "disk"
    PROCESS = "process"
