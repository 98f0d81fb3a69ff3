"""RAPI's frames: `$NAME value ... [:SS]^XX<CR>`. PURE.

Owns: building requests, reading what comes back, checksums, sequence ids, cutting a stream of bytes into frames.
Refuses to know: what a command or a value means, time, wires.

Invariants: whatever bytes come, a result is returned and nothing is raised; a reply or event without a right checksum
is none (controllers send one with everything since protocol 2.0.1); no request is built that is longer than a
controller's buffer, which would lose it without a word.

`^XX` is the XOR of all bytes from "$" up to it, `*XX` their sum modulo 256, both as two capital hex digits. `:SS`, two
hex digits but never 00, comes back in the reply to the request that carried it (protocol 3.0 and later).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import xor

START, END = b"$", b"\r"
MAX_REQUEST_BYTES = 32
"""A controller's input buffer, with the "$" and the end of the frame."""
MAX_TOKENS = 10
MAX_FRAME_BYTES = 128
FIRST_SEQUENCE, LAST_SEQUENCE = 1, 0xFF

_NAME = re.compile(r"[A-Z0-9]{2}")
_VALUE = re.compile(r"[!-#%-)+-9;-\]_-~]+")
_SEQUENCE = re.compile(r":(?P<id>[0-9A-F]{2})")
_CHECKED = re.compile(rb"(?P<body>\$[^$^*\r]*)(?P<kind>[\^*])(?P<digits>[0-9A-F]{2})\r?")
_BARE = re.compile(rb"(?P<body>\$[^$^*\r]*)\r?")
_EVENTS = re.compile(r"A[A-Z0-9]|WF")


class Check(StrEnum):
    """How a frame is protected. Controllers send and prefer `XOR`, and accept all three."""

    XOR = "^"
    SUM = "*"
    NONE = ""


class Flaw(StrEnum):
    """Why bytes are no frame."""

    LENGTH = "too long"
    SHAPE = "no frame"
    CHECKSUM = "wrong checksum"
    UNCHECKED = "without a checksum"
    UNKNOWN = "neither a reply nor an event"


@dataclass(frozen=True, slots=True)
class Request:
    """What a master asks of a controller. `name`: two characters, like GS."""

    name: str
    parameters: tuple[str, ...] = ()
    sequence: int | None = None

    def __str__(self) -> str:
        return " ".join((f"${self.name}", *self.parameters))


@dataclass(frozen=True, slots=True)
class Reply:
    """`$OK` or `$NK`."""

    is_ok: bool
    values: tuple[str, ...] = ()
    sequence: int | None = None

    def __str__(self) -> str:
        return " ".join(("$OK" if self.is_ok else "$NK", *self.values))


@dataclass(frozen=True, slots=True)
class Event:
    """What a controller says by itself: AB after a restart, AT when its state changes, AN a button, WF its menu."""

    name: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((f"${self.name}", *self.values))


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are no frame, and why not."""

    flaw: Flaw
    data: bytes

    def __str__(self) -> str:
        return f"{self.flaw}: {self.data[:MAX_FRAME_BYTES]!r}"


def xor_of(data: bytes) -> int:
    """The checksum behind "^"."""
    return reduce(xor, data, 0)


def sum_of(data: bytes) -> int:
    """The checksum behind "*"."""
    return sum(data) & 0xFF


def seal(tokens: Iterable[str], *, sequence: int | None = None, check: Check = Check.XOR) -> bytes:
    """The frame of these tokens, the first of them the name. `ValueError` for what no frame can carry."""
    name, *values = tokens
    if not _NAME.fullmatch(name) or not all(_VALUE.fullmatch(value) for value in values):
        raise ValueError(f"{name!r} {values!r} cannot be said in a frame")
    if sequence is not None:
        if not FIRST_SEQUENCE <= sequence <= LAST_SEQUENCE:
            raise ValueError(f"sequence id {sequence} is outside {FIRST_SEQUENCE}..{LAST_SEQUENCE}")
        values.append(f":{sequence:02X}")
    body = START + " ".join((name, *values)).encode("ascii")
    match check:
        case Check.XOR:
            body += b"^%02X" % xor_of(body)
        case Check.SUM:
            body += b"*%02X" % sum_of(body)
        case Check.NONE:
            pass
    return body + END


def build(request: Request, *, check: Check = Check.XOR) -> bytes:
    """A request's frame. `ValueError` where a controller could not take it in."""
    frame = seal((request.name, *request.parameters), sequence=request.sequence, check=check)
    tokens = 1 + len(request.parameters) + (request.sequence is not None)
    if len(frame) > MAX_REQUEST_BYTES or tokens > MAX_TOKENS:
        raise ValueError(f"{request} is longer than a controller can take in")
    return frame


