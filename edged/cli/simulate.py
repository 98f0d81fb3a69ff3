"""`edged simulate`: the site's chargers, simulated."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli import output
from edged.cli.options import add_json
from edged.system import logs

if TYPE_CHECKING:
    from edged.settings import ChargerSettings, Line, Settings
    from edged.simulator.site import SimulatedCharger, SimulatedSite

SUMMARY = "simulate chargers: a physical model behind a real Modbus server or serial line"
DETAILS = """\
Real servers and serial lines with a physical model behind each charger, for trying a configuration out without one. A
serial port becomes a link at the path in the file; a network charger's address must be this computer's own."""
EXAMPLES = (
    ("edged simulate -c edged.yaml", "every charger of a configuration"),
    ("edged simulate --profile keba-p30 --listen tcp:127.0.0.1:5020 --control /tmp/keba", "one, by its make"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chargers", metavar="CHARGER", nargs="*", help="with -c: only these chargers of FILE")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--profile", metavar="NAME", help="the make to simulate, by its profile")
    source.add_argument("-c", "--config", metavar="FILE", type=Path, help="all chargers of a configuration")
    parser.add_argument(
        "--listen", metavar="WHERE", help="tcp:HOST:PORT, rtu-tcp:HOST:PORT or pty:PATH (with --profile)"
    )
    parser.add_argument("--unit", metavar="N", type=int, action="append", help="unit id; repeat for more on one line")
    parser.add_argument("--cable", choices=("socket", "tethered"), help="with --profile (default the make's usual box)")
    parser.add_argument("--control", metavar="PATH", type=Path, help="socket for plug_in, fault, silence, get, ...")
    parser.add_argument("--speed", metavar="N", type=float, default=1.0, help="let its time run N times faster")
    parser.add_argument("--seed", metavar="N", type=int, help="repeat the wire faults of an earlier run")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    add_json(parser, "where the chargers are")


def run(args: argparse.Namespace) -> int:
    if args.profile and (not args.listen or args.chargers):
        output.complain("with --profile write --listen tcp:HOST:PORT or pty:PATH, and no names of chargers")
        return output.USAGE
    if args.config and (args.listen or args.unit or args.cable):
        output.complain("with -c the configuration says what stands where: leave --listen, --unit and --cable out")
        return output.USAGE
    logs.set_up("info" if args.verbose else "warning")
    chargers = _of_profile(args) if args.profile else _of_config(args)
    try:
        asyncio.run(_serve(args, chargers))
    except KeyboardInterrupt:
        pass
    return output.DONE


async def _serve(args: argparse.Namespace, chargers: list[SimulatedCharger]) -> None:
    """Simulate until SIGINT or SIGTERM."""
    from edged.simulator.site import serve

    def ready(site: SimulatedSite) -> None:
        _announce(site, as_json=args.json)

    serving = asyncio.ensure_future(serve(chargers, args.control, args.speed, args.seed, ready))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    logging.getLogger(__name__).info("stopped")


def _announce(site: SimulatedSite, *, as_json: bool) -> None:
    where = {name: site.endpoint(name) for name in site.units}
    if as_json:
        output.say_json({"chargers": where, "seed": site.seed})
    else:
        for name, unit in site.units.items():
            points = f", {len(unit.points)} points" if len(unit.points) > 1 else ""
            number = "" if unit.unit_id is None else f", unit {unit.unit_id}"
            output.say(f"{name}: {unit.make}{number}{points}, at {where[name]}")
        output.say(f"wire faults from --seed {site.seed}; stop with Ctrl-C")
    with contextlib.suppress(ValueError):
        print(end="", flush=True)


def _of_profile(args: argparse.Namespace) -> list[SimulatedCharger]:
    from edged.simulator.parts import Cable
    from edged.simulator.site import SimulatedCharger

    profile, listen, units = args.profile, args.listen, args.unit or [None]
    cable = None if args.cable is None else Cable(args.cable)
    names = [profile] if len(units) == 1 else [f"{profile}-{unit}" for unit in units]
    return [
        SimulatedCharger(name=name, make=profile, listen=listen, unit_id=unit, cable=cable, line=listen)
        for name, unit in zip(names, units, strict=True)
    ]


def _of_config(args: argparse.Namespace) -> list[SimulatedCharger]:
    from edged.ports import EdgedError
    from edged.site import load_site

    settings = load_site(args.config)
    strange = [name for name in args.chargers if name not in settings.chargers]
    if strange:
        raise EdgedError(f"there is no charger {strange[0]} in {args.config}: it has {', '.join(settings.chargers)}")
    return simulated(settings, args.chargers or list(settings.chargers))


def simulated(settings: Settings, names: list[str]) -> list[SimulatedCharger]:
    """What stands on the wires of a configuration: chargers at one unit id are one device with several points."""
    from edged.chargers.library import load_any
    from edged.chargers.profile import DeviceProfile, Points
    from edged.chargers.profile_terms import PointsBy
    from edged.chargers.rapi.profile import RapiProfile
    from edged.settings import ResetRelay, SerialLine
    from edged.simulator.makes.openevse import OpenEvse
    from edged.simulator.parts import Cable
    from edged.simulator.site import SimulatedCharger

    devices: dict[tuple[str, int | None], list[ChargerSettings]] = {}
    controllers: dict[str, Cable] = {}
    for name in names:
        charger = settings.chargers[name]
        profile = load_any(charger.profile, settings.profiles_dir)
        if isinstance(profile, RapiProfile):
            controllers[name] = Cable.SOCKET if profile.is_detachable else Cable.TETHERED
        points = profile.points if isinstance(profile, DeviceProfile) else Points()
        listen, unit_id, step = listen_at(charger.line), charger.unit_id, points.stride * (charger.point - 1)
        if points.by is PointsBy.UNIT_ID and unit_id is not None:
            unit_id += step
        elif points.by is PointsBy.PORT:
            kind, _, port = listen.rpartition(":")
            listen = f"{kind}:{int(port) + step}"
        devices.setdefault((listen, unit_id), []).append(charger)
    device_of = {each.name: chargers[0].name for chargers in devices.values() for each in chargers}
    return [
        SimulatedCharger(
            name=chargers[0].name,
            make=OpenEvse.make if chargers[0].name in controllers else chargers[0].profile,
            cable=controllers.get(chargers[0].name),
            listen=listen,
            unit_id=unit_id,
            points=max(charger.point for charger in chargers) if len(chargers) > 1 else chargers[0].point,
            baudrate=chargers[0].line.baudrate if isinstance(chargers[0].line, SerialLine) else None,
            cuts={
                charger.reset_relay.output: device_of[charger.name]
                for charger in settings.chargers.values()
                if isinstance(charger.reset_relay, ResetRelay)
                and charger.reset_relay.charger == chargers[0].name
                and charger.name in device_of
            },
        )
        for (listen, unit_id), chargers in devices.items()
    ]


def listen_at(line: Line) -> str:
    """Where a simulator must listen so that the daemon finds it."""
    from edged.settings import RtuOverTcpLine, SerialLine

    match line:
        case SerialLine():
            return f"pty:{line.port}"
        case RtuOverTcpLine():
            return f"rtu-tcp:{_host(line.host)}:{line.port}"
        case _:
            return f"tcp:{_host(line.host)}:{line.port}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
