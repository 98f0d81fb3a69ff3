"""A relay board: coils that cut the power of other units through normally-closed contacts. No charging point.

Source: Modbus application protocol V1.1b3 (functions 1, 5 and 15); output n is coil n - 1.
Decided where that is silent: the outputs drop when the board itself loses its power.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from edged.domain.hardware import FaultCode
from edged.simulator.device import SimulatedDevice
from edged.simulator.parts import Impossible
from edged.simulator.pdu import READ_COILS, READ_HOLDING, WRITE_COIL, WRITE_COILS
from edged.simulator.registers import Cell, RegisterBank
from edged.simulator.unit import SimulatedUnit

OUTPUTS = 32


class ModbusRelay(SimulatedUnit):
    """`outputs`: whether each is on, by its number from 1. `history`: every change of one, in order."""

    make = "modbus-relay"
    write_functions = frozenset({WRITE_COIL, WRITE_COILS})
    fault_codes = frozenset[FaultCode]()

    def __init__(self, name: str, *, unit_id: int, min_gap_s: float | None = None) -> None:
        self._outputs = dict.fromkeys(range(1, OUTPUTS + 1), False)
        self._wired: dict[int, SimulatedDevice] = {}
        self.history: list[tuple[int, bool]] = []
        super().__init__(name, unit_id=unit_id, points=(), min_gap_s=min_gap_s)

    @property
    def outputs(self) -> Mapping[int, bool]:
        return MappingProxyType(self._outputs)

    def attach(self, output: int, unit: SimulatedDevice) -> None:
        """Let an output cut the power of a unit. `Impossible` where there is no such output, or it is taken."""
        if output not in self._outputs or output in self._wired or unit is self:
            raise Impossible(f"output {output} of {self.name} cannot cut the power of {unit.name}")
        self._wired[output] = unit

    def build_banks(self) -> dict[int, RegisterBank]:
        coils = RegisterBank(
            [
                Cell(
                    name=self.register_name("", n),
                    address=n - 1,
                    read=partial(self._read, n),
                    write=partial(self.switch, n),
                )
                for n in self._outputs
            ]
        )
        return {READ_COILS: coils, READ_HOLDING: coils}

    def register_name(self, name: str, point: int) -> str:
        return name or f"output_{point}"

    def _read(self, output: int) -> int:
        return int(self._outputs[output])

    def switch(self, output: int, on: int) -> None:
        """Switch an output, as a request or a finger on the board does."""
        if self._outputs[output] is bool(on):
            return
        self._outputs[output] = bool(on)
        self.history.append((output, bool(on)))
        unit = self._wired.get(output)
        if unit is not None:
            (unit.cut_power if on else unit.give_power)()

    def reboot(self) -> None:
        super().reboot()
        for output in self._outputs:
            self.switch(output, False)
