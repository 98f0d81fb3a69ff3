"""Modbus requests and replies as bytes: PDU, RTU frame with CRC, MBAP frame. No I/O.

Owns: function codes, limits of the protocol, what makes a reply the reply to *this* request.
Refuses to know: lines, timing, retries, chargers.

Invariants: a reply is only accepted if unit id, function code, byte count (2N for N registers) and, for a write, the
echoed address and value are those of the request, and CRC or transaction id are right. Anything else is a
`ProtocolError` that says what was wrong; an exception reply is an `ExceptionReply` and proves that the unit is alive.
Nothing here ever raises anything else for bytes from a wire.

ChargerUnreachable
  NoAnswer           nothing came in time
  ProtocolError      something came, but not a reply to this request
    CrcError         its check sum is wrong
ChargerRefused
  ExceptionReply     the unit answered with an exception code
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum

from edged.ports import ChargerRefused, ChargerUnreachable

MAX_READ_REGISTERS = 125
MAX_READ_BITS = 2000
MAX_WRITE_REGISTERS = 123
MAX_PDU = 253
MBAP_HEADER = 7

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
GATEWAY_SILENT = frozenset({10, 11})
"""Exceptions of a gateway in place of a silent unit: they do not prove that the unit is alive."""


class NoAnswer(ChargerUnreachable):
    """Nothing came back in time."""


class ProtocolError(ChargerUnreachable):
    """Bytes came back, but not a valid reply to the request."""


class CrcError(ProtocolError):
    """Bytes came back, and their check sum is wrong."""


class ExceptionReply(ChargerRefused):
    """The unit refused the request with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}: {EXCEPTIONS.get(code, 'not in the standard')}")
        self.code = code