def parse(frame: bytes) -> Reply | Event | Garbage:
    """What a controller has sent. One frame from its "$" on, with its end or without."""
    found = _open(frame, may_be_bare=False)
    if isinstance(found, Garbage):
        return found
    name, values, sequence = found
    if name in ("OK", "NK"):
        return Reply(name == "OK", values, sequence)
    if _EVENTS.fullmatch(name) and sequence is None:
        return Event(name, values)
    return Garbage(Flaw.UNKNOWN, frame)


def parse_request(frame: bytes) -> Request | Garbage:
    """What a master has sent, as a controller reads it: with either checksum, or with none."""
    if len(frame.removesuffix(END)) >= MAX_REQUEST_BYTES:
        return Garbage(Flaw.LENGTH, frame)
    found = _open(frame, may_be_bare=True)
    if isinstance(found, Garbage):
        return found
    name, parameters, sequence = found
    if 1 + len(parameters) + (sequence is not None) > MAX_TOKENS:
        return Garbage(Flaw.LENGTH, frame)
    return Request(name, parameters, sequence)


def _open(frame: bytes, *, may_be_bare: bool) -> tuple[str, tuple[str, ...], int | None] | Garbage:
    """Name, values and sequence id of a frame whose checksum is right."""
    if len(frame) > MAX_FRAME_BYTES:
        return Garbage(Flaw.LENGTH, frame)
    found = _CHECKED.fullmatch(frame)
    if found is None:
        found = _BARE.fullmatch(frame)
        if found is None:
            return Garbage(Flaw.SHAPE, frame)
        if not may_be_bare:
            return Garbage(Flaw.UNCHECKED, frame)
    else:
        right = xor_of(found["body"]) if found["kind"] == b"^" else sum_of(found["body"])
        if int(found["digits"], 16) != right:
            return Garbage(Flaw.CHECKSUM, frame)
    name, *values = found["body"][1:].decode("latin-1").split(" ")
    sequence = None
    if values and (last := _SEQUENCE.fullmatch(values[-1])) is not None:
        sequence = int(last["id"], 16)
        values.pop()
    if sequence == 0 or not _NAME.fullmatch(name) or not all(_VALUE.fullmatch(value) for value in values):
        return Garbage(Flaw.SHAPE, frame)
    return name, tuple(values), sequence


class Splitter:
    """Cuts what comes over a line into frames. A "$" always begins a new one; what was begun is then lost."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self.discarded = 0
        """Bytes that belonged to no frame."""

    @property
    def has_begun(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._begun)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete, each from its "$" to its end."""
        frames: list[bytes] = []
        for byte in data:
            if byte == START[0]:
                self.discarded += len(self._begun)
                self._begun[:] = START
            elif not self._begun:
                self.discarded += 1
            elif byte == END[0]:
                frames.append(bytes(self._begun) + END)
                self._begun.clear()
            elif len(self._begun) >= MAX_FRAME_BYTES:
                self.discarded += len(self._begun) + 1
                self._begun.clear()
            else:
                self._begun.append(byte)
        return frames

    def forget(self) -> None:
        """Drop what has begun: the line was closed, or what follows belongs to something else."""
        self.discarded += len(self._begun)
        self._begun.clear()
