"""systemd-journald's end of its native protocol: a datagram socket that keeps what it is sent.

Written from systemd.io/JOURNAL_NATIVE_PROTOCOL, not from edged's own encoder.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

MAX_DATAGRAM = 1 << 20


def decode(entry: bytes) -> list[tuple[str, str]]:
    """The fields of an entry in their order."""
    fields, at = [], 0
    while at < len(entry):
        end = entry.index(b"\n", at)
        name, equals, value = entry[at:end].partition(b"=")
        at = end + 1
        if not equals:
            (length,) = struct.unpack_from("<Q", entry, at)
            value = entry[at + 8 : at + 8 + length]
            at += 8 + length
            assert entry[at : at + 1] == b"\n"
            at += 1
        fields.append((name.decode(), value.decode()))
    return fields


class FakeJournald:
    """`datagrams`: what was read so far; `seals`: those of each file that came instead of a datagram."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.datagrams: list[bytes] = []
        self.seals: list[int] = []
        self.start()

    def start(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)

    def stop(self) -> None:
        self._socket.close()
        self.path.unlink()

    def __enter__(self) -> FakeJournald:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def entries(self) -> list[dict[str, str]]:
        """What has come since they were last asked for. No field stands in an entry twice."""
        found = []
        while True:
            try:
                content, descriptors, _, _ = socket.recv_fds(self._socket, MAX_DATAGRAM, 1)
            except BlockingIOError:
                return found
            for descriptor in descriptors:
                with os.fdopen(descriptor, "rb") as file:
                    self.seals.append(fcntl.fcntl(file, fcntl.F_GET_SEALS))
                    file.seek(0)
                    content = file.read()
            self.datagrams.append(content)
            fields = decode(content)
            assert len(dict(fields)) == len(fields)
            found.append(dict(fields))


def about(entries: list[dict[str, str]], **wanted: str) -> list[Mapping[str, str]]:
    """As journalctl would: the entries with all of these fields."""
    return [entry for entry in entries if wanted.items() <= entry.items()]
