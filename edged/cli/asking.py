"""What `edged probe` and `edged scan` have in common: naming a line, and keeping off one that the daemon holds."""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli.options import add_config, add_control, control_path
from edged.local.client import ControlClient, ControlError, ControlUnreachable
from edged.ports import EdgedError

if TYPE_CHECKING:
    from edged.chargers.library import AnyProfile
    from edged.chargers.line import BusSpec
    from edged.chargers.profile import DeviceProfile

PARITIES = ("none", "even", "odd")
BAUDRATES = (300, 4_000_000)
STATUS_PATIENCE_S = 3.0
STOP_FIRST = "stop it first (sudo systemctl stop edged)"
_PLACE = re.compile(r"(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?")
Place = tuple[str, int | None]


def add_line(parser: argparse.ArgumentParser) -> None:
    """A line without a configuration, and the options that both commands share."""
    where = parser.add_argument_group("without a configuration")
    line = where.add_mutually_exclusive_group()
    line.add_argument("--serial", metavar="PORT", help="a serial port, like /dev/ttyUSB0")
    line.add_argument("--tcp", metavar="HOST[:PORT]", type=place, help="Modbus TCP")
    line.add_argument("--rtu-over-tcp", metavar="HOST:PORT", type=place, help="a serial-to-Ethernet converter")
    add_config(parser)
    add_control(parser)


def place(text: str) -> Place:
    """HOST or HOST:PORT; an IPv6 address stands in brackets."""
    found = _PLACE.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 1 <= port <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, like 10.0.0.21:502 or [fd00::21]:502")
    return found["host"].strip("[]"), port


def number(low: int, high: int) -> Callable[[str], int]:
    """A whole number between two bounds, for argparse."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def has_line(args: argparse.Namespace) -> bool:
    return any(each is not None for each in (args.serial, args.tcp, args.rtu_over_tcp))


def named_line(args: argparse.Namespace, *, baudrate: int, parity: str, stopbits: int, port: int) -> BusSpec:
    """The line of the options; what they leave open is given. Raises `EdgedError`."""
    from edged.chargers.line import BusSpec, LineKind

    if args.serial is not None:
        return BusSpec(kind=LineKind.SERIAL, port=args.serial, baudrate=baudrate, parity=parity, stopbits=stopbits)
    if args.tcp is not None:
        return BusSpec(kind=LineKind.TCP, host=args.tcp[0], tcp_port=args.tcp[1] or port)
    host, given = args.rtu_over_tcp
    if given is None:
        raise EdgedError(f"a converter has no usual port: write --rtu-over-tcp {host}:PORT")
    return BusSpec(kind=LineKind.RTU_OVER_TCP, host=host, tcp_port=given)


def profile_of(name: str, folder: Path) -> DeviceProfile:
    """The profile of that name of a charger that speaks Modbus. Raises `EdgedError` with the names that there are."""
    from edged.chargers.library import load_profile

    _check_name(name, folder)
    return load_profile(name, folder)


def any_profile_of(name: str, folder: Path) -> AnyProfile:
    """The profile of that name, whatever is spoken there. Raises `EdgedError` with the names that there are."""
    from edged.chargers.library import load_any

    _check_name(name, folder)
    return load_any(name, folder)


def _check_name(name: str, folder: Path) -> None:
    from edged.chargers.library import profile_names

    known = profile_names(folder)
    if name not in known:
        raise EdgedError(f"there is no profile {name}: there are {', '.join(known)}")


def keep_off_the_daemon(specs: Sequence[BusSpec], control: Path | None) -> None:
    """Raises `EdgedError` where a running daemon serves one of these lines, or may do so and does not tell: two masters
    spoil each other's answers. A line is the same under each of its names."""
    path = control_path(control)
    try:
        with ControlClient(path, timeout_s=STATUS_PATIENCE_S) as client:
            reply = client.request("status")
    except ControlUnreachable as nobody:
        if isinstance(nobody.__cause__, PermissionError):
            raise EdgedError(f"edged may be running and hold the line, and may not be asked: {nobody}") from nobody
        return
    except ControlError as silent:
        raise EdgedError(
            f"edged is running and may hold the line: {silent}; to ask it yourself {STOP_FIRST}"
        ) from silent
    result = reply.get("result")
    buses = result.get("buses") if isinstance(result, dict) else None
    for name, told in buses.items() if isinstance(buses, dict) else ():
        device = told.get("device") if isinstance(told, dict) else None
        names = [str(name), device] if isinstance(device, str) and device else [str(name)]
        for spec in specs:
            if any(_is_same_line(each, spec) for each in names):
                held = str(spec) if str(spec) == name else f"{spec} (as {name})"
                status = "sudo edged status shows what is on it"
                raise EdgedError(f"edged is running and holds {held}: {status}; to ask it yourself {STOP_FIRST}")


def _is_same_line(name: str, spec: BusSpec) -> bool:
    """Whether the daemon's name of a line means this one: the same device, or any framing over the same endpoint."""
    if name.startswith("/") or not spec.host:
        return bool(spec.port) and name.startswith("/") and os.path.realpath(name) == os.path.realpath(spec.port)
    host, _, port = name.partition(":")[2].rpartition(":")
    return port == str(spec.tcp_port) and _is_same_host(host, spec.host)


def _is_same_host(one: str, other: str) -> bool:
    """By name, or by an address that both names lead to."""
    one, other = one.strip("[]").lower(), other.strip("[]").lower()
    return one == other or bool(_addresses(one) & _addresses(other))


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()
