"""Faults on the wire: what becomes of a reply on its way. Every choice comes from one seeded generator.

Owns the dice and the damage; knows no register and no socket.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from edged.simulator.pdu import mbap_frame, rtu_frame

MAX_LATE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFaults:
    """Probabilities between 0 and 1. A reply is late by `late_ms` with probability `late`."""

    late_ms: float = 0.0
    late: float = 1.0
    drop: float = 0.0
    corrupt: float = 0.0
    truncate: float = 0.0
    wrong_unit: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.late_ms <= MAX_LATE_MS:
            raise ValueError(f"late_ms must be between 0 and {MAX_LATE_MS}, not {self.late_ms}")
        for name in ("late", "drop", "corrupt", "truncate", "wrong_unit"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability between 0 and 1, not {getattr(self, name)}")


SOUND = WireFaults()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What reaches the wire, how late, and whether the connection dies with it (TCP cut in the middle of a frame)."""

    frame: bytes
    late_s: float
    cut: bool = False


def deliver_text(frame: bytes, *, faults: WireFaults, dice: random.Random) -> Delivery | None:
    """A frame of a line without addresses as it arrives; None: it does not."""
    if faults == SOUND:
        return Delivery(frame=frame, late_s=0.0)
    if dice.random() < faults.drop:
        return None
    late_s = faults.late_ms / 1000.0 if dice.random() < faults.late else 0.0
    damaged = bytearray(frame)
    if dice.random() < faults.corrupt:
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    if dice.random() < faults.truncate:
        del damaged[dice.randrange(1, len(damaged)) :]
    return Delivery(frame=bytes(damaged), late_s=late_s)


def deliver(
    pdu: bytes, *, unit_id: int, transaction_id: int | None, faults: WireFaults, dice: random.Random
) -> Delivery | None:
    """The reply as it arrives; None: it does not. `transaction_id` None = RTU.

    TCP's own checksums would catch a flipped bit, so over TCP `corrupt` damages what a master can check: the
    transaction id, the protocol id or the function code.
    """
    if faults == SOUND:
        return Delivery(frame=_frame(pdu, unit_id=unit_id, transaction_id=transaction_id), late_s=0.0)
    if dice.random() < faults.drop:
        return None
    late_s = faults.late_ms / 1000.0 if dice.random() < faults.late else 0.0
    if dice.random() < faults.wrong_unit:
        unit_id = unit_id % 247 + 1
    frame = bytearray(_frame(pdu, unit_id=unit_id, transaction_id=transaction_id))
    if dice.random() < faults.corrupt:
        at = dice.randrange(len(frame)) if transaction_id is None else dice.choice((0, 1, 2, 3, 7))
        frame[at] ^= 1 << dice.randrange(8)
    cut = dice.random() < faults.truncate
    if cut:
        del frame[dice.randrange(1, len(frame)) :]
    return Delivery(frame=bytes(frame), late_s=late_s, cut=cut)


def _frame(pdu: bytes, *, unit_id: int, transaction_id: int | None) -> bytes:
    return rtu_frame(unit_id, pdu) if transaction_id is None else mbap_frame(transaction_id, unit_id, pdu)
