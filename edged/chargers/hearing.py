"""What the bytes on a line tell of who is there, apart from the answer that was hoped for. PURE.

Owns: frames of other units and of another master, our own echo, and what is left, which is noise. Refuses to know:
lines, timing, what was asked and why.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.chargers.modbus import GATEWAY_SILENT, ProtocolError, crc16, split_mbap

_READS = range(1, 5)
_WRITES = frozenset({5, 6, 15, 16})
_LONG_WRITES = frozenset({15, 16})
_REQUEST_BYTES, _EXCEPTION_BYTES, _LONG_WRITE_BYTES = 8, 5, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Units whose valid replies were heard, units that somebody else asked, our own echo, and bytes without sense.

    `is_excused`: a gateway has said that a unit does not answer, which is no word of the unit.
    """

    replies: frozenset[int] = frozenset()
    requests: frozenset[int] = frozenset()
    is_echoed: bool = False
    is_excused: bool = False
    noise_bytes: int = 0

    @property
    def speakers(self) -> frozenset[int]:
        """The units that somebody asked, or that answered somebody."""
        return self.replies | self.requests

    @property
    def before_asking(self) -> Heard:
        """The same, heard while nothing was asked: then every frame is part of somebody else's conversation."""
        return Heard(requests=self.speakers, noise_bytes=self.noise_bytes)

    def __or__(self, other: Heard) -> Heard:
        return Heard(
            replies=self.replies | other.replies,
            requests=self.requests | other.requests,
            is_echoed=self.is_echoed or other.is_echoed,
            is_excused=self.is_excused or other.is_excused,
            noise_bytes=self.noise_bytes + other.noise_bytes,
        )


def hear_rtu(sent: bytes, received: bytes) -> Heard:
    """Whole RTU frames count by their check sum; a request that is not `sent` comes from another master."""
    replies, requests, noise, at = set(), set(), 0, 0
    is_echoed = is_excused = False
    while at < len(received):
        if sent and received.startswith(sent, at):
            is_echoed = True
            at += len(sent)
        elif (length := _reply_at(received, at)) is not None:
            if _is_excuse(received[at + 1 : at + 3]):
                is_excused = True
            else:
                replies.add(received[at])
            at += length
        elif (length := _request_at(received, at)) is not None:
            requests.add(received[at])
            at += length
        else:
            noise += 1
            at += 1
    return Heard(
        replies=frozenset(replies),
        requests=frozenset(requests),
        is_echoed=is_echoed,
        is_excused=is_excused,
        noise_bytes=noise,
    )


def hear_mbap(received: bytes) -> Heard:
    """The units of whole Modbus TCP frames; anything else is noise."""
    replies: set[int] = set()
    is_excused = False
    rest = received
    while rest:
        try:
            frame, taken = split_mbap(rest)
        except ProtocolError:
            break
        if frame is None:
            break
        if _is_excuse(frame.pdu):
            is_excused = True
        else:
            replies.add(frame.unit_id)
        rest = rest[taken:]
    return Heard(replies=frozenset(replies), is_excused=is_excused, noise_bytes=len(rest))


def _is_excuse(pdu: bytes) -> bool:
    return len(pdu) == 2 and bool(pdu[0] & 0x80) and pdu[1] in GATEWAY_SILENT


def _reply_at(received: bytes, at: int) -> int | None:
    """The length of the reply that begins here; None where none does."""
    if len(received) - at < _EXCEPTION_BYTES:
        return None
    function = received[at + 1]
    if function & 0x80:
        length = _EXCEPTION_BYTES
    elif function in _READS:
        length = _EXCEPTION_BYTES + received[at + 2]
    elif function in _WRITES:
        length = _REQUEST_BYTES
    else:
        return None
    return length if _is_frame(received, at, length) else None


def _request_at(received: bytes, at: int) -> int | None:
    """The length of the request that begins here; a write of one register looks like its reply, and is taken for it."""
    if len(received) - at < _REQUEST_BYTES:
        return None
    function = received[at + 1]
    if function in _READS:
        length = _REQUEST_BYTES
    elif function in _LONG_WRITES:
        length = _LONG_WRITE_BYTES + received[at + 6]
    else:
        return None
    return length if _is_frame(received, at, length) else None


def _is_frame(received: bytes, at: int, length: int) -> bool:
    frame = received[at : at + length]
    return len(frame) == length and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")
