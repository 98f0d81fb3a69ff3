"""The simulator's control socket: JSON lines over a Unix stream, one reply for each request.

Owns the envelope, the commands and the checks of their arguments. What the commands do is the model's. Every line is
hostile: too long, not JSON, or with wrong arguments, it costs its sender an error with a sentence and nobody else
anything.

Codes: bad_json, bad_request, unknown_command, invalid_args, not_found, rejected (the charger cannot do that now).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.domain.hardware import FaultCode
from edged.simulator.device import SimulatedDevice
from edged.simulator.model import PointModel
from edged.simulator.parts import Car, Impossible
from edged.simulator.snapshot import snapshot
from edged.simulator.wire import WireFaults

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 65_536
MAX_CONNECTIONS = 16
MAX_TOKEN_CHARACTERS = 20

Args = Mapping[str, object]


class Refusal(Exception):
    """A request that is answered with an error. Never leaves this module."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a command is for: one point of one unit (points counted from 1)."""

    unit: SimulatedDevice
    number: int

    @property
    def point(self) -> PointModel:
        if not self.unit.points:
            raise Impossible(f"{self.unit.name} is a {self.unit.make}: it has no charging point")
        return self.unit.points[self.number - 1]


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, and the arguments that it knows beside `charger`. `open_args`: any other argument is one too.

    `check` runs before, for every target of the request, and changes nothing.
    """

    run: Callable[[Target, Args], object]
    check: Callable[[Target, Args], object] = lambda target, args: None
    known: frozenset[str] = frozenset()
    open_args: bool = False


class Commands:
    """Carries out requests against units by name. `catch_up` brings the physics to the present first."""

    def __init__(self, units: Mapping[str, SimulatedDevice], *, catch_up: Callable[[], None]) -> None:
        self._units = units
        self._catch_up = catch_up

    def answer(self, line: bytes) -> bytes:
        """One reply line for one request line. Never raises on what the line holds."""
        request_id: object = None
        try:
            try:
                request = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise Refusal("bad_json", f"not JSON: {error}") from error
            if not isinstance(request, dict):
                raise Refusal("bad_request", "a request is an object with id, command and args")
            request_id = request.get("id")
            if request_id is not None and not isinstance(request_id, str | int):
                request_id = None
                raise Refusal("bad_request", "id must be text or a number")
            reply = {"id": request_id, "ok": True, "result": self._run(request)}
        except Refusal as refusal:
            reply = {"id": request_id, "ok": False, "error": {"code": refusal.code, "message": refusal.message}}
        except Impossible as impossible:
            reply = {"id": request_id, "ok": False, "error": {"code": "rejected", "message": str(impossible)}}
        return json.dumps(reply, separators=(",", ":")).encode() + b"\n"

    def _run(self, request: Mapping[str, object]) -> object:
        strange = sorted(set(request) - {"id", "command", "args"})
        if strange:
            raise Refusal("bad_request", f"unknown members: {', '.join(strange)}")
        name, args = request.get("command"), request.get("args", {})
        if not isinstance(args, dict):
            raise Refusal("invalid_args", "args must be an object")
        command = COMMANDS.get(name) if isinstance(name, str) else None
        if command is None:
            raise Refusal("unknown_command", f"there is no such command; there are {', '.join(COMMANDS)}")
        rest = {key: value for key, value in args.items() if key != "charger"}
        unknown = sorted(set(rest) - command.known)
        if unknown and not command.open_args:
            knows = f"it knows {', '.join(sorted(command.known))}" if command.known else "it takes none"
            raise Refusal("invalid_args", f"{name} does not know {', '.join(unknown)}: {knows}")
        self._catch_up()
        if name in EVERYWHERE and "charger" not in args:
            for target in self._targets().values():
                command.check(target, rest)
            return {address: command.run(target, rest) for address, target in self._targets().items()}
        target = self._target(args.get("charger"))
        command.check(target, rest)
        return command.run(target, rest)

    def _targets(self) -> dict[str, Target]:
        return {
            name if len(unit.points) == 1 else f"{name}/{number}": Target(unit=unit, number=number)
            for name, unit in self._units.items()
            for number in range(1, len(unit.points) + 1)
        }

    def _target(self, charger: object) -> Target:
        targets = self._targets()
        if charger is None:
            if len(targets) == 1:
                return next(iter(targets.values()))
            raise Refusal("invalid_args", f"say which charger: {', '.join(targets)}")
        if not isinstance(charger, str | int) or isinstance(charger, bool):
            raise Refusal("invalid_args", "charger must be a name, a unit id, or one of them with /POINT")
        name, _, number = str(charger).partition("/")
        same_id = [unit for unit in self._units.values() if unit.unit_id is not None and str(unit.unit_id) == name]
        unit = self._units.get(name) or (same_id[0] if len(same_id) == 1 else None)
        if unit is None:
            raise Refusal("not_found", f"no charger {charger}; there are {', '.join(targets)}")
        if not number and len(unit.points) > 1:
            raise Refusal("invalid_args", f"{unit.name} has several points: write {unit.name}/1")
        if number and not (number.isascii() and number.isdecimal() and 1 <= int(number) <= len(unit.points)):
            raise Refusal("not_found", f"{unit.name} has the points 1 to {len(unit.points)}, not {number}")
        return Target(unit=unit, number=int(number or 1))


def _number(args: Args, name: str, *, low: float, high: float, default: float | None = None) -> float:
    value = args.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refusal("invalid_args", f"{name} must be a number between {low:g} and {high:g}")
    return float(value)


def _flag(args: Args, name: str, *, default: bool | None = None) -> bool:
    value = args.get(name, default)
    if not isinstance(value, bool):
        raise Refusal("invalid_args", f"{name} must be true or false")
    return value


def _plug_in(target: Target, args: Args) -> object:
    battery_wh = _number(args, "battery_wh", low=1, high=1e6, default=60_000)
    soc_pct = _number(args, "soc_pct", low=0, high=100, default=20)
    car = Car(
        max_current_ma=round(1000 * _number(args, "max_current_a", low=0, high=80, default=16)),
        phases=round(_number(args, "phases", low=1, high=3, default=3)),
        battery_wh=battery_wh,
        stored_wh=battery_wh * soc_pct / 100,
        paused=_flag(args, "paused", default=False),
        ventilation=_flag(args, "ventilation", default=False),
    )
    if _flag(args, "cable_only", default=False):
        target.point.plug_cable()
    else:
        target.point.plug_in(car)
    return get_state(target, args)


def _swipe(target: Target, args: Args) -> object:
    token = args.get("token")
    if not isinstance(token, str) or not (1 <= len(token) <= MAX_TOKEN_CHARACTERS and token.isascii()):
        raise Refusal("invalid_args", f"token must be text of 1 to {MAX_TOKEN_CHARACTERS} ASCII characters")
    target.point.swipe(token)
    return get_state(target, args)


def _fault(target: Target, args: Args) -> object:
    code = {str(known): known for known in FaultCode}.get(str(args.get("code")))
    if code is None:
        raise Refusal("invalid_args", f"code must be one of {', '.join(FaultCode)}")
    target.unit.fault(code, target.number)
    return get_state(target, args)


def _silence(target: Target, args: Args) -> object:
    target.unit.silent = _flag(args, "on")
    return get_state(target, args)


def _jam(target: Target, args: Args) -> object:
    target.point.jam_lock(_flag(args, "on"))
    return get_state(target, args)


def _set(target: Target, args: Args) -> object:
    if not args:
        raise Refusal("invalid_args", "set needs registers and their values, as in {register: value}")
    for register, value in args.items():
        if isinstance(value, bool) or not (value is None or isinstance(value, int | str)):
            raise Refusal("invalid_args", f"{register} must be a whole number, text, or null to let it go")
        target.unit.force(register, value, target.number)
    return get_state(target, args)


def _wire_faults(args: Args) -> WireFaults:
    try:
        return WireFaults(**{name: _number(args, name, low=0, high=60_000) for name in args})
    except ValueError as error:
        raise Refusal("invalid_args", str(error)) from error


def _check_wire(target: Target, args: Args) -> None:
    target.unit.check_wire(_wire_faults(args))


def _wire(target: Target, args: Args) -> object:
    target.unit.wire = _wire_faults(args)
    return dict(args)


def _reboot(target: Target, args: Args) -> object:
    target.unit.reboot()
    return get_state(target, args)


def get_state(target: Target, _args: Args) -> dict[str, object]:
    """The whole physical state of one point, and what its unit does on the wire."""
    unit = target.unit
    return {
        **snapshot(target.point),
        "charger": unit.name,
        "make": unit.make,
        "unit_id": unit.unit_id,
        "point": target.number,
        "reachable": unit.reachable,
        "silent": unit.silent,
        "requests": unit.requests,
        "requests_ignored": unit.ignored,
        **unit.details(),
    }


def _simple(act: Callable[[PointModel], None]) -> Command:
    def run(target: Target, args: Args) -> object:
        act(target.point)
        return get_state(target, args)

    return Command(run)


COMMANDS: Mapping[str, Command] = {
    "plug_in": Command(
        _plug_in,
        known=frozenset({"battery_wh", "cable_only", "max_current_a", "paused", "phases", "soc_pct", "ventilation"}),
    ),
    "plug_out": _simple(PointModel.plug_out),
    "pause": _simple(PointModel.pause),
    "resume": _simple(PointModel.resume),
    "swipe": Command(_swipe, known=frozenset({"token"})),
    "fault": Command(_fault, known=frozenset({"code"})),
    "clear_fault": _simple(PointModel.clear_fault),
    "lock_jam": Command(_jam, known=frozenset({"on"})),
    "silence": Command(_silence, known=frozenset({"on"})),
    "reboot": Command(_reboot),
    "set": Command(_set, open_args=True),
    "get": Command(get_state),
    "wire": Command(
        _wire, check=_check_wire, known=frozenset({"late_ms", "late", "drop", "corrupt", "truncate", "wrong_unit"})
    ),
}
EVERYWHERE = frozenset({"get", "wire"})
"""Commands that, with no charger named, are for all of them; the result is then an object by charger."""


class ControlSocket:
    """Serves `Commands` at a path, mode 0660."""

    def __init__(self, path: Path, commands: Commands) -> None:
        self.path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def start(self) -> None:
        """Listen. A socket left over at the path is replaced, anything else is `Impossible`."""
        try:
            if self.path.exists() and stat.S_ISSOCK(self.path.stat().st_mode):
                self.path.unlink()
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=MAX_LINE_BYTES)
            os.chmod(self.path, 0o660)
        except OSError as error:
            raise Impossible(f"cannot open the control socket {self.path}: {error.strerror or error}") from error

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._clients.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in self._clients if task is not None), return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._clients[asyncio.current_task()] = writer
        try:
            await self._answer_lines(reader, writer)
        except ConnectionError:
            log.debug("a control connection broke")
        finally:
            del self._clients[asyncio.current_task()]
            writer.close()

    async def _answer_lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                refusal = {"code": "bad_request", "message": f"a line holds at most {MAX_LINE_BYTES} bytes"}
                writer.write(json.dumps({"id": None, "ok": False, "error": refusal}).encode() + b"\n")
                await writer.drain()
                return
            if not line:
                return
            if line.strip():
                writer.write(self._commands.answer(line))
                await writer.drain()
