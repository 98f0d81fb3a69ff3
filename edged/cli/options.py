"""Options that several commands share, and where things are when nobody says."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from edged.settings.model import DEFAULT_PATH

RUNTIME_DIR = Path("/run/edged")
STATE_DIR = Path("/var/lib/edged")
SOCKET_NAME = "control.sock"


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        default=DEFAULT_PATH,
        help=f"configuration (default {DEFAULT_PATH})",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def add_control(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--control",
        metavar="PATH",
        type=Path,
        default=None,
        help=f"control socket (default $RUNTIME_DIRECTORY/{SOCKET_NAME}, or {RUNTIME_DIR / SOCKET_NAME})",
    )


def add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        default=None,
        help=f"where the daemon keeps its state (default $STATE_DIRECTORY, or {STATE_DIR})",
    )


def state_dir(given: Path | None) -> Path:
    """Where the daemon keeps its state."""
    return given if given is not None else directory("STATE_DIRECTORY") or STATE_DIR


def control_path(given: Path | None) -> Path:
    """The socket of the daemon that a command talks to."""
    return given if given is not None else (directory("RUNTIME_DIRECTORY") or RUNTIME_DIR) / SOCKET_NAME


def directory(variable: str) -> Path | None:
    """The first of the directories that systemd made for the service, None outside of systemd."""
    first = os.environ.get(variable, "").partition(":")[0]
    return Path(first) if first else None
