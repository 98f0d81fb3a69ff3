"""The session with one device: from its first word to the restart, the outage or the fallback that ends it.

Owns: waking it, who it is, its failsafe registers, and the signs by which it shows that it has restarted. Refuses to
know: setpoints, states, why somebody wants the session.

Invariants: a session is on only after every failsafe register was written, and read back where the profile says how.
What ends one (a new session of the bus, a missed keep-alive, a restart that shows, a failsafe register that shows
another value) is noticed by the next poll; what only registers show that are not polled, by the poll after an
unanswered request or, where nothing is owed, within `RECHECK_S`.

ChargerRefused
  NotTaken      a failsafe register reads back something else than was written
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from edged.chargers.device import RegisterDevice
from edged.chargers.job_queue import Priority
from edged.chargers.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ExceptionReply
from edged.chargers.profile import InitWrite
from edged.chargers.profile_terms import Poll, Values, parse_firmware
from edged.chargers.registers import Value
from edged.ports import ChargerRefused

log = logging.getLogger(__name__)

RECHECK_S, LONGEST_RECHECK_S = 60.0, 240.0
"""How often failsafe registers that no poll shows are read again, and one that was not taken is tried again: with
growing pauses where the device says that it takes it and does not, since registers wear."""
FIRST_CONTEST_S = 4.0
"""A failsafe register that is changed again and again, with no other sign of a restart, is contested by somebody else:
it is set again after pauses that grow from this one up to `LONGEST_RECHECK_S`."""


class NotTaken(ChargerRefused):
    """A failsafe register reads back something else than was written."""


def _is_missing(error: ChargerRefused) -> bool:
    return isinstance(error, ExceptionReply) and error.code in (ILLEGAL_ADDRESS, ILLEGAL_FUNCTION)


class DeviceSession:
    """`facts`: what does not change while it is on. `fallen_back`: whether the device has waited too long for us."""

    def __init__(
        self, device: RegisterDevice, *, monotonic: Callable[[], float], fallen_back: Callable[[], bool]
    ) -> None:
        self.facts: dict[str, Value | None] = {}
        self._device = device
        self._monotonic = monotonic
        self._fallen_back = fallen_back
        self._number: int | None = None
        self._held: dict[str, Value] = {}
        self._owed: list[InitWrite] = []
        self._recheck_at_s = 0.0
        self._pause_s = RECHECK_S
        self._contested_at_s = -math.inf
        self._contest_pause_s = 0.0
        self._boot_mark: float | None = None
        self._boot_signs: frozenset[int] | None = None

    @property
    def is_on(self) -> bool:
        return self._number is not None and self._number == self._device.session and not self._fallen_back()

    @property
    def identity(self) -> dict[str, str]:
        """Firmware, serial number and model as the device tells them; empty before the first session."""
        names = self._device.profile.identity
        pairs = (("firmware", names.firmware), ("serial_number", names.serial_number), ("model", names.model))
        values = {key: self.facts.get(name) for key, name in pairs if name is not None}
        return {key: v.hex() if isinstance(v, bytes) else str(v) for key, v in values.items() if v is not None}

    def doubt(self) -> None:
        """It was silent, so that it may have restarted: the next poll looks at its failsafe registers."""
        self._recheck_at_s = 0.0

    def end(self) -> None:
        """The next use begins a new one."""
        self._number = None

    async def begin(self, priority: Priority) -> None:
        """Wake it, ask who it is, make it safe. Raises `ChargerError`; then no session is on.

        With the priority of a status poll a dead device fails at once; a command's gives it one real try.
        """
        self._number = None
        device, profile = self._device, self._device.profile
        for write in profile.wake:
            await device.write(write.register, write.value, priority)
        await device.read((profile.state.register,), priority)
        number = device.session
        await self._identify()
        await self._make_safe()
        self._boot_signs = None
        self._pause_s = RECHECK_S
        self._recheck_at_s = self._monotonic() + RECHECK_S
        self._number = number

    async def _identify(self) -> None:
        """Read what does not change, the firmware first: it decides which registers there are."""
        profile, device = self._device.profile, self._device
        firmware = None
        if profile.identity.firmware is not None:
            firmware = parse_firmware(await device.read_one(profile.identity.firmware, Priority.IDENTITY))
        device.forget(firmware)
        names = [name for name, register in device.registers.items() if register.poll is Poll.ONCE]
        self.facts = await device.read(names, Priority.IDENTITY)
        present = self.facts.get(profile.points.present) if profile.points.present is not None else None
        if isinstance(present, int) and 0 < present < device.point:
            raise ChargerRefused(f"{device}: the controller has only {present} charging points")

    async def _make_safe(self) -> None:
        """Failsafe before anything else, each read back where the profile says how."""
        self._held.clear()
        self._owed.clear()
        for init in self._device.profile.init:
            try:
                await self._set(init)
            except ChargerRefused as error:
                if init.required:
                    raise
                log.warning("%s did not take its failsafe setting %s: %s", self._device, init.register, error)
                if self._device.has(init.register) and not _is_missing(error):
                    self._owed.append(init)

    async def _set(self, init: InitWrite) -> None:
        device, sense = self._device, init.sense
        await device.write(init.register, init.value, Priority.COMMAND)
        if sense is None or not device.has(sense):
            return
        wanted = device.registers[init.register].value_of(init.value)
        have = await device.read_one(sense, Priority.COMMAND)
        if have is not None and have != wanted:
            raise NotTaken(f"{init.register} reads back {have!r} instead of {wanted!r}")
        if have is not None:
            self._held[sense] = wanted

    async def recheck(self) -> Values:
        """Once in `RECHECK_S`: try again what the device did not take, and read the failsafe registers that no poll
        shows. Nothing in between. Raises `ChargerError`."""
        if self._monotonic() < self._recheck_at_s:
            return {}
        await self._try_again()
        self._recheck_at_s = self._monotonic() + self._pause_s
        registers = self._device.registers
        names = [name for name in self._held if registers[name].poll is not Poll.ALWAYS]
        return await self._device.read(names, Priority.IDENTITY) if names else {}

    async def _try_again(self) -> None:
        still, pause_s = [], RECHECK_S
        for init in self._owed:
            try:
                await self._set(init)
            except NotTaken:
                still.append(init)
                pause_s = min(LONGEST_RECHECK_S, 2 * self._pause_s)
            except ChargerRefused:
                still.append(init)
            else:
                log.info("%s has taken its failsafe setting %s", self._device, init.register)
        self._owed, self._pause_s = still, pause_s

    def has_restarted(self, values: Values) -> bool:
        """Whether what was read shows that the device has restarted since the last look; the session has ended then."""
        profile = self._device.profile
        signs = frozenset(i for i, sign in enumerate(profile.boot) if sign.holds(values))
        new_signs = signs - self._boot_signs if self._boot_signs is not None else frozenset[int]()
        self._boot_signs = signs
        forgotten = [name for name, held in self._held.items() if name in values and values[name] not in (held, None)]
        mark = values.get(profile.boot_falls) if profile.boot_falls is not None else None
        has_fallen = False
        if isinstance(mark, (int, float)):
            has_fallen = self._boot_mark is not None and mark < self._boot_mark
            self._boot_mark = float(mark)
        if not (new_signs or has_fallen or (forgotten and self._is_contest_due())):
            return False
        told = f": {', '.join(f'{name} is {values[name]!r}' for name in forgotten)}" if forgotten else ""
        log.warning("%s has restarted%s", self._device, told)
        self.end()
        return True

    def _is_contest_due(self) -> bool:
        """Whether a failsafe register that shows something else is to be set now."""
        now_s = self._monotonic()
        waited_s = now_s - self._contested_at_s
        if waited_s < self._contest_pause_s:
            return False
        goes_on = waited_s <= 2 * LONGEST_RECHECK_S
        self._contest_pause_s = (
            min(LONGEST_RECHECK_S, max(FIRST_CONTEST_S, 2 * self._contest_pause_s)) if goes_on else 0
        )
        self._contested_at_s = now_s
        return True
