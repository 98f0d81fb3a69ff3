"""Who is on a line, and which profiles fit them.

Owns: the order in which unit ids and line settings are tried, how long an answer is waited for, reading what tells
profiles apart, every address once. Refuses to know: the terminal, the configuration.

Invariants: it never writes, and asks nothing before it has listened whether somebody else does; a reply that comes too
late is heard and its unit asked again with more patience; what was found stays in `Scan.found` whenever it is
cancelled; the time it may take is known before (`longest_s`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from edged.chargers.factory import why_not
from edged.chargers.fit import Answers, Fit, Verdict, is_state_known, judge
from edged.chargers.hearing import Heard
from edged.chargers.inquiry import LISTEN_S, SETTLE_AT_MOST_S, Inquiry, Told
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.meaning import shown
from edged.chargers.modbus import Table
from edged.chargers.moments import moment
from edged.chargers.planning import plan, split
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import Register, parse_firmware
from edged.chargers.registers import Value

SERIAL_FIRST_S, NETWORK_FIRST_S = 0.3, 0.5
SERIAL_SHORTEST_S, NETWORK_SHORTEST_S = 0.1, 0.2
PATIENT_S = 1.5
"""For a unit whose reply came too late, and for everything that is asked of a unit once it is found."""
QUESTION_BYTES = 8 + 7
FIRST_IDS = 32
GREETING = (Table.HOLDING, 0, 1)
"""The first question to an address: whoever lives there answers it, be it with a refusal."""
EVERYWHERE = 4
"""So many units at the first ids tried on Modbus TCP, and a server is asked whether it cares about the unit id."""
STRANGE_IDS = (113, 231)
MOST_READ = 6
"""So many profiles are read to the end."""
MOST_DOUBTS = 16
"""So often an id is asked again because something damaged came; a line that is all noise is not searched thrice."""
GAP_S = 0.1
"""Between questions to a unit that was found: the longest that any profile asks for."""
GIVE_UP_AFTER = 2
"""Registers of one profile that stay unanswered."""
IDENTIFY_S = 60.0
"""A unit is read no longer than this; what was read by then is judged."""
SHORTEST_PATIENCE_S = 0.4


def unit_ids(kind: LineKind, *, first: int, last: int, profiles: Iterable[DeviceProfile]) -> tuple[int, ...]:
    """The ids first..last, the likely ones first: 1 to 32, then those that profiles have, then the rest."""
    own = sorted({profile.bus.unit_id for profile in profiles})
    likely = (1, *own) if kind is LineKind.TCP else ()
    order = (*likely, *range(1, FIRST_IDS + 1), *own, *range(first, last + 1))
    return tuple(dict.fromkeys(unit_id for unit_id in order if first <= unit_id <= last))


def serial_settings(profiles: Iterable[DeviceProfile]) -> tuple[tuple[int, str, int], ...]:
    """Baud rate, parity and stop bits that chargers come with, the most common first."""
    counts: dict[tuple[int, str, int], int] = {}
    for profile in profiles:
        if any(transport.value == "rtu" for transport in profile.bus.transports):
            setting = (profile.bus.baudrate, profile.bus.parity, profile.bus.stopbits)
            counts[setting] = counts.get(setting, 0) + 1
    return tuple(sorted(counts, key=lambda each: (-counts[each], each)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUnit:
    """A unit that answered. `fits` has every profile that this line could carry, the best first.

    `first_refusal`: the exception that the first question was answered with, empty where it had a word to give.
    `at_every_id`: the server answers whatever the unit id.
    """

    spec: BusSpec
    unit_id: int
    first_refusal: str
    round_trip_s: float
    fits: tuple[Fit, ...] = ()
    identity: tuple[tuple[str, str], ...] = ()
    at_every_id: bool = False

    @property
    def best(self) -> Fit | None:
        """The profile to take, None where none fits."""
        return self.fits[0] if self.fits and self.fits[0].verdict is not Verdict.DOES_NOT_FIT else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a scan is: the `asked`th of `total` questions, now about this unit; so many units were found."""

    spec: BusSpec
    unit_id: int
    asked: int
    total: int
    doing: str = "asking"
    found: int = 0


