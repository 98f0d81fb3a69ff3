"""`edged run`: the daemon in the foreground."""

from __future__ import annotations

import argparse
import gc
import logging
import os
from pathlib import Path

from edged.cli import output
from edged.cli.options import SOCKET_NAME, add_config, directory
from edged.cli.unswept import unswept
from edged.ports import EdgedError, StoreError
from edged.system import logs
from edged.system.crash import CrashBox
from edged.system.room import full_disk

SUMMARY = "run the daemon in the foreground"
DETAILS = """\
What edged.service runs. READY=1 is sent to systemd as soon as the field bus and the control socket are served, whether
a CSMS or a broker is there or not. SIGTERM and SIGINT stop it; SIGHUP reads the configuration again, and a wrong one is
refused while the old one stays in force. Exit status 75 wants it started again (a Soft reset)."""
EXAMPLES = (
    ("edged run -c edged.yaml --state state", "without systemd, from the directory where the file is"),
    ("systemctl reload edged", "have the service take a changed configuration over"),
)

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
    with unswept():
        from edged import app
        from edged.site import load_site
    # What is loaded by now stays: the collector need not look through it again, which would hold the loop up each time.
    gc.freeze()

    state_dir = args.state or directory("STATE_DIRECTORY")
    if state_dir is None:
        output.complain("no place to keep state: write --state DIR (under systemd $STATE_DIRECTORY names it)")
        return output.USAGE
    control_path = args.control or (directory("RUNTIME_DIRECTORY") or state_dir) / SOCKET_NAME
    settings = load_site(args.config)
    with CrashBox(state_dir, os.environ) as box:
        secrets = [secret.reveal() for secret in settings.secrets]
        logs.set_up(str(settings.log.level), wire=settings.log.wire, secrets=secrets)
        box.tell()
        for warning in settings.warnings:
            log.warning("%s", warning)
        try:
            return app.run(settings, state_dir, control_path, last_words=box.previous)
        except (StoreError, OSError) as error:
            sentence = full_disk(error, state_dir)
            if sentence is None:
                raise
            raise EdgedError(sentence) from error
