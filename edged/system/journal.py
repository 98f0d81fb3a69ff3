"""Entries of the log as the journal takes them: text, priority and fields, in one datagram each (systemd's native
protocol, systemd.io/JOURNAL_NATIVE_PROTOCOL).

Owns the protocol and what happens when nobody takes an entry. Refuses to know how a text is made and what is secret in
it. Invariants: logging never waits for the journal · each datagram goes to the socket by its name, so that a journal
which was restarted is found again · what the journal does not take in time is counted, and the count is told · where
there is no socket the text goes to standard error, as it does without this module, and without waiting as well.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TextIO

from edged.log_fields import fields_of, journal_name

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "edged"
MAX_CHARS: Final = 1024 * 1024
"""The longest value; a datagram has less, then the rest of the protocol is a sealed file."""
_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY: Final = 7
_BUSY: Final = frozenset({errno.EAGAIN, errno.ENOBUFS})
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

Lines = Callable[[logging.LogRecord], Sequence[str]]


def priority(level: int) -> int:
    """syslog's number for a level."""
    return next((number for least, number in _PRIORITIES if level >= least), _DEBUG_PRIORITY)


class Journal(logging.Handler):
    """Brings entries to the journal. `lost`: how many it did not take so far."""

    def __init__(self, lines: Lines, hide: Callable[[str], str], spare: TextIO, address: str = SOCKET) -> None:
        """`lines`: an entry's text, fit to be shown; `hide`: makes a field's value so; `spare`: where the text goes
        when there is no socket at `address`."""
        super().__init__()
        self.lost = 0
        self._lines = lines
        self._hide = hide
        self._spare = spare
        self._address = address
        self._untold = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._stream = _stream_of(spare)
        self._torn = False  # whether the last line there has no end

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = self._lines(record)
            fields = [*self._fields(record)]
        except (TypeError, ValueError, KeyError, AttributeError):  # an entry that its author has garbled
            self.handleError(record)
            return
        number = priority(record.levelno)
        if self._untold:
            self._confess()
        self._bring("\n".join(lines), number, fields)

    def close(self) -> None:
        self._socket.close()
        if self._stream is not None:
            self._stream.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> Iterator[tuple[str, str]]:
        yield "LOGGER", record.name
        yield "CODE_FILE", record.pathname
        yield "CODE_LINE", str(record.lineno)
        yield "CODE_FUNC", record.funcName or ""
        for name, value in fields_of(record).items():
            yield journal_name(name), self._hide(value)

    def _confess(self) -> None:
        count, self._untold = self._untold, 0
        self._bring(
            f"{__name__}: the journal took {count} entries too slowly: they are lost", 4, [("LOGGER", __name__)]
        )
        if self._untold:
            self._untold += count - 1  # this one was never an entry
            self.lost -= 1

    def _bring(self, text: str, number: int, fields: Sequence[tuple[str, str]]) -> None:
        entry = encode([("MESSAGE", text), ("PRIORITY", str(number)), ("SYSLOG_IDENTIFIER", IDENTIFIER), *fields])
        try:
            self._send(entry)
        except OSError as error:
            if error.errno in _BUSY or not self._say("".join(f"<{number}>{line}\n" for line in text.split("\n"))):
                self.lost += 1
                self._untold += 1

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.sendto(entry, self._address)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            with sealed(entry) as descriptor:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
                self._socket.sendmsg([b""], [rights], 0, self._address)

    def _say(self, text: str) -> bool:
        """On standard error: False where it would have to wait."""
        try:
            if self._stream is None:
                self._spare.write(text)
                self._spare.flush()
            else:
                content = b"\n" * self._torn + text.encode("utf-8", "backslashreplace")
                self._torn = self._stream.send(content, socket.MSG_DONTWAIT) < len(content)
        except (OSError, ValueError):
            return False
        return True


def encode(fields: Sequence[tuple[str, str]]) -> bytes:
    """An entry on the wire: NAME=value, or with its length where the value has lines."""
    parts = []
    for name, value in fields:
        encoded = value[:MAX_CHARS].encode("utf-8", "backslashreplace")
        if b"\n" in encoded:
            parts += [name.encode(), b"\n", len(encoded).to_bytes(8, "little"), encoded, b"\n"]
        else:
            parts += [name.encode(), b"=", encoded, b"\n"]
    return b"".join(parts)


@contextlib.contextmanager
def sealed(content: bytes) -> Iterator[int]:
    """A file in memory that nobody can change any more. Raises `OSError`."""
    descriptor = os.memfd_create("edged-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        yield descriptor
    finally:
        os.close(descriptor)


def _stream_of(spare: TextIO) -> socket.socket | None:
    """Standard error as the journal's stream, on which one need not wait; None for anything else."""
    try:
        descriptor = os.dup(spare.fileno())
    except (OSError, ValueError):
        return None
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None