@dataclass(slots=True, kw_only=True)
class Scan:
    """One scan: `lines` are the same line with different settings, of which the first that works is kept.

    `done`: the ids that were asked. `working`: the settings at which somebody answered. `heard`: everything that was
    on the line. `before`: what was on it before anything was asked, with any of its settings.
    """

    lines: Sequence[BusSpec]
    ids: Sequence[int]
    profiles: Sequence[DeviceProfile]
    tell: Callable[[Progress], None] = lambda progress: None
    found: list[FoundUnit] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)
    before: Heard = field(default_factory=Heard)
    device: str = ""
    latency_timer_ms: int | None = None
    listen_s: float = field(default_factory=lambda: LISTEN_S)
    listened: set[BusSpec] = field(default_factory=set)
    asked: int = 0
    done: set[int] = field(default_factory=set)
    doubts_left: int = MOST_DOUBTS
    hang_ups: int = 0
    working: BusSpec | None = None

    @property
    def longest_s(self) -> float:
        """The time that the search for units takes at most where nobody answers; each unit found takes longer."""
        first_s = NETWORK_FIRST_S if self.lines[0].kind is not LineKind.SERIAL else SERIAL_FIRST_S
        late_s = 0.0 if self.lines[0].kind is LineKind.TCP else SETTLE_AT_MOST_S
        questions = len(self.ids) + MOST_DOUBTS / len(self.lines)
        asking_s = sum(questions * (first_s + late_s + QUESTION_BYTES * spec.character_s) for spec in self.lines)
        return asking_s + (0.0 if self.lines[0].kind is LineKind.TCP else self.listen_s * len(self.lines))

    async def run(self) -> None:
        """Search, then identify. Raises `LineDown` where the line cannot be opened, or not again."""
        for spec, ids in self._rounds():
            if self.working is None or self.working == spec:
                await self._search(spec, ids)

    def _rounds(self) -> Iterator[tuple[BusSpec, Sequence[int]]]:
        """With several settings first the likely ids at all of them."""
        if len(self.lines) == 1:
            yield self.lines[0], self.ids
            return
        for ids in (self.ids[:FIRST_IDS], self.ids[FIRST_IDS:]):
            for spec in self.lines:
                yield spec, ids

    async def _search(self, spec: BusSpec, ids: Sequence[int]) -> None:
        inquiry = Inquiry(spec)
        try:
            await inquiry.open()
            self.device, self.latency_timer_ms = inquiry.device, inquiry.latency_timer_ms
            await self._listen(inquiry)
            units = await self._answering(inquiry, ids)
            for unit_id, told in units.items():
                self._tell(spec, unit_id, "reading")
                await self._identify(inquiry, unit_id, told)
        finally:
            self.hang_ups += inquiry.hang_ups
            inquiry.close()

    async def _listen(self, inquiry: Inquiry) -> None:
        """Once; and at the other settings too where there was something that only the right one makes sense of."""
        is_senseless = self.before.noise_bytes > 0 and not self.before.requests
        if not self.listened or (is_senseless and inquiry.spec not in self.listened):
            self.listened.add(inquiry.spec)
            self._tell(inquiry.spec, self.ids[0], "listening before asking")
            fresh = await inquiry.listen(self.listen_s)
            self.before |= fresh
            self.heard |= fresh

    async def _answering(self, inquiry: Inquiry, ids: Sequence[int]) -> dict[int, Told]:
        """Who answers, by unit id; entered into `found` at once, so that nothing is lost with Ctrl-C."""
        units: dict[int, Told] = {}
        pace = _Pace(inquiry.is_network)
        for unit_id in ids:
            if unit_id in units:
                continue
            self.asked += 1
            self._tell(inquiry.spec, unit_id)
            told = await self._greet(inquiry, unit_id, pace.timeout_s)
            while not told.is_alive and told.heard.noise_bytes and self.doubts_left > 0:
                self.doubts_left -= 1
                told = await self._greet(inquiry, unit_id, pace.timeout_s)
            self.done.add(unit_id)
            late = [other for other in told.heard.replies - {unit_id} if other in ids and other not in units]
            if told.is_alive:
                pace.learned(told.round_trip_s)
                self._enter(inquiry, units, unit_id, told)
            elif unit_id in told.heard.replies:
                late.append(unit_id)
            for other in late:
                again = await self._greet(inquiry, other, PATIENT_S)
                if again.is_alive:
                    pace.learned(again.round_trip_s)
                    self._enter(inquiry, units, other, again)
            if len(units) == EVERYWHERE == self.asked and await self._is_deaf_to_ids(inquiry, units, ids):
                break
        return units

    async def _greet(self, inquiry: Inquiry, unit_id: int, timeout_s: float) -> Told:
        told = await inquiry.ask(unit_id, *GREETING, timeout_s=timeout_s)
        self.heard |= told.heard
        return told

    def _enter(self, inquiry: Inquiry, units: dict[int, Told], unit_id: int, told: Told) -> None:
        units[unit_id] = told
        self.working = inquiry.spec
        self.found.append(_found(inquiry.spec, unit_id, told))

    async def _is_deaf_to_ids(self, inquiry: Inquiry, units: dict[int, Told], ids: Sequence[int]) -> bool:
        """Whether a Modbus TCP server answers whatever the unit id: then it is one charger and not hundreds."""
        if inquiry.spec.kind is not LineKind.TCP:
            return False
        for strange in STRANGE_IDS:
            if not (await self._greet(inquiry, strange, PATIENT_S)).is_alive:
                return False
        first = ids[0]
        self.found[:] = [_found(inquiry.spec, first, units[first], at_every_id=True)]
        for other in list(units):
            if other != first:
                del units[other]
        return True

    async def _identify(self, inquiry: Inquiry, unit_id: int, told: Told) -> None:
        place = next(i for i, each in enumerate(self.found) if (each.spec, each.unit_id) == (inquiry.spec, unit_id))
        before = self.found[place]
        found = await identify(inquiry, before, told, self.profiles)
        self.found[place] = found

    def _tell(self, spec: BusSpec, unit_id: int, doing: str = "asking") -> None:
        total = len(self.ids) * (1 if self.working is not None else len(self.lines))
        count, found = max(total, self.asked), len(self.found)
        self.tell(Progress(spec=spec, unit_id=unit_id, asked=self.asked, total=count, doing=doing, found=found))


