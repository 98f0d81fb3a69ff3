"""Why a line cannot be opened, each in one sentence that says what to do next.

Owns: the sentences, and which kind of trouble an error is. Refuses to know: how lines are opened, and when again.
"""

from __future__ import annotations

import errno
import os
import socket
from enum import StrEnum

from edged.chargers.serial_ports import Holder, SerialPorts, own_user

SHOWN_PORTS = 6
LEAST_LATENCY_MS = 1
"""An FTDI adapter cannot do better."""
_USUAL_WORDS, _USUAL_TURNAROUND_S = 20, 0.005
"""What a line mostly carries: twenty registers, of a unit that answers after 5 ms."""


class Trouble(StrEnum):
    """What kind of trouble a line is in."""

    GONE = "gone"  # the port is not there, or no longer
    BUSY = "busy"  # somebody else holds it
    FORBIDDEN = "forbidden"  # we have no right to it
    REFUSED = "refused"  # the computer there says no
    AWAY = "away"  # nobody there says anything, or nobody knows the way or the name
    OTHER = "other"

    @property
    def is_for_people(self) -> bool:
        """It stays until somebody at the computer has done something."""
        return self in (Trouble.BUSY, Trouble.FORBIDDEN)


def serial_trouble(port: str, error: OSError | ValueError, ports: SerialPorts) -> tuple[Trouble, str]:
    """Of an error that came when a serial port was opened."""
    match _number(error):
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return Trouble.GONE, f"there is no {port}: plug the adapter in, or write one that there is ({_all(ports)})"
        case errno.EACCES | errno.EPERM:
            return Trouble.FORBIDDEN, _forbidden(port, ports)
        case errno.EBUSY | errno.EAGAIN:
            return Trouble.BUSY, busy(port, ports.holders(port))
        case errno.ENOTTY | errno.EINVAL | errno.EISDIR:
            return Trouble.OTHER, f"{port} is no serial port: write the name of one ({_all(ports)})"
        case errno.EIO:
            return Trouble.OTHER, f"{port} does not work (Input/output error): unplug the adapter and plug it in again"
        case _:
            return Trouble.OTHER, f"{port} cannot be opened ({reason(error)}): is it a serial port?"


def busy(port: str, holders: tuple[Holder, ...]) -> str:
    """Of a port that other processes have open; without any, nothing is known of them."""
    if not holders:
        return (
            f"{port} is held by another program, which sudo fuser -v {port} names: end it (edged with sudo systemctl "
            "stop edged), since only one may ask on a line"
        )
    end = "stop it first (sudo systemctl stop edged)" if {each.name for each in holders} == {"edged"} else "end it"
    return f"{port} is held by {' and '.join(map(str, holders[:3]))}: {end}, since only one may ask on a line"


def _forbidden(port: str, ports: SerialPorts) -> str:
    user, group = own_user(), ports.group(port)
    if group is None:
        return f"{port} is closed to every group: let dialout in with a udev rule (GROUP=dialout, MODE=0660)"
    return (
        f"{port} is for the group {group}, and {user} is not in it: sudo usermod -aG {group} {user}, then start edged "
        "again, or use sudo"
    )


def _all(ports: SerialPorts) -> str:
    names = ports.names()
    if not names:
        return "this computer has none"
    more = f" and {len(names) - SHOWN_PORTS} more" if len(names) > SHOWN_PORTS else ""
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names[:SHOWN_PORTS])}{more}"


def tcp_trouble(host: str, port: int, error: OSError | ValueError) -> tuple[Trouble, str]:
    """Of an error that came when a TCP connection was opened."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(error, TimeoutError) or getattr(error, "errno", None) == errno.ETIMEDOUT:
        return Trouble.AWAY, f"{place} does not answer at all: has it power, is its cable in, and is the address right?"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return Trouble.AWAY, f"the name {host} is not known ({reason(error)}): write the address, or see to the DNS"
    match getattr(error, "errno", None):
        case errno.ECONNREFUSED:
            return Trouble.REFUSED, (
                f"{place} refuses connections: is Modbus TCP on in its settings, is the port right, and does another "
                "client hold the only connection that it serves?"
            )
        case errno.ECONNRESET | errno.ECONNABORTED | errno.EPIPE:
            return Trouble.REFUSED, f"{place} hangs up at once: end the other client that holds its only connection"
        case errno.EHOSTUNREACH | errno.ENETUNREACH | errno.ENETDOWN | errno.EHOSTDOWN:
            return Trouble.AWAY, (
                f"there is no way to {place} ({reason(error)}): is it on, is its address right, and is this computer "
                "in its network?"
            )
        case _:
            return Trouble.OTHER, f"{place} cannot be reached ({reason(error)}): try ping {host}"


def reason(error: OSError | ValueError) -> str:
    """The operating system's own words: pyserial says number, port and text twice, asyncio the address once more.

    The numbers of name resolution are negative; their words stand in the error.
    """
    number = getattr(error, "errno", None)
    return os.strerror(number) if number and number > 0 else str(getattr(error, "strerror", None) or error)


def _number(error: OSError | ValueError) -> int | None:
    """The error's number; where pyserial has dropped it, that of the error it came of."""
    number = getattr(error, "errno", None)
    came_of = error.__cause__ or error.__context__
    if number is None and came_of is not None and came_of.args and isinstance(came_of.args[0], int):
        return came_of.args[0]
    return number


def latency_words(device: str, timer_ms: int, *, character_s: float, silence_s: float) -> str:
    """Of an adapter that keeps answers back: what that costs on this line, and what mends it.

    The chip hands over when 62 bytes have come or its timer has run out, so the end of each answer waits for the timer.
    At 19,200 baud twenty registers take 37 ms of their own; 16 ms make that 53, 1 ms is lost in the noise.
    """
    name = os.path.basename(device)
    own_s = (13 + 2 * _USUAL_WORDS) * character_s + max(_USUAL_TURNAROUND_S, silence_s) + silence_s
    slower = f"{_USUAL_WORDS} registers take {own_s * 1000 + timer_ms:.0f} ms in place of {own_s * 1000:.0f}"
    return (
        f"the adapter keeps each answer back for up to {timer_ms} ms, so that {slower}: write 1 into "
        f"/sys/class/tty/{name}/device/latency_timer now, and for ever with the udev rule "
        'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"'
    )
