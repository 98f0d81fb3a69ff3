"""`edged doctor`: looks at the whole site, from the clock to the bus, and says with which command each fault is mended.

Each part is a pure judgement (facts in, findings out) and a shell that gathers the facts (`look_*`). Invariants: a
running daemon is not disturbed (its serial lines, its OCPP identity, its MQTT session and its database are left alone);
everything ends in half a minute; no secret is printed.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edged.cli import output
from edged.cli.doctor.finding import PARTS
from edged.cli.options import add_config, add_control, add_json, control_path, directory

SUMMARY = "look at the whole site, and say with which command each fault is mended"
DETAILS = (
    "Looks at the configuration, the service, the clock, the disk, serial lines, the network, the way to each CSMS, "
    "the broker, the bus and at secrets that lie about, within half a minute. A running edged is not disturbed: it is "
    "asked for what it knows, and its serial lines, its OCPP identity and its MQTT session are left alone."
)
EXAMPLES = (
    ("sudo edged doctor", "looks at everything"),
    ("sudo edged doctor --only csms --only network", "looks at the way to the CSMS alone"),
    ("sudo edged doctor --json | jq '.findings[] | select(.level == \"failed\")'", "what a script makes of it"),
)
STATE_DIR = Path("/var/lib/edged")


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_control(parser)
    parser.add_argument(
        "--state", metavar="DIR", type=Path, help=f"where edged keeps state (default $STATE_DIRECTORY, or {STATE_DIR})"
    )
    parser.add_argument(
        "--only",
        metavar="PART",
        action="append",
        choices=PARTS,
        help=f"look at this alone, may be repeated: {', '.join(PARTS)}",
    )
    parser.add_argument("--offline", action="store_true", help="leave the network alone")
    add_json(parser, "what was found")


def run(args: argparse.Namespace) -> int:
    from edged.cli.doctor import report
    from edged.cli.doctor.session import Visit
    from edged.cli.progress import ProgressBar

    logging.getLogger("edged").addHandler(logging.NullHandler())  # what the rooms log is told as findings
    bar = ProgressBar()
    visit = Visit(
        config=args.config,
        control=control_path(args.control),
        state_dir=(args.state or directory("STATE_DIRECTORY") or STATE_DIR).absolute(),
        parts=args.only or PARTS,
        offline=args.offline,
        progress=bar.show,
    )
    try:
        found, is_wrong = visit.examine()
    finally:
        bar.clear()
    findings = report.in_order(found)
    if args.json:
        output.say_json(report.document(findings))
    else:
        for line in report.lines(findings):
            output.say(line)
    if is_wrong:
        return output.BAD_CONFIGURATION
    return output.DONE if report.ok(findings) else output.FAILED
