"""Looking at one controller for a person: who it is, everything that it can be asked, what edged would make of it.

Owns: what is asked and in which order, what speaks for and against the profile, what is missing, and the words for a
controller that says nothing. Refuses to know: the terminal, the configuration.
Invariant: it never commands anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edged.chargers.asked import Counts
from edged.chargers.fit import Evidence, Fit, Verdict
from edged.chargers.interpretation import Reading
from edged.chargers.line import BusSpec, LineDown, LineKind
from edged.chargers.rapi import replies
from edged.chargers.rapi.answers import QUESTIONS, Number, show
from edged.chargers.rapi.frames import Reply
from edged.chargers.rapi.inquiry import Heard, RapiInquiry, Told
from edged.chargers.rapi.profile import RapiProfile
from edged.chargers.rapi.replies import EvseState, Values
from edged.domain.hardware import Capability, LockState, Meter, Phases
from edged.ports import ChargerUnreachable

FIRST_TRIES = 3
TRIES = 2
SILENCES_UNTIL_ENDED = 3
ENOUGH = 8
OLDEST_PROTOCOL = 3


class Silent(ChargerUnreachable):
    """The controller did not answer at all. `heard`: what was on the line instead."""

    def __init__(self, heard: Heard, *, hung_up: bool) -> None:
        super().__init__("the controller did not answer")
        self.heard = heard
        self.hung_up = hung_up


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReading:
    """One question and its answer as it came. `reply` None: `error` says why."""

    question: str
    reply: str | None
    round_trip_s: float | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueReading:
    """One value. `place`: which of the answer's, from 0. `raw` None: it was not told, `error` says why."""

    name: str
    question: str
    place: int
    unit: str
    raw: str | None = None
    value: Number | str | None = None
    meaning: str = ""
    round_trip_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RapiProbe:
    """What a controller told. `observed` None: its state cannot be read. `heard`: what came beside the answers."""

    profile: RapiProfile
    identity: Mapping[str, str]
    fit: Fit
    replies: tuple[ReplyReading, ...]
    readings: tuple[ValueReading, ...]
    observed: Reading | None
    capabilities: frozenset[Capability]
    cannot: Mapping[Capability, str]
    counts: Counts
    heard: Heard
    ended: str

    @property
    def missing(self) -> tuple[ValueReading, ...]:
        return tuple(reading for reading in self.readings if reading.raw is None)


async def probe(profile: RapiProfile, inquiry: RapiInquiry) -> RapiProbe:
    """Ask everything. Raises `Silent`, or `LineDown` where the line cannot be opened."""
    told: dict[str, Told] = {}
    counts, heard, ended, silences = Counts(), Heard(), "", 0
    for name in QUESTIONS:
        for _ in range(TRIES if told else FIRST_TRIES):
            answer = await inquiry.ask(name)
            took_s = answer.round_trip_s if answer.error is None else None
            counts.note(answer.error, refused=answer.values is None, round_trip_s=took_s)
            heard |= answer.heard
            if answer.error is None:
                break
        if answer.error is not None and not told:
            raise Silent(heard, hung_up=isinstance(answer.error, LineDown))
        told[name] = answer
        silences = 0 if answer.error is None else silences + 1
        if silences == SILENCES_UNTIL_ENDED:
            ended = f"it fell silent at ${name}, what comes behind it was not asked"
            break
    values = {name: answer.values for name, answer in told.items() if answer.values is not None}
    cannot = _cannot(profile, told)
    return RapiProbe(
        profile=profile,
        identity=identity_of(values),
        fit=judge(profile, told),
        replies=tuple(_reply(name, told.get(name)) for name in QUESTIONS),
        readings=tuple(reading for name in QUESTIONS for reading in _readings(name, told.get(name))),
        observed=observed_from(profile, values),
        capabilities=profile.capabilities - cannot.keys(),
        cannot=cannot,
        counts=counts,
        heard=heard,
        ended=ended,
    )


def identity_of(values: Mapping[str, Values]) -> dict[str, str]:
    return {f"{name}": value for name, value in zip(("firmware", "protocol"), values.get("GV", ()), strict=False)}


def judge(profile: RapiProfile, told: Mapping[str, Told]) -> Fit:
    """Weigh what was answered."""
    evidence = [*_for_and_against(told)]
    if not profile.has_lock and "G5" in told and told["G5"].values is not None:
        evidence.append(Evidence(f"its firmware has a lock, which {profile.name} does not use", 0))
    score = sum(each.weight for each in evidence)
    values = told["GS"].values if "GS" in told else None
    status = None if values is None else replies.read_status(values)
    if status is None or status.state is None:
        verdict = Verdict.DOES_NOT_FIT
    else:
        verdict = Verdict.FITS if score >= ENOUGH else Verdict.MAY_FIT
    by_weight = sorted(evidence, key=lambda each: -abs(each.weight))
    return Fit(profile=profile.name, verdict=verdict, score=score, evidence=tuple(by_weight))


