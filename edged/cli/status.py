"""`edged status`: what the running daemon knows."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from edged.cli import output
from edged.cli.options import add_control, add_json, control_path
from edged.local.client import ControlClient, ControlError

SUMMARY = "show what the running daemon knows"
COMMAND = "status"
WATCH_INTERVAL_S = 1.0
BUS_COLUMNS = (
    "is_open",
    "requests",
    "timeouts",
    "crc_errors",
    "retries",
    "turnaround_p95_s",
    "utilisation",
    "down_reason",
)
UNIT_COLUMNS = ("state", "requests", "timeouts", "exceptions", "turnaround_p50_s", "turnaround_p95_s")
_HOME_AND_CLEAR = "\x1b[H\x1b[2J"


def configure(parser: argparse.ArgumentParser) -> None:
    add_control(parser)
    add_json(parser, "the state")
    parser.add_argument("--watch", action="store_true", help="show it again whenever it changes, until Ctrl-C")


def run(args: argparse.Namespace) -> int:
    path = control_path(args.control)
    with ControlClient(path) as client:
        state = ask(client)
        show(state, as_json=args.json)
        while args.watch:
            time.sleep(WATCH_INTERVAL_S)
            previous, state = state, ask(client)
            if state != previous:
                show(state, as_json=args.json, clear=sys.stdout.isatty() and not args.json)
    return output.DONE


def ask(client: ControlClient) -> Any:
    """The daemon's state. Raises `ControlError`, also where the daemon refuses to tell it."""
    reply = client.request(COMMAND)
    if reply.get("ok") is not True:
        error = reply.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        raise ControlError(f"edged does not tell its state: {message or 'it gave no reason'}")
    return reply.get("result")


def show(state: Any, *, as_json: bool, clear: bool = False) -> None:
    if as_json:
        output.say_json(state)
    else:
        if clear:
            sys.stdout.write(_HOME_AND_CLEAR)
        for line in output.lines_of(view(state)):
            output.say(line)
    sys.stdout.flush()


def view(state: Any) -> Any:
    """The state as people want to see it: what a bus counts in one row, and a row for each unit on it.

    Whatever else the daemon tells is shown as it comes.
    """
    if not isinstance(state, dict) or not isinstance(state.get("buses"), dict):
        return state
    buses, units = [], []
    for name, bus in state["buses"].items():
        if not isinstance(bus, dict):
            return state
        buses.append({"bus": name, **{key: bus.get(key) for key in BUS_COLUMNS}})
        of_bus = bus.get("units")
        for unit, counts in of_bus.items() if isinstance(of_bus, dict) else ():
            told = counts if isinstance(counts, dict) else {}
            units.append({"bus": name, "unit_id": unit, **{key: told.get(key) for key in UNIT_COLUMNS}})
    return {**state, "buses": buses, "units": units, "stations": state.get("stations")}
