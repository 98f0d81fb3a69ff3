"""Why a charger does not answer: what was on the line instead, who else is there, and what to check in which order.

Owns: the search for other units and other settings of the line, the installer's list of causes. Refuses to know: the
terminal.
Invariant: what was seen decides the order; nothing is called the cause that was not seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from edged.chargers.hearing import Heard
from edged.chargers.inquiry import Inquiry
from edged.chargers.line import BusSpec, LineKind, Pipe, open_pipe
from edged.chargers.modbus import Table
from edged.chargers.planning import unit_of
from edged.chargers.profile import DeviceProfile

SERIAL_LOOK_S, NETWORK_LOOK_S = 0.25, 0.5
OTHER_SETTING_TRIES = 2
"""The first question at another speed may be spoilt by what the old one has left in a receiver."""
_SPEEDS = (9600, 19_200, 38_400, 57_600, 115_200)
_PARITIES = ("none", "even", "odd")
_POWER = "power: does the charger have its supply, and does its lamp show it? Some need a minute after power-on"
_WIRES = "wires: swap A and B (makers disagree on which is which), and connect the grounds"
_ENDS = "termination: 120 ohms at both ends of the line and nowhere else, no star"
_MASTER = "other masters: only one may ask on a line; take the other one (a gateway, a display) off it"
_ENABLED = "settings: is Modbus TCP switched on in the charger's own settings, and for this computer's address?"
_SINGLE = "other masters: many chargers serve one connection only; end the other one (an energy manager, an app)"
_RESTART = "restart the charger: some Modbus servers hang until the power is cut"
_FRAMING = "kind of line: a serial converter that is not a Modbus gateway needs rtu_over_tcp in place of tcp"
_BEHIND = "behind the gateway: power, A and B, speed and termination of its serial line"
_SLOW = "delay: a converter, a radio link or a busy gateway in between holds answers back"
_TWINS = "two chargers with one unit id answer at once: take one off the line"
_ON_SERIAL = range(1, 17)
_ON_NETWORK = (1, 255, 0, 2, 3, 180, 200, 247)
"""Unit ids that chargers with a network plug have by default."""


class Clue(StrEnum):
    """What was on the line, the most telling first."""

    OTHER_SETTING = "it answers at another speed or parity"
    LATE = "it answers too late"
    OTHER_UNIT = "another unit answers"
    OTHER_MASTER = "another master speaks on the line"
    GATEWAY = "a gateway says that the unit does not answer"
    HUNG_UP = "the other side closes the connection"
    NOISE = "noise"
    ECHO = "only our own question comes back"
    NOTHING = "nothing at all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """`seen` is a sentence about what came; `checks` what to look at, in this order. `answers_at`: the settings of the
    line at which the charger was found to answer."""

    clue: Clue
    seen: str
    other_units: tuple[int, ...]
    checks: tuple[str, ...]
    answers_at: BusSpec | None = None
    other_masters_ask: tuple[int, ...] = ()


async def look_for_others(inquiry: Inquiry, *, except_for: int, also: Sequence[int] = ()) -> Heard:
    """Ask the unit ids that are likely on such a line, each once. Raises `LineDown` only where nothing is open."""
    likely = _ON_NETWORK if inquiry.spec.kind is LineKind.TCP else _ON_SERIAL
    timeout_s = NETWORK_LOOK_S if inquiry.is_network else SERIAL_LOOK_S
    heard = Heard()
    for unit_id in dict.fromkeys((*also, *likely)):
        if unit_id == except_for:
            continue
        told = await inquiry.ask(unit_id, Table.HOLDING, 0, 1, timeout_s=timeout_s)
        heard |= told.heard
        if told.is_alive:
            heard |= Heard(replies=frozenset({unit_id}))
    return heard


def other_settings(profile: DeviceProfile, spec: BusSpec) -> Iterator[BusSpec]:
    """The same serial line as it might be set: as the charger comes, another parity, other usual speeds."""
    rules = profile.bus
    tried = {(spec.baudrate, spec.parity, spec.stopbits)}
    order = [(rules.baudrate, rules.parity, rules.stopbits)]
    order += [(spec.baudrate, parity, stopbits) for parity in _PARITIES for stopbits in (1, 2)]
    order += [(baudrate, parity, 1) for baudrate in _SPEEDS for parity in _PARITIES[:2]]
    for setting in order:
        if setting not in tried:
            tried.add(setting)
            baudrate, parity, stopbits = setting
            yield replace(spec, baudrate=baudrate, parity=parity, stopbits=stopbits)


async def find_setting(
    profile: DeviceProfile,
    spec: BusSpec,
    *,
    unit_id: int,
    heard: Heard,
    tell: Callable[[BusSpec], None] = lambda spec: None,
    connect: Callable[[BusSpec], Awaitable[Pipe]] = open_pipe,
) -> BusSpec | None:
    """The settings of the serial line at which the unit answers; None where it does at none, or where what was heard
    says that the settings are right. Raises `LineDown` where the line cannot be opened."""
    if spec.kind is not LineKind.SERIAL or heard.speakers:
        return None
    register = profile.registers[profile.state.register][0]
    for other in other_settings(profile, spec):
        tell(other)
        inquiry = Inquiry(other, connect=connect)
        try:
            for _ in range(OTHER_SETTING_TRIES):
                words = register.codec.words
                told = await inquiry.ask(unit_id, register.table, register.address, words, timeout_s=SERIAL_LOOK_S)
                if told.is_alive:
                    return other
        finally:
            inquiry.close()
    return None


def explain(
    profile: DeviceProfile,
    spec: BusSpec,
    *,
    unit_id: int,
    point: int,
    heard: Heard,
    hung_up: bool,
    answers_at: BusSpec | None = None,
) -> Silence:
    """What was heard, in words. `hung_up`: the other side closed the connection when it was asked. `answers_at`: what
    `find_setting` found."""
    asked = unit_of(unit_id, profile.points, point)
    others = tuple(sorted(heard.replies - {asked}))
    clue = Clue.LATE if asked in heard.replies else _clue(heard, others, hung_up=hung_up)
    if answers_at is not None:
        clue = Clue.OTHER_SETTING
        right = f"write baudrate: {answers_at.baudrate}, parity: {answers_at.parity}, stopbits: {answers_at.stopbits}"
        return Silence(
            clue=clue,
            seen=f"it answers at {setting_words(answers_at)}",
            other_units=(),
            checks=(f"speed and parity: {right} for this line, or set the charger to {setting_words(spec)}",),
            answers_at=answers_at,
            other_masters_ask=tuple(sorted(heard.requests)),
        )
    return Silence(
        clue=clue,
        seen=_seen(clue, heard, others),
        other_units=others,
        other_masters_ask=tuple(sorted(heard.requests)),
        checks=_network_checks(profile, spec, asked, clue, others)
        if spec.kind is LineKind.TCP
        else _serial_checks(profile, spec, asked, clue, others),
    )


def setting_words(spec: BusSpec) -> str:
    """Speed, bits, parity and stop bits of a serial line."""
    return f"{spec.baudrate} baud, 8{spec.parity[0].upper()}{spec.stopbits}"


def line_words(spec: BusSpec) -> str:
    """The line as an installer says it."""
    if spec.kind is LineKind.SERIAL:
        return f"{spec.port} at {setting_words(spec)}"
    how = "Modbus TCP" if spec.kind is LineKind.TCP else "RTU over TCP"
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    return f"{host}:{spec.tcp_port}, {how}"


def _clue(heard: Heard, others: Sequence[int], *, hung_up: bool) -> Clue:
    if others:
        return Clue.OTHER_UNIT
    if heard.requests:
        return Clue.OTHER_MASTER
    if heard.is_excused:
        return Clue.GATEWAY
    if hung_up and not heard.noise_bytes:
        return Clue.HUNG_UP
    if heard.noise_bytes:
        return Clue.NOISE
    return Clue.ECHO if heard.is_echoed else Clue.NOTHING


def _seen(clue: Clue, heard: Heard, others: Sequence[int]) -> str:
    match clue:
        case Clue.LATE:
            return "its answers come, but too late or damaged"
        case Clue.OTHER_UNIT:
            return f"unit {_listed(others)} answers" if len(others) == 1 else f"units {_listed(others)} answer"
        case Clue.OTHER_MASTER:
            return f"another master asks unit {_listed(sorted(heard.requests))} on this line"
        case Clue.GATEWAY:
            return "a gateway answers in its place, that it is silent"
        case Clue.HUNG_UP:
            return "the connection opens, and is closed again when something is asked"
        case Clue.NOISE:
            return f"{heard.noise_bytes} bytes came that are no Modbus"
        case Clue.ECHO:
            return "only our own question came back (the adapter's echo), nobody answered it"
        case Clue.NOTHING:
            return "not a single byte came back"
        case Clue.OTHER_SETTING:
            return "it answers with other settings of the line"


def _serial_checks(
    profile: DeviceProfile, spec: BusSpec, asked: int, clue: Clue, others: Sequence[int]
) -> tuple[str, ...]:
    rules = profile.bus
    wanted = f"{rules.baudrate} baud, 8{rules.parity[0].upper()}{rules.stopbits}"
    if spec.kind is LineKind.SERIAL:
        here = setting_words(spec)
        same = "as it is here" if here == wanted else f"here it is {here}"
        speed = f"speed: {profile.name} comes with {wanted}, {same}; edged scan tries other speeds"
    else:
        speed = f"speed: {profile.name} comes with {wanted}: the converter must be set to that, and to transparent mode"
    low, high = rules.unit_ids
    unit = f"unit id: {asked} was asked, {profile.name} can have {low} to {high}; look at its switches or settings"
    match clue:
        case Clue.LATE:
            return _SLOW, _TWINS, _ENDS, speed
        case Clue.OTHER_UNIT:
            return _other_unit(others, asked), unit, _POWER, _ENDS, *_sleeper(profile)
        case Clue.OTHER_MASTER:
            return _MASTER, unit, _POWER, _WIRES, _ENDS
        case Clue.NOISE:
            return speed, _WIRES, _ENDS, _TWINS, unit
        case _:
            return _POWER, _WIRES, speed, unit, _ENDS, *_sleeper(profile)


def _network_checks(
    profile: DeviceProfile, spec: BusSpec, asked: int, clue: Clue, others: Sequence[int]
) -> tuple[str, ...]:
    low, high = profile.bus.unit_ids
    unit = f"unit id: {asked} was asked, {profile.name} can have {low} to {high}, its own is {profile.bus.unit_id}"
    port = f"port: {spec.tcp_port} was asked, {profile.name} listens on {profile.bus.port}"
    match clue:
        case Clue.LATE:
            return _SLOW, _SINGLE, _RESTART
        case Clue.OTHER_UNIT:
            return _other_unit(others, asked), unit
        case Clue.GATEWAY:
            return unit, _BEHIND, _RESTART
        case Clue.HUNG_UP:
            return _SINGLE, _ENABLED, unit, _RESTART
        case Clue.NOISE:
            return _FRAMING, port, _ENABLED
        case _:
            return unit, _ENABLED, port, _SINGLE, _FRAMING, _RESTART


def _other_unit(others: Sequence[int], asked: int) -> str:
    known = f"unit {_listed(others)} answered" if len(others) == 1 else f"units {_listed(others)} answered"
    return f"unit id: {known} and {asked} did not: write that as unit_id, or change the charger's switches"


def _sleeper(profile: DeviceProfile) -> tuple[str, ...]:
    if not profile.wake:
        return ()
    return ("sleep: this box turns deaf when nobody asks it for a while; cut its power shortly and try at once",)


def _listed(numbers: Sequence[int]) -> str:
    words = [str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def explain_line(spec: BusSpec, heard: Heard, *, hung_up: bool) -> tuple[str, tuple[str, ...]]:
    """What was heard on a line where nobody answered, and what to check, whichever chargers are to be there."""
    clue = _clue(heard, (), hung_up=hung_up)
    seen = _seen(clue, heard, ())
    if heard.replies:
        word = "unit" if len(heard.replies) == 1 else "units"
        return f"{word} {_listed(sorted(heard.replies))} can be heard, but never in time", (_SLOW, _TWINS, _ENDS)
    if spec.kind is LineKind.TCP:
        if clue is Clue.GATEWAY:
            return seen, (_BEHIND, _RESTART)
        return seen, (_ENABLED, _SINGLE, "port: most chargers listen on 502", _FRAMING, _RESTART)
    speed = "speed: try --baudrates 9600,19200,38400,57600,115200 --parities none,even"
    if spec.kind is not LineKind.SERIAL:
        speed = "speed: set the converter to that of the chargers, and to transparent mode"
    if clue is Clue.OTHER_MASTER:
        return seen, (_MASTER, _POWER, _WIRES, _ENDS)
    if clue is Clue.NOISE:
        return seen, (speed, _WIRES, _ENDS, _TWINS)
    return seen, (_POWER, _WIRES, speed, _ENDS, "sleep: some boxes turn deaf when nobody asks; cut their power shortly")