def _for_and_against(told: Mapping[str, Told]) -> Iterator[Evidence]:
    version = told["GV"].values if "GV" in told else None
    if version is not None and len(version) == 2:
        yield Evidence(f"it answers $GV: firmware {version[0]}, RAPI {version[1]}", 6)
        major = version[1].partition(".")[0]
        if major.isdecimal() and int(major) < OLDEST_PROTOCOL:
            yield Evidence(f"RAPI {version[1]} is older than {OLDEST_PROTOCOL}.0, which edged needs", -6)
    else:
        yield Evidence("it does not tell its version", -2)
    status = replies.read_status(told["GS"].values or ()) if "GS" in told else None
    if status is None:
        yield Evidence("its state cannot be read", -8)
    elif status.state is None:
        yield Evidence(f"no state has the number {status.code:02X}", -8)
    else:
        yield Evidence(f"its state is {status.state.name.lower().replace('_', ' ')}", 4)
        if status.flags is None:
            yield Evidence("its $GS has no flags: whether a vehicle is there is not told while it sleeps", -2)
    if any(each.reply is not None and not each.has_id for each in told.values()):
        yield Evidence("it does not send ids back: firmware before RAPI 3.0, which edged does not take", -6)
    answered = sum(each.values is not None for each in told.values())
    yield Evidence(f"{answered} of {len(told)} questions are answered", 2 if answered == len(told) else 0)


def observed_from(profile: RapiProfile, values: Mapping[str, Values]) -> Reading | None:
    """What the daemon would make of one poll; None where the state cannot be read."""
    status = replies.read_status(values.get("GS", ()))
    if status is None:
        return None
    plugged = status.plugged
    if plugged is None and status.flags is None:
        plugged = replies.read_connected(values.get("G0", ()))
    amperes = replies.read_amperes(values.get("GE", ()))
    lock = replies.read_lock(values.get("G5", ())) if profile.has_lock else None
    in_service = status.state is not EvseState.DISABLED
    is_told = profile.may_disable and not status.is_faulty and status.state not in (None, EvseState.UNKNOWN)
    return Reading(
        state=status.charger_state(plugged),
        is_believable=True,
        plugged=plugged,
        faults=status.faults(replies.read_counters(values.get("GF", ()))),
        lock=LockState.UNKNOWN if lock is None else lock.state,
        operative=in_service if is_told else None,
        permit_charging=None if profile.may_disable and not in_service else status.permits(),
        limit_a=amperes,
        meter=_meter(profile, values, plugged=plugged is True),
    )


def _meter(profile: RapiProfile, values: Mapping[str, Values], *, plugged: bool) -> Meter:
    current = replies.read_current(values.get("GG", ())) or replies.Current(None, None)
    energy = replies.read_energy(values.get("GU", ()))
    return Meter(
        energy_wh=None if energy is None else replies.EnergyRegister().read(*energy, is_plugged=plugged),
        current_a=Phases(current.amperes),
        voltage_v=Phases(current.volts if profile.has_voltmeter else None),
        temperature_c=replies.read_temperature(values.get("GP", ())),
    )


def _cannot(profile: RapiProfile, told: Mapping[str, Told]) -> dict[Capability, str]:
    """What the profile has and this controller does not."""
    lock = told.get("G5")
    if not profile.has_lock or (lock is not None and lock.values is not None):
        return {}
    reason = "$G5 was not answered" if lock is None or lock.reply is None else "its firmware is built without a lock"
    return {Capability.UNLOCK: reason, Capability.LOCK_SENSE: reason}


def _reply(name: str, told: Told | None) -> ReplyReading:
    if told is None:
        return ReplyReading(question=f"${name}", reply=None, round_trip_s=None, error="was not asked")
    reply, took_s = told.reply, None if told.reply is None else told.round_trip_s
    shown = None if reply is None else str(reply)
    return ReplyReading(question=f"${name}", reply=shown, round_trip_s=took_s, error=_why(told.reply, told))


def _readings(name: str, told: Told | None) -> Iterator[ValueReading]:
    values = None if told is None else told.values
    took_s = None if told is None or told.reply is None else told.round_trip_s
    error = "was not asked" if told is None else _why(told.reply, told)
    for place, value in enumerate(QUESTIONS[name]):
        if values is None or place >= len(values):
            why = error or "its answer is shorter: an older firmware"
            yield ValueReading(
                name=value.name, question=f"${name}", place=place, unit=value.unit, round_trip_s=took_s, error=why
            )
            continue
        shown = show(value, values[place])
        yield ValueReading(
            name=value.name,
            question=f"${name}",
            place=place,
            unit=value.unit,
            raw=shown.raw,
            value=shown.value,
            meaning=shown.meaning,
            round_trip_s=took_s,
        )


