"""Units on a line whose every answer is unlike any other, and the book of what they were really asked and did.

A register's value depends on the unit, the table, the address and the number of the serving, so that an answer to
another request, another unit or an earlier time is told from the right one. The book judges a master's claims:

- what a read gave is right when the unit served just this read (unit, table, address, count) with just these values
  between the call and its return; whose request it was does not matter;
- a write that is reported as done is right when the unit did just this write between the call and its return;
- a refusal is right when the unit (or its gateway) refused just this request with this code in that time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

OK, REFUSED = "ok", "refused"


def crc_of(body: bytes) -> bytes:
    """The CRC of an RTU frame, reckoned bit by bit: nothing of it is edged's."""
    cached = _CRCS.get(body)
    if cached is None:
        crc = 0xFFFF
        for byte in body:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        cached = crc.to_bytes(2, "little")
        if len(body) < 10:
            _CRCS[body] = cached
    return cached


_CRCS: dict[bytes, bytes] = {}


def framed(unit_id: int, pdu: bytes) -> bytes:
    body = bytes((unit_id,)) + pdu
    return body + crc_of(body)


def word(unit_id: int, function: int, address: int, serving: int) -> int:
    x = (unit_id * 0x9E3779B1 + function * 0x7FEB352D + address * 0x85EBCA6B + serving * 0xC2B2AE35) & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0x2C1B3C6D & 0xFFFFFFFF
    return x >> 16


def values_in(request: bytes, reply: bytes) -> tuple[int, ...]:
    """What a reply to a read says, as a tuple of words or bits."""
    function, count = request[0], int.from_bytes(request[3:5], "big")
    if function in (1, 2):
        return tuple(reply[2 + i // 8] >> i % 8 & 1 for i in range(count))
    return tuple(int.from_bytes(reply[2 + 2 * i : 4 + 2 * i], "big") for i in range(count))


@dataclass(frozen=True, slots=True)
class Served:
    """What a unit made of a request, and when."""

    at: float
    outcome: str
    values: tuple[int, ...] = ()
    code: int = 0


@dataclass(frozen=True, slots=True)
class Wrong:
    """A claim that the book does not bear out, and when the call began."""

    unit_id: int
    pdu: bytes
    claim: Served
    since: float

    def __repr__(self) -> str:
        shown = self.claim.values[:4] if self.claim.values else self.claim.code or "done"
        asked = f"unit {self.unit_id} {self.pdu.hex()} asked at {self.since:.6f}"
        return f"{asked}: {self.claim.outcome} {shown} at {self.claim.at:.6f}"


@dataclass
class Book:
    """Everything that any unit has ever served. `wrong`: claims that it does not bear out."""

    served: dict[tuple[int, bytes], list[Served]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[Wrong] = field(default_factory=list)

    def bears_out(self, unit_id: int, pdu: bytes, claim: Served, since: float) -> bool:
        """Whether the unit served `pdu` so, not before `since` and not after the claim."""
        return any(
            since <= each.at <= claim.at
            and (each.outcome, each.values, each.code) == (claim.outcome, claim.values, claim.code)
            for each in reversed(self.served[unit_id, pdu][-200:])
        )

    def judge(self, unit_id: int, pdu: bytes, claim: Served, since: float) -> None:
        if not self.bears_out(unit_id, pdu, claim, since):
            self.wrong.append(Wrong(unit_id, pdu, claim, since))


@dataclass
class Unit:
    """One unit: it does one request after the other, and its replies leave in that order."""

    unit_id: int
    book: Book
    free_at: float = 0.0
    servings: int = 0

    def serve(self, pdu: bytes, at: float) -> bytes:
        """The reply's PDU; the book has it."""
        self.servings += 1
        function = pdu[0]
        values: tuple[int, ...] = ()
        if function in (1, 2, 3, 4):
            address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
            words = count if function > 2 else (count + 15) // 16
            data = b"".join(
                word(self.unit_id, function, address + i, self.servings).to_bytes(2, "big") for i in range(words)
            )
            if function < 3:
                data = data[: (count + 7) // 8]
            reply = bytes((function, len(data))) + data
            values = values_in(pdu, reply)
        elif function in (5, 6, 15, 16):
            reply = pdu[:5]
        else:
            return self.refuse(pdu, at, 1)
        self.book.served[self.unit_id, pdu].append(Served(at, OK, values))
        return reply

    def refuse(self, pdu: bytes, at: float, code: int) -> bytes:
        self.book.served[self.unit_id, pdu].append(Served(at, REFUSED, code=code))
        return bytes((pdu[0] | 0x80, code))
