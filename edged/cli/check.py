"""`edged check`: is the configuration right, and what will each connector be able to do? `edged check --profile FILE`
asks the same of one profile, without a site (`check_profile`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.cli import output
from edged.cli.options import add_config, add_json
from edged.domain.hardware import Capability
from edged.settings import ResetLine, ResetRelay, Settings, SettingsErrors, StationSettings

SUMMARY = "check the configuration and say what each connector can do"


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--profile", metavar="FILE", type=Path, default=None, help="check this profile alone, without a configuration"
    )
    add_json(parser, "errors, warnings and connectors")


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing that a connector can or cannot do, with the reason."""

    able: bool
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorReport:
    """`number` counts through the station."""

    number: int
    evse_id: int
    charger: str
    profile: str
    type: str | None
    abilities: dict[str, Ability]


def run(args: argparse.Namespace) -> int:
    if args.profile is not None:
        from edged.cli.check_profile import check_profile_file

        return check_profile_file(args.profile, as_json=args.json)
    from edged.site import load_site

    try:
        settings = load_site(args.config)
    except SettingsErrors as errors:
        if args.json:
            found = [output.finding(error) for error in errors.errors]
            warned = [output.finding(warning) for warning in errors.warnings]
            output.say_json({"ok": False, "errors": found, "warnings": warned, "stations": []})
        else:
            output.complain_about_settings(errors)
        return output.BAD_CONFIGURATION
    stations = {station.id: list(reports(settings, station)) for station in settings.stations}
    if args.json:
        _print_json(settings, stations)
    else:
        _print_text(settings, stations)
    return output.DONE


def reports(settings: Settings, station: StationSettings) -> Iterator[ConnectorReport]:
    """The connectors of a station in their order."""
    from edged.chargers.library import load_charger

    number = 0
    for evse_id, evse in enumerate(station.evses, start=1):
        charger = settings.chargers[evse.charger]
        profile = load_charger(charger.profile, settings.profiles_dir)
        for connector in evse.connectors:
            number += 1
            yield ConnectorReport(
                number=number,
                evse_id=evse_id,
                charger=charger.name,
                profile=charger.profile,
                type=connector.type,
                abilities=abilities(profile.capabilities, charger.reset_relay),
            )


def abilities(can: Collection[Capability], relay: ResetRelay | ResetLine | None) -> dict[str, Ability]:
    """What a CSMS and a local operator may expect of a connector, in words."""
    return {
        "reset": _reset(can, relay),
        "unlock": Ability(True, "released by command")
        if Capability.UNLOCK in can
        else Ability(False, "its charger has no command for that; UnlockConnector is answered NotSupported"),
        "lock sensing": Ability(True, "the lock's position is read back")
        if Capability.LOCK_SENSE in can
        else Ability(False, "its charger does not tell where the lock is"),
        "availability": _availability(can),
        "reservation": Ability(True, "energy is withheld from everybody else")
        if Capability.WITHHOLD in can
        else Ability(False, "its charger cannot withhold energy, so it cannot be reserved: ReserveNow is Rejected"),
        "profiles": _profiles(can),
    }


def _profiles(can: Collection[Capability]) -> Ability:
    withheld = Capability.WITHHOLD in can
    if Capability.LIMIT in can:
        below = "gives none" if withheld else "cannot be stopped"
        return Ability(True, f"charging profiles set its current; below the least that it can give it {below}")
    if withheld:
        return Ability(True, "its charger can only be switched: below its full current a charging profile stops it")
    return Ability(False, "its charger can neither be limited nor stopped: SetChargingProfile is answered NotSupported")


def _reset(can: Collection[Capability], relay: ResetRelay | ResetLine | None) -> Ability:
    kinds = [word for word, each in (("soft", Capability.RESET_SOFT), ("hard", Capability.RESET_HARD)) if each in can]
    if relay is not None:
        if isinstance(relay, ResetLine):
            what = f"GPIO line {relay.line} of {relay.gpio}, active {relay.active}"
        else:
            what = f"relay {relay.output} of {relay.charger}"
        where = f"{what}, which cuts its power for {relay.off_s:g} s"
        kinds.append(f"if that does not help by {where}" if Capability.RESET_HARD in can else f"hard by {where}")
    if kinds:
        return Ability(True, ", ".join(kinds))
    return Ability(False, "its charger has no register for that: only edged itself restarts")


def _availability(can: Collection[Capability]) -> Ability:
    if Capability.AVAILABILITY not in can:
        return Ability(False, "its charger has no setting for that; edged keeps it out of service by itself")
    sensed = Capability.AVAILABILITY_SENSE in can
    return Ability(True, "set in the charger and read back" if sensed else "set in the charger, not read back")


def _print_text(settings: Settings, stations: dict[str, list[ConnectorReport]]) -> None:
    for warning in settings.warnings:
        print(f"warning: {output.clean(str(warning))}", file=sys.stderr)
    for identity, connectors in stations.items():
        output.say(f"station {identity}")
        for connector in connectors:
            type_ = connector.type or "unknown type"
            output.say(
                f"  connector {connector.number} (EVSE {connector.evse_id}): charger {connector.charger}, "
                f"{connector.profile}, {type_}"
            )
            for name, ability in connector.abilities.items():
                output.say(f"    {name:<13} {'yes' if ability.able else 'no '}  {ability.because}")
    output.say(f"{settings.path} is right")


def _print_json(settings: Settings, stations: dict[str, list[ConnectorReport]]) -> None:
    output.say_json(
        {
            "ok": True,
            "errors": [],
            "warnings": [output.finding(warning) for warning in settings.warnings],
            "stations": [
                {"id": identity, "connectors": [asdict(connector) for connector in connectors]}
                for identity, connectors in stations.items()
            ],
        }
    )
