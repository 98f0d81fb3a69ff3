"""What is told after the last question: what each connector can do, what was written, what to do next."""

from __future__ import annotations

import argparse
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edged.cli import output
from edged.cli.check import COLUMNS, reports
from edged.cli.setup.writing import Written
from edged.settings import DEFAULT_PATH, Settings

SYSTEMD = Path("/run/systemd/system")
UNIT = "edged.service"
Run = Callable[[Sequence[str]], int]
"""Runs a command and gives its exit status."""


def connectors_told(settings: Settings) -> Iterator[str]:
    """Each connector with what it can do, as `edged check` tells it."""
    for station in settings.stations:
        yield f"station {station.id}"
        for connector in reports(settings, station):
            yield (
                f"  connector {connector.number} (EVSE {connector.evse_id}): charger {connector.charger}, "
                f"{connector.profile}, {connector.type or 'unknown type'}"
            )
            for name, ability in connector.abilities.items():
                head = f"    {name:<13} {'yes' if ability.able else 'no '}  "
                yield from textwrap.wrap(
                    ability.because, COLUMNS, initial_indent=head, subsequent_indent=" " * len(head)
                )


def written_told(written: Written, config: Path) -> Iterator[str]:
    """What is on the disk now, a line each."""
    for path in written.credentials:
        yield f"wrote {path}"
    if written.kept is not None:
        yield f"kept what was there as {written.kept}"
    if written.config:
        yield f"wrote {config}"
    if not written.is_change:
        yield f"nothing has changed: {config} says all this already"


def document(written: Written, config: Path) -> dict[str, Any]:
    """The same for `--json`; docs/setup.md explains each member."""
    return {
        "ok": True,
        "changed": written.is_change,
        "config": str(config),
        "kept": None if written.kept is None else str(written.kept),
        "credentials": [str(path) for path in written.credentials],
        "warnings": [output.finding(warning) for warning in written.settings.warnings],
        "stations": [
            {"id": station.id, "connectors": [asdict(each) for each in reports(written.settings, station)]}
            for station in written.settings.stations
        ],
    }


def next_steps(config: Path, credentials: Path | None, *, is_running: bool) -> Iterator[str]:
    """Commands for `output.typed`, each with what it is for. `credentials`: their folder, where the loader would not
    look by itself."""
    if config.absolute() == DEFAULT_PATH:
        verb = "restart edged" if is_running else "enable --now edged"
        yield f"sudo systemctl {verb:<18}  {'take it over' if is_running else 'start now, and at every boot'}"
        yield "sudo edged status --watch          what edged sees"
        yield "sudo edged doctor                  clock, disk, CSMS, broker: what is wrong, and how to mend it"
        return
    before = "" if credentials is None else f"CREDENTIALS_DIRECTORY={credentials} "
    yield f"{before}edged run -c {config} --state state"
    yield "edged status --watch --control state/control.sock"
    yield f"{before}edged doctor -c {config}"


def is_running(run: Run) -> bool:
    """Whether systemd has the service up."""
    return SYSTEMD.is_dir() and run(("systemctl", "--quiet", "is-active", UNIT)) == 0


def start(run: Run, *, running: bool) -> int:
    """Start the service for good, or let it take a new configuration over: credentials are read at its start only."""
    return run(("systemctl", "restart", UNIT) if running else ("systemctl", "enable", "--now", UNIT))


def run_command(words: Sequence[str]) -> int:
    """With what it says on the terminal. A command that is not there has failed."""
    try:
        return subprocess.run(words, check=False).returncode
    except OSError:
        return 127


def usage_problem(args: argparse.Namespace, *, is_terminal: bool) -> str | None:
    """Why these options cannot be followed."""
    if args.answers is None and args.json:
        return "--json is for --answers FILE: a dialogue is for people"
    if args.answers is None and not is_terminal:
        return "this is no terminal: run edged setup in one, or write the answers into a file and use --answers FILE"
    return None
