"""One unit on a line: the points behind a unit id, their registers, and when the unit is there to answer at all.

Owns reachability (silence, reboot, standby, the pause that a slow box needs) and the dispatch of requests. The makes
say which registers there are. Time is an argument; it knows no socket.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from edged.domain.hardware import FaultCode
from edged.simulator import pdu as modbus
from edged.simulator.model import PointModel
from edged.simulator.parts import Impossible
from edged.simulator.pdu import ExceptionCode, ReadRequest, WriteRequest
from edged.simulator.registers import RegisterBank, Value
from edged.simulator.wire import SOUND, WireFaults

SERVER_RESTART_S = 3.0


class SimulatedUnit(ABC):
    """What answers under one unit id."""

    make: ClassVar[str]
    write_functions: ClassVar[frozenset[int]]
    fault_codes: ClassVar[frozenset[FaultCode]]
    default_unit_id: ClassVar[int] = 1
    default_min_gap_s: ClassVar[float] = 0.0

    def __init__(
        self, name: str, *, unit_id: int, points: tuple[PointModel, ...], min_gap_s: float | None = None
    ) -> None:
        self.name = name
        self.unit_id = unit_id
        self.points = points
        self.min_gap_s = self.default_min_gap_s if min_gap_s is None else min_gap_s
        self.silent = False
        self.wire: WireFaults = SOUND
        self.requests = 0
        self.ignored = 0
        self._spoke_at_s: float | None = None
        self._server_down_s = 0.0
        self._has_power = True
        self.banks = self.build_banks()

    @abstractmethod
    def build_banks(self) -> dict[int, RegisterBank]:
        """Read function code -> the registers that it shows. Writes go to the bank of function 3."""

    @abstractmethod
    def register_name(self, name: str, point: int) -> str:
        """The name in the bank of a register of one point (counted from 1)."""

    def traffic(self, request: ReadRequest | WriteRequest | ExceptionCode) -> None:  # noqa: B027 - a hook, empty on purpose
        """A request for this unit arrived: some makes count that as their sign of life."""

    # --- time ---------------------------------------------------------------------------------------------------------

    def advance(self, dt_s: float, *, wire_s: float | None = None) -> None:
        """Let `dt_s` pass for the physics, `wire_s` on the master's clock."""
        self._server_down_s = max(0.0, self._server_down_s - dt_s)
        for point in self.points:
            point.advance(dt_s, wire_s=wire_s)

    @property
    def reachable(self) -> bool:
        awake = all(point.powered and not point.in_standby for point in self.points)
        return awake and self._has_power and not self.silent and self._server_down_s <= 0

    def reboot(self) -> None:
        """Power off and on: unreachable, volatile settings and forced registers forgotten."""
        for bank in self.banks.values():
            bank.release_all()
        for point in self.points:
            point.reboot()

    def cut_power(self) -> None:
        """Somebody takes its supply away: dead and forgetful until `give_power`."""
        self._has_power = False
        for bank in self.banks.values():
            bank.release_all()
        for point in self.points:
            point.lose_power()

    def give_power(self) -> None:
        """The supply is back; a unit that had lost it boots."""
        if not self._has_power:
            self._has_power = True
            self.reboot()

    def restart_server(self) -> None:
        """Only the communication goes down for a while; charging continues."""
        self._server_down_s = SERVER_RESTART_S

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

    def fault(self, code: FaultCode, point: int) -> None:
        """`Impossible` where this make has no way to show such a fault."""
        if code not in self.fault_codes:
            known = ", ".join(sorted(known.value for known in self.fault_codes))
            raise Impossible(f"a {self.make} cannot show {code.value}; it shows {known}")
        self.points[point - 1].fault(code)

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
