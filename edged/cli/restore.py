"""`edged restore`: put a backup back, on this controller or on a new one."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli import output
from edged.cli.backup import contents_of
from edged.cli.options import add_config, add_json, add_state, state_dir
from edged.ports import EdgedError
from edged.store.restored import counted

if TYPE_CHECKING:
    from edged.backup.manifest import Manifest
    from edged.backup.places import Site
    from edged.backup.putting_back import Done
    from edged.store.copying import KeptTransaction

SUMMARY = "put a backup back, here or on a new controller"
DETAILS = """\
The whole backup is checked first; whatever is wrong with it, nothing is touched. What it replaces is set aside in a
folder before-restore-DATE beside it, nothing is deleted. If it is cut off, edged does not start, and edged restore
(without FILE) finishes it.

A backup is older than what has happened since. Messages that waited in it may have been sent, transactions that ran in
it may have ended: they are parked, which means kept and not sent. Only a final backup goes on where it ended. --queue
decides otherwise: send, where you know that nothing was sent since."""
EXAMPLES = (
    ("edged restore --dry-run edged-depot-2026-03-01.tar.gz", "what would be replaced"),
    (
        "sudo systemctl stop edged && sudo edged restore edged-depot-2026-03-01.tar.gz",
        "then: edged check, and start it",
    ),
    ("sudo edged restore", "finish one that was cut off"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, default=None, help="the backup")
    add_config(parser)
    add_state(parser)
    parser.add_argument("--dry-run", action="store_true", help="check the backup and show what would be replaced")
    parser.add_argument(
        "--queue",
        choices=("send", "park"),
        default=None,
        help="unsent messages and running transactions in it (default: park, of a final backup send)",
    )
    parser.add_argument("--force", action="store_true", help="also over a newer state, or another site's")
    add_json(parser, "what was done")


def run(args: argparse.Namespace) -> int:
    from edged.backup import places, putting_back

    site = places.Site(config=args.config.absolute(), state=state_dir(args.state).absolute())
    problem = None if args.file is None else _problem(args.file)
    if problem is not None:
        output.complain(problem)
        return output.FAILED
    try:
        if args.dry_run:
            return _preview(args, site)
        with putting_back.alone(site):
            finished = _finish(args, site)
            if args.file is not None:
                return _restore(args, site, finished)
            if finished is None:
                output.complain("there is no restore to finish: name the backup that you want to put back")
                return output.USAGE
            return output.DONE
    except (EdgedError, OSError) as error:
        sentence = putting_back.words(error, args.file or site.state)
        cut = os.path.lexists(site.state / "restore.pending")
        output.complain(f"{sentence}; the restore is not finished: sudo edged restore" if cut else sentence)
        return output.FAILED


def _problem(file: Path) -> str | None:
    """Why this cannot be a backup, whatever is in it."""
    try:
        is_folder = file.is_dir()
        file.stat()
    except OSError as error:
        return f"{file} cannot be read ({error.strerror}): name the backup that you want to put back"
    return f"{file} is a folder: name the backup in it" if is_folder else None


def _preview(args: argparse.Namespace, site: Site) -> int:
    from edged.backup import putting_back

    if args.file is None:
        output.complain("name the backup that you want to look at")
        return output.USAGE
    manifest = putting_back.judge(args.file)
    steps = putting_back.preview(manifest, site)
    if args.json:
        output.say_json({**_told(manifest), "steps": [{"action": s.action, "path": str(s.path)} for s in steps]})
        return output.DONE
    _say_what(args.file, manifest)
    for step in steps:
        output.say(f"  {step.action:<8} {step.path}")
    output.say("nothing was changed")
    return output.DONE


def _finish(args: argparse.Namespace, site: Site) -> str | None:
    """What an earlier restore has left to do; which backup it was of."""
    from edged.backup import places, putting_back

    try:
        plan = putting_back.finish(site)
    except places.RestoreError:
        if args.file is None:
            raise
        return None  # it is begun again with the file
    if plan is None:
        return None
    if args.json:
        output.say_json({"finished": plan.archive})
    else:
        output.say(f"the restore of {plan.archive} that was cut off is finished")
    return plan.identity


def _restore(args: argparse.Namespace, site: Site, finished: str | None) -> int:
    from edged.backup import putting_back
    from edged.store.restoring import Queue

    manifest = putting_back.judge(args.file)
    if finished == putting_back.identity_of(manifest):
        return output.DONE
    wishes = putting_back.Wishes(queue=None if args.queue is None else Queue(args.queue), force=args.force)
    done = putting_back.put_back(args.file, manifest, site, wishes, putting_back.utc_now())
    if args.json:
        output.say_json(
            {
                **_told(manifest),
                "queue": str(done.queue),
                "transactions": [] if done.held is None else [asdict(one) for one in done.held.transactions],
                "parked": {"messages": done.parking.messages, "transactions": done.parking.transactions},
                "steps": [{"action": s.action, "path": str(s.path)} for s in done.steps],
                "elsewhere": [{"file": str(path), "belongs": where} for path, where, _ in done.elsewhere],
            }
        )
    else:
        _say_done(args, done)
    return output.DONE


def _told(manifest: Manifest) -> dict[str, object]:
    return {
        "gateway": manifest.gateway,
        "stations": list(manifest.stations),
        "made_at": manifest.made_at.isoformat(),
        "edged": manifest.edged,
        "schema": manifest.schema,
        "final": manifest.final,
        "unsent": manifest.unsent,
        "running": manifest.running,
    }


def _say_what(file: Path, manifest: Manifest) -> None:
    kind = "a final backup" if manifest.final else "a backup"
    output.say(
        f"{file}: {kind} of {manifest.gateway} ({', '.join(manifest.stations) or 'no station'}), made "
        f"{manifest.made_at:%Y-%m-%d %H:%M} UTC on {manifest.host} by edged {manifest.edged}"
    )
    if manifest.schema is not None:
        output.say(f"  in its database: {contents_of(manifest)}")
    for each in manifest.left_out:
        output.say(f"  not in it: {each}")


def _say_done(args: argparse.Namespace, done: Done) -> None:
    _say_what(args.file, done.manifest)
    changed = [step for step in done.steps if step.action != "same"]
    for step in changed:
        output.say(f"  {step.action:<8} {step.path}")
    if any(step.action in ("replace", "remove") for step in changed):
        output.say("  what was there is kept in before-restore-... beside it")
    parked = done.parking
    if parked.messages or parked.transactions:
        what = f"{counted(parked.messages, 'message')} and {counted(parked.transactions, 'transaction')}"
        output.say(f"parked, for they may be over since: {what}; compare them with the CSMS:")
        for one in done.held.transactions if done.held is not None else ():
            output.say(f"  {_transaction(one)}")
    for path, where, mode in done.elsewhere:
        output.say(f"the configuration names {where}: {output.typed('sudo install')} -D -m {mode:04o} {path} {where}")
    output.say(output.typed("now: sudo edged check && sudo systemctl start edged"))


def _transaction(one: KeptTransaction) -> str:
    """As somebody looks it up in the CSMS."""
    name = one.id if one.csms_id is None else f"{one.csms_id} ({one.id})"
    meter = "meter unknown" if one.meter_wh is None else f"meter {one.meter_wh:.0f} Wh"
    until = "running" if one.ended is None else f"ended {one.ended}"
    return f"{one.station} connector {one.connector}: transaction {name}, started {one.started}, {until}, {meter}"
