"""RAPI as a controller hears and says it: lines of ASCII with checksums. Pure; knows no command's meaning.

Source: register_maps, openevse_rapi. A line is "$", a name of two characters, arguments, perhaps ":SS" (a sequence id
in hexadecimal, 00 is none) and perhaps "^XX" (exclusive or of all bytes before it) or "*XX" (their sum), then CR.

Decided where the source is silent: a "$" begins anew whatever came before; a line that does not fit into the buffer is
lost whole; the sequence id stands behind a space in a reply and with or without one in a request; hexadecimal digits
may be small in a request and are capital in a checksum that is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

BUFFER_BYTES = 32
"""What a controller takes in of one line, its CR included."""
MAX_TOKENS = 10
_DOLLAR, _CR = 0x24, 0x0D
_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked. `sequence` 0: without one."""

    name: str
    args: tuple[str, ...]
    sequence: int = 0


class InputBuffer:
    """Cuts what comes into lines, each from its "$" up to its CR, which is left out."""

    def __init__(self) -> None:
        self._line: bytearray | None = None
        self.overflows = 0

    def feed(self, data: bytes) -> list[bytes]:
        lines: list[bytes] = []
        for byte in data:
            if byte == _DOLLAR:
                self._line = bytearray((byte,))
            elif self._line is None:
                continue
            elif byte == _CR:
                lines.append(bytes(self._line))
                self._line = None
            elif len(self._line) == BUFFER_BYTES - 1:
                self.overflows += 1
                self._line = None
            else:
                self._line.append(byte)
        return lines


def read_command(line: bytes) -> Command | None:
    """The command of a line; None where its checksum is wrong or it is no command at all: nothing is answered then."""
    body = _checked(line)
    if body is None or not body.startswith(b"$") or any(byte < 0x20 or byte > 0x7E for byte in body):
        return None
    text, colon, sequence = body[1:].decode("ascii").partition(":")
    tokens = text.split()
    if (
        not tokens
        or len(tokens) > MAX_TOKENS
        or (colon and not (1 <= len(sequence) <= 2 and _HEX.issuperset(sequence)))
    ):
        return None
    return Command(tokens[0], tuple(tokens[1:]), int(sequence, 16) if colon else 0)


def _checked(line: bytes) -> bytes | None:
    """The line without its checksum, None where that is wrong."""
    at = max(line.rfind(b"^"), line.rfind(b"*"))
    if at < 0:
        return line
    digits = line[at + 1 :].decode("latin-1")
    if len(digits) != 2 or not _HEX.issuperset(digits):
        return None
    body = line[:at]
    right = exclusive_or(body) if line[at] == ord("^") else sum(body) % 256
    return body if int(digits, 16) == right else None


def exclusive_or(data: bytes) -> int:
    found = 0
    for byte in data:
        found ^= byte
    return found


def spoken(name: str, *values: str, sequence: int = 0) -> bytes:
    """A line as a controller sends it: with its checksum and CR."""
    words = [f"${name}", *values]
    if sequence:
        words.append(f":{sequence:02X}")
    body = " ".join(words).encode("ascii")
    return body + f"^{exclusive_or(body):02X}\r".encode("ascii")