class _Pace:
    """How long to wait for a unit nobody knows: four times the slowest that answered so far, never longer than at
    first. Who answers later is heard all the same, and asked again."""

    def __init__(self, is_network: bool) -> None:
        self._shortest_s = NETWORK_SHORTEST_S if is_network else SERIAL_SHORTEST_S
        self._longest_s = self.timeout_s = NETWORK_FIRST_S if is_network else SERIAL_FIRST_S
        self._slowest_s = 0.0

    def learned(self, round_trip_s: float) -> None:
        self._slowest_s = max(self._slowest_s, round_trip_s)
        self.timeout_s = min(self._longest_s, max(self._shortest_s, 4 * self._slowest_s))


def _found(spec: BusSpec, unit_id: int, told: Told, *, at_every_id: bool = False) -> FoundUnit:
    refusal = str(told.refusal or "")
    return FoundUnit(
        spec=spec, unit_id=unit_id, first_refusal=refusal, round_trip_s=told.round_trip_s, at_every_id=at_every_id
    )


async def identify(inquiry: Inquiry, unit: FoundUnit, told: Told, profiles: Sequence[DeviceProfile]) -> FoundUnit:
    """The unit with the profiles that fit it, the best first."""
    possible = {profile.name: profile for profile in profiles if _is_possible(profile, unit)}
    memory = _Memory(inquiry, unit.unit_id, told)
    answers = {name: await _look(memory, profile, _telling(profile)) for name, profile in possible.items()}
    judged = {name: judge(possible[name], answers[name]) for name in possible}
    promising = [name for name in possible if is_state_known(possible[name], answers[name])]
    for name in sorted(promising, key=lambda each: judged[each].rank)[:MOST_READ]:
        answers[name] = await _look(memory, possible[name], None)
        judged[name] = judge(possible[name], answers[name])
    fits = tuple(sorted(judged.values(), key=lambda each: each.rank))
    identity: tuple[tuple[str, str], ...] = ()
    if fits and fits[0].verdict is not Verdict.DOES_NOT_FIT:
        identity = tuple(_identity(possible[fits[0].profile], answers[fits[0].profile]))
    return FoundUnit(
        spec=unit.spec,
        unit_id=possible[fits[0].profile].bus.unit_id if unit.at_every_id and identity else unit.unit_id,
        first_refusal=unit.first_refusal,
        round_trip_s=told.round_trip_s,
        fits=fits,
        identity=identity,
        at_every_id=unit.at_every_id,
    )


def _is_possible(profile: DeviceProfile, unit: FoundUnit) -> bool:
    unit_id = profile.bus.unit_id if unit.at_every_id else unit.unit_id
    return why_not(profile, unit.spec, unit_id=unit_id) is None


