"""`edged status`: what the running daemon knows."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from typing import Any

from edged.cli import output
from edged.cli.bus_view import lines_of_buses
from edged.cli.options import add_control, add_json, control_path
from edged.local.client import ControlClient, ControlError

SUMMARY = "show what the running daemon knows"
DETAILS = """\
Links to the CSMS and the broker, lines and what was counted on them, chargers, connectors, transactions, reservations,
and what waits to be sent. It is the daemon's own knowledge: nothing on a line is asked for it."""
EXAMPLES = (
    ("edged status", "once"),
    ("edged status --watch", "again whenever it changes"),
    ("edged status --control state/control.sock --json", "of a daemon that was started by hand"),
)
COMMAND = "status"
WATCH_INTERVAL_S = 1.0
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
        for line in lines(state):
            output.say(line)
    sys.stdout.flush()


def lines(state: Any) -> Iterable[str]:
    """The state as people want to see it; what has another shape than expected is shown as it comes."""
    buses = state.get("buses") if isinstance(state, dict) else None
    if not isinstance(buses, dict) or not all(isinstance(bus, dict) for bus in buses.values()):
        yield from output.lines_of(state)
        return
    yield from output.lines_of({key: value for key, value in state.items() if key not in ("buses", "stations")})
    yield "buses:" if buses else "buses: none"
    yield from lines_of_buses(buses)
    yield ""
    yield from output.lines_of({"stations": state.get("stations")})
