"""`edged firmware-install`: the hook that runs firmware.install, for edged-firmware.service and the daemon itself."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from edged.cli import output
from edged.cli.options import add_config, directory
from edged.settings import load_firmware
from edged.settings.errors import SettingsErrors
from edged.system import install_hook, logs
from edged.system.installer import OWN_RESULTS

log = logging.getLogger(__name__)

SUMMARY = "run firmware.install for what the daemon has fetched (for edged-firmware.service)"
DETAILS = """\
Called by edged-firmware.service as root, for the daemon has no right to install anything. The command is that of
firmware.install in the configuration, which only root may be able to write."""
EXAMPLES = (("systemctl start edged-firmware.service", "have a request served that is still there"),)


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--folder", metavar="DIR", type=Path, required=True, help="where the daemon keeps the firmware")
    parser.add_argument("--detach", action="store_true", help="return at once and go on alone")


def run(args: argparse.Namespace) -> int:
    """Results go to $STATE_DIRECTORY, without systemd into the daemon's own folder."""
    if args.detach and not install_hook.detach():
        return output.DONE
    os.umask(0o022)
    logs.set_up()
    results = directory("STATE_DIRECTORY") if not args.detach else None
    try:
        install_hook.serve(
            args.folder,
            results or args.folder / OWN_RESULTS,
            lambda: install_hook.trusted_command(args.config.absolute(), _words),
            runtime=directory("RUNTIME_DIRECTORY") if not args.detach else None,
        )
    except OSError as error:
        log.error("nothing is installed: %s", error)
        return output.FAILED
    return output.DONE


def _words(config: Path) -> Sequence[str]:
    try:
        return load_firmware(config).install
    except SettingsErrors as errors:
        raise PermissionError(0, f"the configuration is wrong: {errors.errors[0]}") from errors
