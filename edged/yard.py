"""The composition root's yard: the chargers of a site on their lines, and what can cut their power.

It decides nothing; what stands where is the installer's word. Boards and GPIO lines begin with `start`: they answer for
outputs that a run before this one may have left switched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edged.chargers.bus import Bus
from edged.chargers.bus_report import LineSign, report
from edged.chargers.driver import ACTION_DEADLINE_S, ChargerDriver
from edged.chargers.factory import BusPool, build_board, build_charger, build_rapi, spec_for_point
from edged.chargers.library import ChargerProfile, load_charger, load_relay
from edged.chargers.power_cycle import CutCharger, PowerCycledCharger, PowerOutput
from edged.chargers.profile import DeviceProfile
from edged.chargers.rapi.profile import RapiProfile
from edged.chargers.relay_board import RelayBoard
from edged.ports import Charger, Clock
from edged.settings import ChargerSettings, ResetLine, ResetRelay, Settings
from edged.settings.model import Level
from edged.shape import ChargerFacts
from edged.words import bus_spec, charger_facts

if TYPE_CHECKING:
    from edged.chargers.gpio_output import GpioOutput
    from edged.chargers.rapi.charger import RapiCharger
    from edged.chargers.rapi.link import Link

POLL_INTERVAL_S = 1.0


class Yard:
    """`facts`: what is known of each charger whose driver was built."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.facts: dict[str, ChargerFacts] = {}
        self._settings = settings
        self._clock = clock
        self._pool = BusPool()
        self._profiles: dict[str, ChargerProfile] = {}
        self.sources: dict[str, str] = {}
        """How each charger is read, by name."""
        self._boards: dict[str, RelayBoard] = {}
        self._lines: list[GpioOutput] = []
        self._signs: dict[Bus | Link, LineSign] = {}

    @property
    def buses(self) -> tuple[Bus | Link, ...]:
        return self._pool.buses

    def reports(self) -> dict[str, dict[str, Any]]:
        """What each line says of itself, by its device or address. Needs a running loop."""
        utc = self._clock.now().utc
        signs = {bus: self._signs.get(bus, LineSign()) for bus in self.buses}
        return {str(bus.spec): report(bus.statistics, bus.spec, sign, utc=utc) for bus, sign in signs.items()}

    def _sign(self, bus: Bus | Link, settings: ChargerSettings, unit_id: int) -> None:
        self._signs.setdefault(bus, LineSign(settings.bus)).add(unit_id, settings.name)

    def driver(self, name: str) -> ChargerDriver:
        """A charger ready to be started. Raises `ProfileErrors` where its profile has changed meanwhile."""
        settings = self._settings.chargers[name]
        profile = self._profiles.get(settings.profile)
        if profile is None:
            profile = load_charger(settings.profile, self._settings.profiles_dir)
            self._profiles[settings.profile] = profile
        self.sources[name] = "rapi" if isinstance(profile, RapiProfile) else "modbus"
        controller: RapiCharger | None = None
        if isinstance(profile, RapiProfile):
            device: CutCharger = (controller := self._rapi(settings, profile))
        else:
            device = self._modbus(settings, profile)
        charger: Charger = device
        deadline_s = ACTION_DEADLINE_S
        relay = settings.reset_relay
        if relay is not None:
            charger = cycled = PowerCycledCharger(device, self._output(relay), off_s=relay.off_s)
            deadline_s = cycled.longest_action_s
        self.facts[name] = charger_facts(settings, profile, charger.capabilities)
        driver = ChargerDriver(charger, self._clock, action_deadline_s=deadline_s, name=name)
        if controller is not None:
            controller.on_change = driver.look_soon
        return driver

    def _modbus(self, settings: ChargerSettings, profile: DeviceProfile) -> CutCharger:
        bus = self._pool.open_bus(spec_for_point(bus_spec(settings.line), profile, settings.point))
        charger = build_charger(
            profile,
            bus,
            unit_id=settings.unit_id,
            point=settings.point,
            poll_interval_s=settings.poll_interval_s or POLL_INTERVAL_S,
            max_current_ma=settings.max_current_ma,
            clock=self._clock,
        )
        self._sign(bus, settings, charger.device.unit_id)
        return charger

    def _rapi(self, settings: ChargerSettings, profile: RapiProfile) -> RapiCharger:
        from edged.chargers.rapi.link import UNIT_ID  # only a site with such a controller has it in memory

        link = self._pool.open_link(bus_spec(settings.line))
        self._sign(link, settings, UNIT_ID)
        return build_rapi(
            profile,
            link,
            poll_interval_s=settings.poll_interval_s or POLL_INTERVAL_S,
            max_current_ma=settings.max_current_ma,
            phases=settings.phases,
            voltage_v=settings.voltage_v,
            clock=self._clock,
        )

    def _output(self, relay: ResetRelay | ResetLine) -> PowerOutput:
        if isinstance(relay, ResetRelay):
            return self._board(relay).use(relay.output)
        from edged.chargers.gpio_output import GpioOutput

        line = GpioOutput(relay.gpio, relay.line, active_high=relay.active is Level.HIGH)
        self._lines.append(line)
        return line

    def _board(self, relay: ResetRelay) -> RelayBoard:
        board = self._boards.get(relay.charger)
        if board is None:
            settings = self._settings.chargers[relay.charger]
            profile = load_relay(settings.profile, self._settings.profiles_dir)
            bus = self._pool.open_bus(bus_spec(settings.line))
            board = build_board(profile, bus, unit_id=settings.unit_id, name=settings.name)
            self._boards[relay.charger] = board
            self._sign(bus, settings, board.unit_id)
        return board

    def start(self) -> None:
        """Bring every output that is used to rest, soon. Needs a running loop."""
        for board in self._boards.values():
            board.start()
        for line in self._lines:
            line.start()

    async def close(self) -> None:
        """After the drivers have stopped: they bring what they hold to rest."""
        for board in self._boards.values():
            await board.stop()
        for line in self._lines:
            await line.stop()
        await self._pool.close()
