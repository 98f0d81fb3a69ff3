"""Looking at one charger for a person: who it is, every register of its profile, what the daemon would make of it.

Owns: what is read and in which order, how an unanswered question is repeated, what is missing. Refuses to know: the
terminal, the configuration, the other units of the line (`silence` looks for those).
Invariants: it never writes; a box that must be woken by a write is asked as it is; what was read until it was stopped
stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edged.chargers.asked import Counts
from edged.chargers.fit import Answers, Fit, judge
from edged.chargers.hearing import Heard
from edged.chargers.inquiry import Inquiry, Told
from edged.chargers.interpretation import Reading, capabilities_of, interpret
from edged.chargers.line import LineDown
from edged.chargers.meaning import backing, meaning_of, shown
from edged.chargers.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, NoAnswer
from edged.chargers.planning import address_of, unit_of
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import Register, parse_firmware
from edged.chargers.registers import Value
from edged.chargers.word_order import Suspicion, suspects
from edged.domain.hardware import Capability, ChargerState
from edged.ports import ChargerUnreachable

FIRST_TRIES = 3
TRIES = 2
SERIAL_TIMEOUT_S, NETWORK_TIMEOUT_S = 0.6, 2.0
PATIENT_S = 3.0
"""For a charger whose answer came, but too late."""
SILENCES_UNTIL_CHECKED = 3
MISSING = frozenset({ILLEGAL_FUNCTION, ILLEGAL_ADDRESS})


class Silent(ChargerUnreachable):
    """The charger did not answer at all. `heard`: what was on the line instead; `hung_up`: it closed the connection."""

    def __init__(self, message: str, *, heard: Heard, hung_up: bool) -> None:
        super().__init__(message)
        self.heard = heard
        self.hung_up = hung_up


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterReading:
    """One register as it was read. `words` None: `error` says why; `value` None with words: a sentinel for "none"."""

    name: str
    table: str
    address: int
    unit: str
    words: tuple[int, ...] | None = None
    value: Value | None = None
    meaning: str = ""
    round_trip_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a charger told. `observed` None: the state register cannot be read, so the daemon would take it as lost.

    `cannot`: capabilities of the profile that this very charger does not have, with the reason. `ended`: why not
    everything was read, empty where it was. `heard`: what else was on the line. `suspicions`: registers whose words
    seem to come in another order than the profile says.
    """

    profile: DeviceProfile
    unit_id: int
    point: int
    identity: Mapping[str, str]
    fit: Fit
    readings: tuple[RegisterReading, ...]
    observed: Reading | None
    capabilities: frozenset[Capability]
    cannot: Mapping[Capability, str]
    counts: Counts
    points_present: int | None
    ended: str
    heard: Heard = field(default_factory=Heard)
    suspicions: tuple[Suspicion, ...] = ()

    @property
    def missing(self) -> tuple[RegisterReading, ...]:
        return tuple(reading for reading in self.readings if reading.words is None)


async def probe(profile: DeviceProfile, inquiry: Inquiry, *, unit_id: int, point: int = 1) -> Probe:
    """Read everything that the profile knows. Raises `Silent`, or `LineDown` where the line cannot be opened."""
    probing = Probing(profile, inquiry, unit_id=unit_id, point=point)
    await probing.run()
    return probing.result()