class Table(StrEnum):
    """The four tables, by the letters that profiles use."""

    HOLDING = "H"
    INPUT = "I"
    COIL = "C"
    DISCRETE = "D"

    def __init__(self, letter: str) -> None:
        self.read_function = {"C": 1, "D": 2, "H": 3, "I": 4}[letter]
        self.is_bits = letter in ("C", "D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Read `count` registers (or bits) from a zero-based address."""

    table: Table
    address: int
    count: int

    def __post_init__(self) -> None:
        limit = MAX_READ_BITS if self.table.is_bits else MAX_READ_REGISTERS
        if not 1 <= self.count <= limit:
            raise ValueError(f"one read takes 1..{limit} of table {self.table}, not {self.count}")
        _check_span(self.address, self.count)

    @property
    def function(self) -> int:
        return self.table.read_function

    @property
    def pdu(self) -> bytes:
        return struct.pack(">BHH", self.function, self.address, self.count)

    @property
    def byte_count(self) -> int:
        return (self.count + 7) // 8 if self.table.is_bits else 2 * self.count

    @property
    def reply_length(self) -> int:
        """Length of the reply's PDU when it is no exception."""
        return 2 + self.byte_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Write words to holding registers, or bits to coils. `multiple` chooses FC16/FC15 over FC6/FC5."""

    table: Table
    address: int
    values: tuple[int, ...]
    multiple: bool = False

    def __post_init__(self) -> None:
        if self.table not in (Table.HOLDING, Table.COIL):
            raise ValueError(f"table {self.table} cannot be written")
        if not 1 <= len(self.values) <= MAX_WRITE_REGISTERS:
            raise ValueError(f"one write takes 1..{MAX_WRITE_REGISTERS} values, not {len(self.values)}")
        if len(self.values) > 1 and not self.multiple:
            raise ValueError("several values need the function that writes several")
        if any(not 0 <= v <= (1 if self.table is Table.COIL else 0xFFFF) for v in self.values):
            raise ValueError(f"a value of {self.values} does not fit into its register")
        _check_span(self.address, len(self.values))

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def function(self) -> int:
        if self.table is Table.COIL:
            return 15 if self.multiple else 5
        return 16 if self.multiple else 6

    @property
    def pdu(self) -> bytes:
        head = struct.pack(">BH", self.function, self.address)
        match self.function:
            case 5:
                return head + (b"\xff\x00" if self.values[0] else b"\x00\x00")
            case 6:
                return head + self.values[0].to_bytes(2, "big")
            case 15:
                bits = sum(bit << i for i, bit in enumerate(self.values))
                size = (self.count + 7) // 8
                return head + struct.pack(">HB", self.count, size) + bits.to_bytes(size, "little")
            case _:
                body = b"".join(v.to_bytes(2, "big") for v in self.values)
                return head + struct.pack(">HB", self.count, len(body)) + body

    @property
    def reply_length(self) -> int:
        return 5


Request = Read | Write
EXCEPTION_LENGTH = 2
"""Length of an exception reply's PDU."""


def parse_reply(request: Request, pdu: bytes) -> tuple[int, ...]:
    """The words (or bits) of a reply to a read, an empty tuple for a write.

    Raises `ExceptionReply`, or `ProtocolError` where the PDU is not the reply to this request.
    """
    if not pdu:
        raise ProtocolError("an empty reply")
    function = pdu[0]
    if function == request.function | 0x80:
        if len(pdu) != EXCEPTION_LENGTH:
            raise ProtocolError(f"an exception reply of {len(pdu)} bytes instead of {EXCEPTION_LENGTH}")
        raise ExceptionReply(pdu[1])
    if function != request.function:
        raise ProtocolError(f"function {function} instead of {request.function}")
    if isinstance(request, Write):
        expected = request.pdu[:5]
        if pdu != expected:
            raise ProtocolError(f"the write was echoed as {pdu[1:].hex()} instead of {expected[1:].hex()}")
        return ()
    if len(pdu) < 2 or pdu[1] != request.byte_count or len(pdu) != request.reply_length:
        claimed = pdu[1] if len(pdu) > 1 else 0
        raise ProtocolError(f"byte count {claimed} in {len(pdu)} bytes instead of {request.byte_count}")
    if request.table.is_bits:
        return tuple(pdu[2 + i // 8] >> i % 8 & 1 for i in range(request.count))
    return struct.unpack(f">{request.count}H", pdu[2:])


# --- RTU ------------------------------------------------------------------------------------------


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()
RTU_OVERHEAD = 3
"""Unit id in front, two bytes of CRC behind the PDU."""


def crc16(data: bytes) -> int:
    """The CRC of Modbus over serial line V1.02 §2.5.1.2; sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def rtu_frame(unit_id: int, pdu: bytes) -> bytes:
    body = bytes((unit_id,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def rtu_reply_length(request: Request) -> int:
    """Length in bytes of the frame that answers `request` when it is no exception."""
    return request.reply_length + RTU_OVERHEAD


def parse_rtu_reply(unit_id: int, request: Request, frame: bytes) -> tuple[int, ...]:
    """`parse_reply` of a whole RTU frame, its CRC and unit id checked first."""
    if len(frame) < RTU_OVERHEAD + 1:
        raise ProtocolError(f"a frame of {len(frame)} bytes")
    if crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
        raise CrcError("the CRC is wrong")
    if frame[0] != unit_id:
        raise ProtocolError(f"unit {frame[0]} answered instead of unit {unit_id}")
    return parse_reply(request, frame[1:-2])


def find_rtu_reply(unit_id: int, request: Request, received: bytes) -> bytes | None:
    """The frame within `received` that answers the request, or None while there is none.

    The end is found by the expected length, never by silence. Bytes in front (a transceiver that rings when it turns
    round) are skipped, since only a frame with the right unit, function, length and CRC counts.
    """
    whole, refusal = rtu_reply_length(request), EXCEPTION_LENGTH + RTU_OVERHEAD
    for start in range(len(received) - refusal + 1):
        if received[start] != unit_id:
            continue
        function = received[start + 1]
        if function == request.function | 0x80:
            length = refusal
        elif function == request.function:
            length = whole
        else:
            continue
        frame = received[start : start + length]
        if len(frame) == length and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
            return frame
    return None


def diagnose_rtu(unit_id: int, request: Request, received: bytes) -> ChargerUnreachable:
    """Why `received`, in which `find_rtu_reply` found nothing, is no reply: the error to raise."""
    expected = rtu_reply_length(request)
    if not received:
        return NoAnswer(f"unit {unit_id} did not answer")
    try:
        parse_rtu_reply(unit_id, request, received)
    except CrcError as error:
        if len(received) >= expected:
            return error
    except ProtocolError as error:
        return error
    except ExceptionReply as error:
        return ProtocolError(str(error))
    return ProtocolError(f"{len(received)} of {expected} bytes came")


# --- MBAP -----------------------------------------------------------------------------------------


def mbap_frame(transaction_id: int, unit_id: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction_id, 0, len(pdu) + 1, unit_id) + pdu


@dataclass(frozen=True, slots=True)
class MbapFrame:
    transaction_id: int
    unit_id: int
    pdu: bytes


def split_mbap(received: bytes) -> tuple[MbapFrame | None, int]:
    """The first frame of a TCP stream and how many bytes it took; (None, 0) while it is not complete.

    `ProtocolError` where the stream cannot be Modbus: the connection has to be closed, there is no way back into step.
    """
    if len(received) < MBAP_HEADER:
        return None, 0
    transaction_id, protocol, length, unit_id = struct.unpack(">HHHB", received[:MBAP_HEADER])
    if protocol != 0 or not 2 <= length <= MAX_PDU + 1:
        raise ProtocolError(f"the stream is not Modbus: protocol {protocol}, length {length}")
    end = MBAP_HEADER - 1 + length
    if len(received) < end:
        return None, 0
    return MbapFrame(transaction_id, unit_id, received[MBAP_HEADER:end]), end


def _check_span(address: int, count: int) -> None:
    if not 0 <= address <= 0xFFFF or address + count > 0x10000:
        raise ValueError(f"addresses {address}..{address + count - 1} are outside 0..65535")
