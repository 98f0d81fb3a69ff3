"""`edged check`: is the configuration right, and what will each connector be able to do? `edged check --profile FILE`
asks the same of one profile, without a site (`check_profile`).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.cli import output
from edged.cli.abilities import Ability
from edged.cli.abilities import abilities as abilities
from edged.cli.options import add_config, add_json
from edged.settings import DEFAULT_PATH, Settings, SettingsError, SettingsErrors, SettingsWarning, StationSettings

SUMMARY = "check the configuration and say what each connector can do"
DETAILS = """\
Every mistake is told at once, with its file, its line and what to write instead. A configuration that is right is
followed by what each connector can and cannot do, and what a CSMS is answered instead. A password or key that this
user may not read is named, the rest is checked all the same, and the exit status is 1. Nothing is started, no charger
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

    if _is_kept_from_us(args.config):
        return _tell(args, None, [SettingsError(str(args.config), 0, "", "is not this user's to read")])
    not_shown: list[SettingsError] = []
    try:
        settings = load_site(args.config, not_shown=not_shown)
    except SettingsErrors as errors:
        if args.json:
            _print_json(False, errors.errors, errors.warnings, not_shown, {})
        else:
            _print_unread(not_shown)
            output.complain_about_settings(errors)
        return output.BAD_CONFIGURATION
    return _tell(args, settings, not_shown)


def _is_kept_from_us(path: Path) -> bool:
    """Whether the file may be as right as it likes: this user is not to see it."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _tell(args: argparse.Namespace, settings: Settings | None, not_shown: Sequence[SettingsError]) -> int:
    """What there is to say where nothing is wrong, and the exit status."""
    stations = {} if settings is None else {each.id: list(reports(settings, each)) for each in settings.stations}
    if args.json:
        _print_json(not not_shown, (), () if settings is None else settings.warnings, not_shown, stations)
    elif settings is not None:
        _print_text(settings, stations, is_whole=not not_shown)
    if not not_shown:
        return output.DONE
    if not args.json:
        _print_unread(not_shown)
        where = [] if args.config == DEFAULT_PATH else ["-c", str(args.config)]
        again = f"sudo {shlex.join(['edged', 'check', *where])}"
        output.complain(f"this user may not read all of it, the rest is right; for all of it run it with sudo: {again}")
    return output.FAILED


def _print_unread(not_shown: Sequence[SettingsError]) -> None:
    for error in not_shown:
        print(output.clean(str(error)), file=sys.stderr)


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


def _print_text(settings: Settings, stations: dict[str, list[ConnectorReport]], *, is_whole: bool) -> None:
    for warning in settings.warnings:
        output.warn(str(warning))
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
    output.say(f"{settings.path} is right" + ("" if is_whole else ", as far as this user may see"))


def _print_json(
    ok: bool,
    errors: Sequence[SettingsError],
    warnings: Sequence[SettingsWarning],
    not_shown: Sequence[SettingsError],
    stations: dict[str, list[ConnectorReport]],
) -> None:
    output.say_json(
        {
            "ok": ok,
            "errors": [output.finding(error) for error in errors],
            "warnings": [output.finding(warning) for warning in warnings],
            "not_shown": [output.finding(error) for error in not_shown],
            "stations": [
                {"id": identity, "connectors": [asdict(connector) for connector in connectors]}
                for identity, connectors in stations.items()
            ],
        }
    )
