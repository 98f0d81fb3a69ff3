"""One thing on a line: its points, whether it is there to answer at all, and what people do to it.

Owns reachability (silence, reboot, a supply that is cut, a server that restarts). Refuses to know protocols: what is
said on the wire is for those below, `SimulatedUnit` for Modbus and `OpenEvse` for RAPI. Time is an argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from edged.domain.hardware import FaultCode
from edged.simulator.model import PointModel
from edged.simulator.parts import Impossible, Value
from edged.simulator.wire import SOUND, WireFaults

SERVER_RESTART_S = 3.0


class SimulatedDevice(ABC):
    """`unit_id` None: it is alone on its line and has no address. `requests` counts those that it heard."""

    make: ClassVar[str]
    fault_codes: ClassVar[frozenset[FaultCode]]

    def __init__(self, name: str, *, unit_id: int | None, points: tuple[PointModel, ...]) -> None:
        self.name = name
        self.unit_id = unit_id
        self.points = points
        self.silent = False
        self.wire: WireFaults = SOUND
        self.requests = 0
        self.ignored = 0
        self._server_down_s = 0.0
        self._has_power = True

    # --- time and power -----------------------------------------------------------------------------------------------

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
        """Power off and on: unreachable, volatile settings and forced values forgotten."""
        self.release_all()
        for point in self.points:
            point.reboot()

    def cut_power(self) -> None:
        """Somebody takes its supply away: dead and forgetful until `give_power`."""
        self._has_power = False
        self.release_all()
        for point in self.points:
            point.lose_power()

    def give_power(self) -> None:
        """The supply is back; what had lost it boots."""
        if not self._has_power:
            self._has_power = True
            self.reboot()

    def restart_server(self) -> None:
        """Only the communication goes down for a while; charging continues."""
        self._server_down_s = SERVER_RESTART_S

    # --- people -------------------------------------------------------------------------------------------------------

    def fault(self, code: FaultCode, point: int) -> None:
        """`Impossible` where this make has no way to show such a fault."""
        if code not in self.fault_codes:
            known = ", ".join(sorted(known.value for known in self.fault_codes))
            raise Impossible(f"a {self.make} cannot show {code.value}; it shows {known}")
        self.points[point - 1].fault(code)

    def check_wire(self, faults: WireFaults) -> None:  # noqa: B027 - a hook, empty on purpose
        """`Impossible` where such faults have no meaning on this device's line."""

    def details(self) -> Mapping[str, object]:
        """What there is to know of it beside its points' physics, in plain types."""
        return {}

    @abstractmethod
    def force(self, register: str, value: Value | None, point: int) -> None:
        """Make what a register, or a named value, of one point reads be this; None lets it go. `Impossible` where
        there is none."""

    @abstractmethod
    def release_all(self) -> None:
        """Forget what was forced."""
