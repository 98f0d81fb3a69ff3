"""What `edged probe` and `edged scan` have in common: naming a line, and keeping off one that the daemon holds."""

from __future__ import annotations

import argparse
import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli.options import add_config, add_control, control_path
from edged.local.client import ControlClient, ControlError
from edged.ports import EdgedError

if TYPE_CHECKING:
    from edged.chargers.library import AnyProfile
    from edged.chargers.line import BusSpec, LineDown
    from edged.chargers.profile import DeviceProfile

PARITIES = ("none", "even", "odd")
BAUDRATES = (300, 4_000_000)
STATUS_PATIENCE_S = 3.0
STOP_FIRST = "stop it first (systemctl stop edged)"
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
    """Raises `EdgedError` where a running daemon serves one of these lines: two masters spoil each other's answers."""
    try:
        with ControlClient(control_path(control), timeout_s=STATUS_PATIENCE_S) as client:
            reply = client.request("status")
    except ControlError:
        return
    result = reply.get("result")
    buses = result.get("buses") if isinstance(result, dict) else None
    served = {_wire(str(name)) for name in buses} if isinstance(buses, dict) else set()
    for spec in specs:
        if _wire(str(spec)) in served:
            raise EdgedError(
                f"edged is running and holds {spec}: edged status shows what is on it; to ask it yourself {STOP_FIRST}"
            )


def why_down(spec: BusSpec, error: LineDown) -> str:
    """Why a line cannot be opened, and what to do next."""
    from edged.chargers.line import LineKind

    number = getattr(error.__cause__, "errno", None)
    if spec.kind is not LineKind.SERIAL:
        return f"{error}: is the device on, and are address and port right? Try ping {spec.host}"
    if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        return f"{spec.port} is in use by another program: if it is edged, {STOP_FIRST} or look with edged status"
    if number in (errno.EACCES, errno.EPERM):
        return f"not allowed to open {spec.port}: use sudo, or join the group of the port (mostly dialout)"
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return f"there is no {spec.port}: plug the adapter in; ls -l /dev/serial/by-id shows those that there are"
    return f"{error}: is it a serial port?"


def _wire(name: str) -> str:
    """A line's name by which the daemon and we mean the same: the device itself, and any framing over one endpoint."""
    if name.startswith("/"):
        return os.path.realpath(name)
    return name.partition(":")[2].lower()
