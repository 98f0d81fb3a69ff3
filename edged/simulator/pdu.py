"""Modbus as a slave hears it: requests, exceptions, RTU and MBAP frames. Pure; owns bytes, knows no register and no
charger.

Written apart from the master's side on purpose: two readings of the same specification check each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

READ_HOLDING, READ_INPUT, WRITE_SINGLE, WRITE_MULTIPLE = 3, 4, 6, 16
READ_COILS, WRITE_COIL, WRITE_COILS = 1, 5, 15
MAX_READ_WORDS, MAX_WRITE_WORDS = 125, 123
MAX_READ_COILS, MAX_WRITE_COILS = 2000, 1968
COIL_WORDS = {0x0000: 0, 0xFF00: 1}
"""How function 5 says off and on; any other word is illegal."""
MAX_RTU_BYTES = 256
MAX_PDU_BYTES = 253


class ExceptionCode(IntEnum):
    """The exception codes of the Modbus application protocol, V1.1b3 §7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """Of coils or of registers, as the function says."""

    function: int
    address: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    """Coils are 0 or 1."""

    function: int
    address: int
    values: tuple[int, ...]


def parse_request(pdu: bytes) -> ReadRequest | WriteRequest | ExceptionCode:
    """What a request asks for, or the exception that it deserves."""
    function = pdu[0] if pdu else 0
    if function in (READ_COILS, WRITE_COIL, WRITE_COILS):
        return _parse_coils(function, pdu)
    if function not in (READ_HOLDING, READ_INPUT, WRITE_SINGLE, WRITE_MULTIPLE):
        return ExceptionCode.ILLEGAL_FUNCTION
    if len(pdu) < 5:
        return ExceptionCode.ILLEGAL_VALUE
    address, second = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
    if function == WRITE_MULTIPLE:
        sound = 1 <= second <= MAX_WRITE_WORDS and len(pdu) == 6 + 2 * second and pdu[5] == 2 * second
        if not sound:
            return ExceptionCode.ILLEGAL_VALUE
        values = tuple(int.from_bytes(pdu[at : at + 2]) for at in range(6, len(pdu), 2))
        return WriteRequest(function=function, address=address, values=values)
    if len(pdu) != 5:
        return ExceptionCode.ILLEGAL_VALUE
    if function == WRITE_SINGLE:
        return WriteRequest(function=function, address=address, values=(second,))
    if not 1 <= second <= MAX_READ_WORDS:
        return ExceptionCode.ILLEGAL_VALUE
    return ReadRequest(function=function, address=address, count=second)


def _parse_coils(function: int, pdu: bytes) -> ReadRequest | WriteRequest | ExceptionCode:
    if len(pdu) < 5 or (function != WRITE_COILS and len(pdu) != 5):
        return ExceptionCode.ILLEGAL_VALUE
    address, second = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
    if function == WRITE_COIL:
        if second not in COIL_WORDS:
            return ExceptionCode.ILLEGAL_VALUE
        return WriteRequest(function=function, address=address, values=(COIL_WORDS[second],))
    if function == READ_COILS:
        if not 1 <= second <= MAX_READ_COILS:
            return ExceptionCode.ILLEGAL_VALUE
        return ReadRequest(function=function, address=address, count=second)
    size = (second + 7) // 8
    if not 1 <= second <= MAX_WRITE_COILS or len(pdu) != 6 + size or pdu[5] != size:
        return ExceptionCode.ILLEGAL_VALUE
    bits = int.from_bytes(pdu[6:], "little")
    return WriteRequest(function=function, address=address, values=tuple(bits >> n & 1 for n in range(second)))


def read_reply(request: ReadRequest, words: list[int]) -> bytes:
    if request.function == READ_COILS:
        bits = sum(word << n for n, word in enumerate(words))
        body = bits.to_bytes((len(words) + 7) // 8, "little")
    else:
        body = b"".join(word.to_bytes(2) for word in words)
    return bytes((request.function, len(body))) + body


def write_reply(request: WriteRequest) -> bytes:
    if request.function == WRITE_COIL:
        second = 0xFF00 if request.values[0] else 0x0000
    else:
        second = request.values[0] if request.function == WRITE_SINGLE else len(request.values)
    return bytes((request.function,)) + request.address.to_bytes(2) + second.to_bytes(2)


def exception_reply(function: int, code: ExceptionCode) -> bytes:
    return bytes((function | 0x80, code))


def crc16(data: bytes) -> bytes:
    """The RTU checksum as it goes over the wire, low byte first (serial line specification V1.02 §6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def rtu_frame(unit_id: int, pdu: bytes) -> bytes:
    body = bytes((unit_id,)) + pdu
    return body + crc16(body)


def mbap_frame(transaction_id: int, unit_id: int, pdu: bytes) -> bytes:
    return transaction_id.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes((unit_id,)) + pdu


class RtuRequests:
    """Cuts what arrives on a line into requests. `feed` yields whole ones, `silence` ends what has no known length.

    A frame with a wrong checksum takes everything up to the next silence with it, as a real slave does.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._deaf = False
        self.damaged = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Whole requests as (unit id, PDU), in order."""
        if self._deaf:
            return []
        self._pending += data
        found: list[tuple[int, bytes]] = []
        while (length := self._expected()) is not None and len(self._pending) >= length:
            frame = bytes(self._pending[:length])
            del self._pending[:length]
            if crc16(frame[:-2]) != frame[-2:]:
                self._give_up()
                break
            found.append((frame[0], frame[1:-2]))
        if len(self._pending) > MAX_RTU_BYTES:
            self._give_up()
        return found

    def silence(self) -> list[tuple[int, bytes]]:
        """The line has been quiet: a frame of unknown length has ended, a broken one is forgotten."""
        frame = bytes(self._pending)
        self._pending.clear()
        self._deaf = False
        if not frame:
            return []
        if 4 <= len(frame) <= MAX_RTU_BYTES and crc16(frame[:-2]) == frame[-2:]:
            return [(frame[0], frame[1:-2])]
        self.damaged += 1
        return []

    @property
    def waiting(self) -> bool:
        """Whether a silence would change anything."""
        return bool(self._pending) or self._deaf

    def _expected(self) -> int | None:
        if len(self._pending) < 2:
            return None
        function = self._pending[1]
        if 1 <= function <= 6:
            return 8
        if function in (15, 16):
            return 9 + self._pending[6] if len(self._pending) > 6 else None
        return None

    def _give_up(self) -> None:
        self._pending.clear()
        self._deaf = True
        self.damaged += 1