def _why(reply: Reply | None, told: Told) -> str:
    if reply is None:
        return f"no answer: {told.error}"
    return "" if reply.is_ok else "its firmware does not know that ($NK)"


# --- a controller that says nothing -----------------------------------------------------------------------------------


class Clue(StrEnum):
    """What was on the line, the most telling first."""

    MODBUS = "a Modbus unit answers"
    OTHER_MASTER = "another master speaks on the line"
    DAMAGED = "its answers come damaged"
    EVENTS = "it speaks, and does not answer"
    HUNG_UP = "the other side closes the connection"
    NOISE = "noise"
    ECHO = "only our own question comes back"
    NOTHING = "nothing at all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """`seen` is a sentence about what came; `checks` what to look at, in this order; `other_masters_ask` what somebody
    else asked."""

    clue: Clue
    seen: str
    checks: tuple[str, ...]
    other_masters_ask: tuple[str, ...]


_POWER = "power: is the controller on? Its display or its light tells"
_CROSSED = (
    "wires: TX of the adapter goes to RX of the controller and RX to TX, and ground to ground; swap TX and RX once"
)
_LEVEL = "adapter: a serial one of the controller's voltage (5 V or 3.3 V), not one for RS-485 or RS-232"
_WIFI = "a second master: the WiFi module hangs on the same port, take it off"
_KIND = "kind: what answers is Modbus, no OpenEVSE; edged scan names its profile"
_JOINED = "wires: TX and RX of the adapter touch each other, or it is an RS-485 adapter that hears itself"
_BUSY = "restart: a controller that boots or is in its menu says things and answers nothing; wait and try again"
_CONVERTER = "converter: transparent (raw) mode, and nobody else connected to it"


def explain(spec: BusSpec, heard: Heard, *, hung_up: bool, modbus_units: tuple[int, ...] = ()) -> Silence:
    """Why nobody answered, from what was heard instead. `modbus_units`: who answered when asked in Modbus."""
    clue = _clue(heard, hung_up=hung_up, modbus_units=modbus_units)
    speed = "speed: RAPI runs at 115200 baud, 8N1"
    if spec.kind is LineKind.SERIAL:
        speed += f"; here it is {spec.baudrate} baud, 8{spec.parity[0].upper()}{spec.stopbits}"
    else:
        speed += ": the converter must be set to that"
    checks = {
        Clue.MODBUS: (_KIND,),
        Clue.OTHER_MASTER: (_WIFI, _CROSSED, speed),
        Clue.DAMAGED: (_WIFI, _LEVEL, speed, _CROSSED),
        Clue.EVENTS: (_CROSSED, _WIFI, _BUSY),
        Clue.HUNG_UP: (_CONVERTER, _POWER),
        Clue.NOISE: (speed, _LEVEL, _WIFI),
        Clue.ECHO: (_JOINED, _LEVEL, _POWER),
        Clue.NOTHING: (_POWER, _CROSSED, speed, _LEVEL),
    }[clue]
    if spec.kind is not LineKind.SERIAL and _CONVERTER not in checks:
        checks = (*checks, _CONVERTER)
    seen = _seen(clue, heard, modbus_units)
    return Silence(clue=clue, seen=seen, checks=checks, other_masters_ask=tuple(dict.fromkeys(heard.asked)))


def _clue(heard: Heard, *, hung_up: bool, modbus_units: tuple[int, ...]) -> Clue:
    for clue, holds in (
        (Clue.MODBUS, bool(modbus_units)),
        (Clue.OTHER_MASTER, bool(heard.asked)),
        (Clue.DAMAGED, heard.damaged > 0),
        (Clue.EVENTS, bool(heard.events)),
        (Clue.HUNG_UP, hung_up and not heard.noise_bytes),
        (Clue.NOISE, heard.noise_bytes > 0),
        (Clue.ECHO, heard.is_echoed),
    ):
        if holds:
            return clue
    return Clue.NOTHING


def _seen(clue: Clue, heard: Heard, modbus_units: tuple[int, ...]) -> str:
    match clue:
        case Clue.MODBUS:
            return f"Modbus unit {modbus_units[0]} answers on this line"
        case Clue.OTHER_MASTER:
            return f"somebody else asks {heard.asked[0]} on this line"
        case Clue.DAMAGED:
            return f"{heard.damaged} frames came with a wrong checksum"
        case Clue.EVENTS:
            return f"it said {heard.events[-1]} by itself, and answered nothing"
        case Clue.HUNG_UP:
            return "the connection opens, and is closed again when something is asked"
        case Clue.NOISE:
            return f"{heard.noise_bytes} bytes came that are no RAPI"
        case Clue.ECHO:
            return "only our own question came back, nobody answered it"
        case Clue.NOTHING:
            return "not a single byte came back"
