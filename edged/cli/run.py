"""`edged run`: the daemon in the foreground."""

from __future__ import annotations

import argparse
import faulthandler
import logging
from pathlib import Path

from edged.cli import output
from edged.cli.options import SOCKET_NAME, add_config, directory
from edged.system import logs

SUMMARY = "run the daemon in the foreground"

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--state", metavar="DIR", type=Path, help="where to keep state (default $STATE_DIRECTORY)")
    parser.add_argument(
        "--control",
        metavar="PATH",
        type=Path,
        help=f"control socket (default $RUNTIME_DIRECTORY/{SOCKET_NAME}, or DIR/{SOCKET_NAME})",
    )


def run(args: argparse.Namespace) -> int:
    from edged import app
    from edged.site import load_site

    state_dir = args.state or directory("STATE_DIRECTORY")
    if state_dir is None:
        output.complain("no place to keep state: write --state DIR (under systemd $STATE_DIRECTORY names it)")
        return output.USAGE
    control_path = args.control or (directory("RUNTIME_DIRECTORY") or state_dir) / SOCKET_NAME
    settings = load_site(args.config)
    faulthandler.enable()
    secrets = [secret.reveal() for secret in settings.secrets]
    logs.set_up(str(settings.log.level), wire=settings.log.wire, secrets=secrets)
    for warning in settings.warnings:
        log.warning("%s", warning)
    return app.run(settings, state_dir, control_path)
