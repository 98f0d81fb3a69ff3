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
APART = ("history", "buses", "stations")
"""What is shown in its own way."""
STARTS_SHOWN = 5
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
    yield from output.lines_of({key: value for key, value in state.items() if key not in APART})
    yield from lines_of_history(state.get("history"))
    yield "buses:" if buses else "buses: none"
    yield from lines_of_buses(buses)
    yield ""
    yield from output.lines_of({"stations": _with_faults_in_words(state.get("stations"))})


def _with_faults_in_words(stations: Any) -> Any:
    """The stations with each connector's last fault in one cell."""
    match stations:
        case list():
            return [_with_faults_in_words(one) for one in stations]
        case {"connectors": list() as connectors}:
            return {**stations, "connectors": [_with_faults_in_words(one) for one in connectors]}
        case {"last_fault": {"code": code, "since": since} as last}:
            until = f"until {last['cleared']}" if last.get("cleared") else "and still there"
            words = (code, last.get("vendor_code"), "since", since, until)
            return {**stations, "last_fault": " ".join(str(word) for word in words if word)}
        case _:
            return stations


def lines_of_history(history: Any) -> Iterable[str]:
    """How often it was started, and of the last few times when and why; all that is kept is in the JSON."""
    runs = history.get("runs") if isinstance(history, dict) else None
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        yield from output.lines_of({"history": history})
        return
    starts, reboots = history.get("starts"), history.get("reboots")
    before = _length(history.get("ran_s"))
    yield f"starts: {starts}, {reboots} of them with the computer; it had run for {before} before this one"
    yield from output.lines_of([_line_of(run) for run in runs[:STARTS_SHOWN]], indent="  ")


def _line_of(run: dict[str, Any]) -> dict[str, Any]:
    why = str(run.get("why"))
    with_computer = run.get("rebooted") and why not in ("first start", "computer restarted", "power lost")
    why += ", with the computer" if with_computer else ""
    notes = [
        run.get("detail"),
        f"updated from {run['updated_from']}" if run.get("updated_from") else None,
    ]
    ended = "runs" if run.get("ended") is None else _length(run.get("ran_s"))
    known = "" if run.get("clock_known") else " (not known)"
    return {"at": f"{run.get('at')}{known}", "why": why, "ran": ended, "notes": ", ".join(filter(None, notes))}


def _length(seconds: Any) -> str:
    """A time span in the two units that say most."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return "not known"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest_s, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])