class Probing:
    """One probe while it runs. `tell` hears which register is read next, the how manieth of how many it is."""

    def __init__(
        self,
        profile: DeviceProfile,
        inquiry: Inquiry,
        *,
        unit_id: int,
        point: int = 1,
        tell: Callable[[str, int, int], None] = lambda name, number, count: None,
    ) -> None:
        self.heard = Heard()
        self._profile = profile
        self._inquiry = inquiry
        self._unit_id = unit_of(unit_id, profile.points, point)
        self._point = point
        self._tell = tell
        self._registers = profile.registers_at(None)
        self._told: dict[str, Told] = {}
        self._values: dict[str, Value | None] = {}
        self._ended = ""
        self._counts = Counts()
        least_s = NETWORK_TIMEOUT_S if inquiry.is_network else SERIAL_TIMEOUT_S
        self._timeout_s = max(least_s, profile.bus.response_timeout_s or 0.0)

    @property
    def has_answer(self) -> bool:
        """Whether there is something to make a result of."""
        return bool(self._counts.round_trips_s)

    async def run(self, *, listen_s: float = 0.0) -> None:
        """Listen, ask who is there, read everything. Raises as `probe` does."""
        if listen_s > 0:
            self._tell("listening", 0, 1)
            self.heard |= await self._inquiry.listen(listen_s)
        await self.greet()
        await self.read_all()

    async def greet(self) -> None:
        """Find out whether anybody is there, and which firmware decides on the registers."""
        state = self._state_register
        heard = self.heard
        for _ in range(FIRST_TRIES):
            told = await self._ask(state)
            if told.is_alive:
                break
            heard |= told.heard
            if self._unit_id in heard.replies:
                self._timeout_s = max(self._timeout_s, PATIENT_S)
        else:
            hung_up = isinstance(told.error, LineDown)
            raise Silent(f"unit {self._unit_id} did not answer", heard=heard, hung_up=hung_up)
        name = self._profile.identity.firmware
        if name is not None and name in self._registers:
            await self._read(self._registers[name])
            self._registers = self._profile.registers_at(parse_firmware(self._values.get(name)))

    async def read_all(self) -> None:
        silences = 0
        registers = self._in_order()
        for number, register in enumerate(registers, start=1):
            if register.name in self._told:
                continue
            self._tell(register.name, number, len(registers))
            told = await self._read(register)
            silences = 0 if told.is_alive else silences + 1
            if silences == SILENCES_UNTIL_CHECKED:
                silences = 0
                if not (await self._ask(self._state_register)).is_alive:
                    self._ended = f"it fell silent at {register.name}, the registers behind it were not read"
                    return

    def result(self, *, ended: str = "") -> Probe:
        """What is known so far. Only where `has_answer`. `ended`: why it was stopped, if it was."""
        profile = self._profile
        answers = Answers(
            registers=self._registers,
            values=self._values,
            words={name: told.words for name, told in self._told.items() if told.words is not None},
            refused=[name for name, told in self._told.items() if told.refusal is not None],
            silent=[name for name, told in self._told.items() if not told.is_alive],
        )
        observed = None
        if profile.state.register in self._values:
            observed = interpret(profile, self._registers, self._values)
        cannot = self._cannot()
        names = {"model": profile.identity.model, "serial number": profile.identity.serial_number}
        names["firmware"] = profile.identity.firmware
        present = self._values.get(profile.points.present) if profile.points.present is not None else None
        return Probe(
            profile=profile,
            unit_id=self._unit_id,
            point=self._point,
            identity={key: shown(self._values[name]) for key, name in names.items() if name in self._values},
            fit=judge(profile, answers),
            readings=tuple(self._reading(register, observed) for register in self._in_order()),
            observed=observed,
            capabilities=profile.capabilities - cannot.keys(),
            cannot=cannot,
            counts=self._counts,
            points_present=present if isinstance(present, int) else None,
            ended=self._ended or ended,
            heard=self.heard,
            suspicions=suspects(answers.registers, answers.words),
        )

    @property
    def _state_register(self) -> Register:
        name = self._profile.state.register
        return self._registers.get(name) or self._profile.registers[name][0]

    def _cannot(self) -> dict[Capability, str]:
        """What the charger's own options take away, and what the missing registers do."""
        profile, reasons = self._profile, dict[Capability, str]()
        for capability in profile.capabilities - capabilities_of(profile, self._values):
            detachable = profile.detachable
            reasons[capability] = "its cable is fixed"
            if not isinstance(detachable, bool):
                reading = f"{detachable.register} reads {shown(self._values.get(detachable.register))}"
                reasons[capability] += f" ({reading})"
        for capability, needed in backing(profile).items():
            gone = sorted(name for name in needed if (told := self._told.get(name)) and told.words is None)
            absent = sorted(name for name in needed if name not in self._registers)
            if gone:
                reasons.setdefault(capability, f"{', '.join(gone)} cannot be read")
            elif absent:
                reasons.setdefault(capability, f"its firmware has no {', '.join(absent)}")
        return reasons

    def _in_order(self) -> list[Register]:
        readable = [register for register in self._registers.values() if register.readable]
        return sorted(readable, key=lambda each: (each.table, each.address, each.name))

    def _reading(self, register: Register, observed: Reading | None) -> RegisterReading:
        told = self._told.get(register.name)
        state = observed.state if observed is not None else ChargerState.UNKNOWN
        is_read = told is not None and told.words is not None
        return RegisterReading(
            name=register.name,
            table=register.table.value,
            address=address_of(register, self._profile.points, self._point),
            unit=register.unit,
            words=told.words if told is not None else None,
            value=self._values.get(register.name),
            meaning=meaning_of(self._profile, register, self._values, state) if is_read else "",
            round_trip_s=told.round_trip_s if told is not None and told.is_alive else None,
            error="was not read" if told is None else "" if is_read else _why(told),
        )

    async def _read(self, register: Register) -> Told:
        """Ask, repeat where nothing sensible came, and keep the value."""
        told = await self._ask(register)
        for _ in range(TRIES - 1):
            if told.is_alive:
                break
            told = await self._ask(register)
        self._told[register.name] = told
        if told.words is not None:
            self._values[register.name] = register.codec.decode(told.words)
        return told

    async def _ask(self, register: Register) -> Told:
        told = await self._inquiry.ask(
            self._unit_id,
            register.table,
            address_of(register, self._profile.points, self._point),
            register.codec.words,
            timeout_s=self._timeout_s,
            gap_s=self._profile.bus.min_gap_s,
        )
        self._counts.note(told.error, round_trip_s=told.round_trip_s if told.is_alive else None)
        self.heard |= Heard(requests=told.heard.requests, noise_bytes=told.heard.noise_bytes)
        return told


def _why(told: Told) -> str:
    if told.refusal is not None and told.refusal.code in MISSING:
        return f"it does not exist ({told.refusal})"
    return f"no answer: {told.error}" if isinstance(told.error, NoAnswer) else str(told.error)
