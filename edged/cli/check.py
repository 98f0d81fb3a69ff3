"""`edged check`: is the configuration right, and what will each connector be able to do? `edged check --profile FILE`
asks the same of one profile, without a site (`check_profile`).
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.cli import output
from edged.cli.abilities import Ability
from edged.cli.abilities import abilities as abilities
from edged.cli.options import add_config, add_json
from edged.settings import Settings, SettingsErrors, StationSettings

SUMMARY = "check the configuration and say what each connector can do"
DETAILS = """\
Every mistake is told at once, with its file, its line and what to write instead. A configuration that is right is
followed by what each connector can and cannot do, and what a CSMS is answered instead. Nothing is started, no charger
is asked."""
EXAMPLES = (
    ("edged check", "the configuration of the service"),
    ("edged check -c edged.yaml --json", "another one, for programs"),
    ("edged check --profile my-charger.yaml", "one profile of your own, without a site"),
)
COLUMNS = 100


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--profile", metavar="FILE", type=Path, default=None, help="check this profile alone, without a configuration"
    )
    add_json(parser, "errors, warnings and connectors")


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
                head = f"    {name:<13} {'yes' if ability.able else 'no '}  "
                for line in textwrap.wrap(
                    ability.because, COLUMNS, initial_indent=head, subsequent_indent=" " * len(head)
                ):
                    output.say(line)
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
