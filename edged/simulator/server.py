"""Modbus as a line's language: requests to the units by their id, replies in their time.

Owns the framing of a talk (MBAP over TCP, RTU over everything else) and the timing of replies on a paced line; knows
units by their id only, and no register. A unit that is absent or silent says nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from edged.simulator.device import SimulatedDevice
from edged.simulator.line import Language, Outlet, Talk, Way
from edged.simulator.parts import Impossible
from edged.simulator.pdu import MAX_PDU_BYTES, RtuRequests
from edged.simulator.unit import SimulatedUnit
from edged.simulator.wire import Delivery, deliver

log = logging.getLogger(__name__)
wire_log = logging.getLogger("edged.wire")

MAX_LAG_S = 5.0
BITS_A_CHARACTER = 11
MBAP_BYTES = 7


class Exchange(Language):
    """Asks the units of one line. `catch_up` brings the physics to the present before a unit is asked."""

    def __init__(self, *, clock: Callable[[], float], catch_up: Callable[[], None], dice: random.Random) -> None:
        self._units: dict[int, SimulatedUnit] = {}
        self.clock = clock
        self._catch_up = catch_up
        self._dice = dice

    def add(self, device: SimulatedDevice) -> None:
        """`Impossible` where its id is taken or no id of a unit, or it does not speak Modbus."""
        if not isinstance(device, SimulatedUnit):
            raise Impossible(f"{device.name}: a {device.make} does not speak Modbus, give it a line of its own")
        if not 1 <= device.unit_id <= 255:
            raise Impossible(f"{device.name}: a unit id is between 1 and 255, not {device.unit_id}")
        first = self._units.setdefault(device.unit_id, device)
        if first is not device:
            raise Impossible(f"{device.name}: unit id {device.unit_id} is taken on this line by {first.name}")

    def talk(self, outlet: Outlet) -> Talk:
        return _MbapTalk(self, outlet) if outlet.way is Way.TCP else _RtuTalk(self, outlet)

    def ask(
        self, unit_id: int, pdu: bytes, *, transaction_id: int | None, arrived_s: float
    ) -> tuple[SimulatedUnit, Delivery] | None:
        """The reply to one request as it reaches the wire, or None where nothing does."""
        self._catch_up()
        unit = self._units.get(unit_id)
        if unit is None:
            return None
        reply = unit.answer(pdu, now_s=arrived_s)
        wire_log.debug("unit %d: %s -> %s", unit_id, pdu.hex(), "nothing" if reply is None else reply.hex())
        if reply is None:
            return None
        delivery = deliver(reply, unit_id=unit_id, transaction_id=transaction_id, faults=unit.wire, dice=self._dice)
        return None if delivery is None else (unit, delivery)

    def answer_now(self, outlet: Outlet, unit_id: int, pdu: bytes, *, transaction_id: int | None) -> None:
        """Answer on a line without a pace. TCP dies with a frame that is cut, a converter's stream does not."""
        answered = self.ask(unit_id, pdu, transaction_id=transaction_id, arrived_s=self.clock())
        if answered is None:
            return
        unit, delivery = answered
        dies = delivery.cut and transaction_id is not None

        def sent() -> None:
            unit.spoke(self.clock())
            if dies:
                outlet.hang_up()

        outlet.send(delivery.frame, delay_s=delivery.late_s, sent=sent)


class _MbapTalk(Talk):
    """Modbus TCP with one client."""

    def __init__(self, exchange: Exchange, outlet: Outlet) -> None:
        self._exchange = exchange
        self._outlet = outlet
        self._pending = bytearray()

    def feed(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= MBAP_BYTES:
            length = int.from_bytes(self._pending[4:6])
            if self._pending[2:4] != b"\0\0" or not 2 <= length <= MAX_PDU_BYTES + 1:
                log.warning("a client does not speak Modbus TCP, its connection is closed")
                self._pending.clear()
                self._outlet.hang_up()
                return
            end = MBAP_BYTES - 1 + length
            if len(self._pending) < end:
                return
            frame = bytes(self._pending[:end])
            del self._pending[:end]
            pdu, transaction_id = frame[MBAP_BYTES:], int.from_bytes(frame[:2])
            self._exchange.answer_now(self._outlet, frame[6], pdu, transaction_id=transaction_id)


class _RtuTalk(Talk):
    """RTU with one master. On a terminal the line is busy while somebody speaks."""

    def __init__(self, exchange: Exchange, outlet: Outlet) -> None:
        self._exchange = exchange
        self._outlet = outlet
        self._requests = RtuRequests()
        self._busy_until_s = 0.0

    @property
    def waiting(self) -> bool:
        return self._requests.waiting

    def feed(self, data: bytes) -> None:
        self._take(self._requests.feed(data))

    def silence(self) -> None:
        self._take(self._requests.silence())

    def _take(self, requests: list[tuple[int, bytes]]) -> None:
        for unit_id, pdu in requests:
            if self._outlet.way is Way.TERMINAL:
                self._answer_in_turn(unit_id, pdu)
            else:
                self._exchange.answer_now(self._outlet, unit_id, pdu, transaction_id=None)

    def _answer_in_turn(self, unit_id: int, pdu: bytes) -> None:
        now_s = self._exchange.clock()
        arrived_s = max(now_s, self._busy_until_s) + self._wire_s(len(pdu) + 3)
        if arrived_s - now_s > MAX_LAG_S:
            return  # nobody waits so long: what was asked is gone
        self._busy_until_s = arrived_s
        answered = self._exchange.ask(unit_id, pdu, transaction_id=None, arrived_s=arrived_s)
        if answered is None:
            return
        unit, delivery = answered
        left_s = arrived_s + self._gap_s() + self._wire_s(len(delivery.frame))
        if delivery.late_s == 0:
            self._busy_until_s = left_s
        unit.spoke(left_s + delivery.late_s)
        self._outlet.send(delivery.frame, delay_s=left_s + delivery.late_s - now_s)

    def _wire_s(self, characters: int) -> float:
        return characters * BITS_A_CHARACTER / self._outlet.baudrate if self._outlet.baudrate else 0.0

    def _gap_s(self) -> float:
        return max(self._wire_s(7) / 2, 0.00175) if self._outlet.baudrate else 0.0