def _telling(profile: DeviceProfile) -> list[str]:
    """The registers that tell a profile from others soonest."""
    identity = profile.identity
    names = (profile.state.register, identity.firmware, identity.model, identity.serial_number)
    return [name for name in names if name is not None]


def _identity(profile: DeviceProfile, answers: Answers) -> Iterator[tuple[str, str]]:
    identity = profile.identity
    pairs = (("model", identity.model), ("serial number", identity.serial_number), ("firmware", identity.firmware))
    for key, name in pairs:
        value: Value | None = answers.values.get(name) if name is not None else None
        if value not in (None, ""):
            yield key, shown(value)


async def _look(memory: _Memory, profile: DeviceProfile, names: list[str] | None) -> Answers:
    """Read the named registers, or all; one register a question where a block is refused."""
    registers = profile.registers_at(None)
    firmware = profile.identity.firmware
    if firmware is not None and firmware in registers:
        register = registers[firmware]
        told = await memory.ask(register.table, register.address, register.codec.words)
        if told.words is not None:
            registers = profile.registers_at(parse_firmware(register.codec.decode(told.words)))
    wanted = [register for register in registers.values() if register.readable]
    if names is not None:
        wanted = [register for register in wanted if register.name in names]
    found: dict[str, Told] = {}
    unanswered = 0
    for block in plan(wanted, profile.bus, profile.points, 1, hole=0):
        parts = [block]
        told = await memory.ask(block.table, block.address, block.count)
        if told.words is None and len(block.placed) > 1:
            parts = list(split(block))
        for part in parts:
            if unanswered >= GIVE_UP_AFTER or memory.is_over:
                break
            told = await memory.ask(part.table, part.address, part.count)
            unanswered += not told.is_alive
            for placed in part.placed:
                found[placed.register.name] = _cut(told, part.words_of(placed, told.words or ()))
    return _answers(registers, found)


def _cut(told: Told, words: tuple[int, ...]) -> Told:
    if told.words is None:
        return told
    return Told(words=words, error=None, round_trip_s=told.round_trip_s, heard=told.heard)


def _answers(registers: dict[str, Register], found: dict[str, Told]) -> Answers:
    words = {name: told.words for name, told in found.items() if told.words is not None}
    return Answers(
        registers=registers,
        values={name: registers[name].codec.decode(each) for name, each in words.items()},
        words=words,
        refused=[name for name, told in found.items() if told.refusal is not None],
        silent=[name for name, told in found.items() if not told.is_alive],
    )


class _Memory:
    """The answers of one unit: every address is asked once, whichever profiles want to know."""

    def __init__(self, inquiry: Inquiry, unit_id: int, greeting: Told) -> None:
        self._inquiry = inquiry
        self._unit_id = unit_id
        self._told: dict[tuple[Table, int, int], Told] = {GREETING: greeting} if greeting.is_alive else {}
        self._timeout_s = PATIENT_S
        self._over_at = moment() + IDENTIFY_S

    @property
    def is_over(self) -> bool:
        """Whether the time for this unit is spent."""
        return moment() > self._over_at

    async def ask(self, table: Table, address: int, count: int) -> Told:
        key = (table, address, count)
        known = self._told.get(key) or self._within(table, address, count)
        if known is None:
            known = await self._ask(table, address, count)
            if not known.is_alive:
                known = await self._ask(table, address, count)
            self._told[key] = known
        return known

    async def _ask(self, table: Table, address: int, count: int) -> Told:
        gap_s = 0.0 if self._inquiry.spec.kind is LineKind.TCP else GAP_S
        timeout_s = self._timeout_s
        told = await self._inquiry.ask(self._unit_id, table, address, count, timeout_s=timeout_s, gap_s=gap_s)
        if told.is_alive:
            slowest_s = max(4 * told.round_trip_s, SHORTEST_PATIENCE_S)
            self._timeout_s = min(PATIENT_S, slowest_s if timeout_s == PATIENT_S else max(timeout_s, slowest_s))
        return told

    def _within(self, table: Table, address: int, count: int) -> Told | None:
        """Part of a longer answer: of registers, since a device may refuse to read part of a value."""
        if table.is_bits:
            return None
        for (where, first, length), told in self._told.items():
            if where is table and told.words is not None and first <= address and address + count <= first + length:
                return _cut(told, told.words[address - first : address - first + count])
        return None
