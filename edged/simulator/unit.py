"""One Modbus unit on a line: the points behind a unit id and their registers.

Owns the dispatch of requests and the pause that a slow box needs between them. The makes say which registers there
are. Time is an argument; it knows no socket.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from edged.simulator import pdu as modbus
from edged.simulator.device import SimulatedDevice
from edged.simulator.model import PointModel
from edged.simulator.parts import Impossible, Value
from edged.simulator.pdu import ExceptionCode, ReadRequest, WriteRequest
from edged.simulator.registers import RegisterBank


class SimulatedUnit(SimulatedDevice):
    """What answers under one unit id."""

    unit_id: int
    write_functions: ClassVar[frozenset[int]]
    default_unit_id: ClassVar[int] = 1
    default_min_gap_s: ClassVar[float] = 0.0

    def __init__(
        self, name: str, *, unit_id: int, points: tuple[PointModel, ...], min_gap_s: float | None = None
    ) -> None:
        super().__init__(name, unit_id=unit_id, points=points)
        self.min_gap_s = self.default_min_gap_s if min_gap_s is None else min_gap_s
        self._spoke_at_s: float | None = None
        self.banks = self.build_banks()

    @abstractmethod
    def build_banks(self) -> dict[int, RegisterBank]:
        """Read function code -> the registers that it shows. Writes go to the bank of function 3."""

    @abstractmethod
    def register_name(self, name: str, point: int) -> str:
        """The name in the bank of a register of one point (counted from 1)."""

    def traffic(self, request: ReadRequest | WriteRequest | ExceptionCode) -> None:
        """A request for this unit arrived: some makes count that as their sign of life."""

    # --- the wire -----------------------------------------------------------------------------------------------------

    def answer(self, pdu: bytes, *, now_s: float) -> bytes | None:
        """The reply to a request that arrived at `now_s` (the wire's clock), or None where nothing is said."""
        if not self.reachable:
            return None
        too_soon = self._spoke_at_s is not None and now_s - self._spoke_at_s < self.min_gap_s
        if too_soon:
            self.ignored += 1
            return None
        self.requests += 1
        self._spoke_at_s = now_s
        request = modbus.parse_request(pdu)
        self.traffic(request)
        function = pdu[0] if pdu else 0
        reply = self._reply(request)
        return modbus.exception_reply(function, reply) if isinstance(reply, ExceptionCode) else reply

    def spoke(self, now_s: float) -> None:
        """The last byte of a reply left at `now_s`: the pause that the box needs counts from here."""
        self._spoke_at_s = now_s

    def _reply(self, request: ReadRequest | WriteRequest | ExceptionCode) -> bytes | ExceptionCode:
        match request:
            case ExceptionCode():
                return request
            case ReadRequest():
                bank = self.banks.get(request.function)
                if bank is None:
                    return ExceptionCode.ILLEGAL_FUNCTION
                words = bank.read(request.address, request.count)
                return words if isinstance(words, ExceptionCode) else modbus.read_reply(request, words)
            case WriteRequest():
                if request.function not in self.write_functions:
                    return ExceptionCode.ILLEGAL_FUNCTION
                refused = self.banks[modbus.READ_HOLDING].write(request.address, request.values)
                return modbus.write_reply(request) if refused is None else refused

    # --- people -------------------------------------------------------------------------------------------------------

    def force(self, register: str, value: Value | None, point: int) -> None:
        """Force a register, named or by its address, of one point; None lets it go. `Impossible` where there is
        none."""
        wanted = self.register_name(register, point)
        try:
            address = int(register, 0)
        except ValueError:
            address = -1
        found = False
        for bank in {id(bank): bank for bank in self.banks.values()}.values():
            name = bank.name_at(address) if address >= 0 else next((n for n in (wanted, register) if n in bank), None)
            if name is not None:
                bank.force(name, value)
                found = True
        if not found:
            raise Impossible(f"a {self.make} has no register {register}")

    def release_all(self) -> None:
        for bank in self.banks.values():
            bank.release_all()
