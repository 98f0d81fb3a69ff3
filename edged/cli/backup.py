"""`edged backup`: everything that a new controller needs, in one file."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edged import __version__
from edged.cli import output
from edged.cli.options import SOCKET_NAME, add_config, add_control, add_json, add_state, control_path, state_dir
from edged.local.client import ControlClient, ControlError, ControlUnreachable
from edged.ports import EdgedError
from edged.store.files import remove_quietly
from edged.store.restored import counted

if TYPE_CHECKING:
    from edged.backup.contents import Found
    from edged.backup.making import Occasion
    from edged.backup.manifest import Manifest
    from edged.store.copying import Description

SUMMARY = "put everything that a new controller needs into one file"
DETAILS = """\
The configuration, the site's profiles, credentials, certificates and keys, and the database as it is at this moment,
whether edged runs or not. It is written beside its name, flushed, read back and checked before it gets its name.

Without --final the backup grows old: what waits in it to be sent, and what runs in it, is parked when it is put back,
for it may have been sent and may have ended since. --final says that this controller does not go on: edged must be
stopped, does not start here again, and everything in the backup goes on at the next one."""
EXAMPLES = (
    ("sudo edged backup", "into edged-GATEWAY-DATE.tar.gz, here"),
    ("sudo edged backup - | ssh office 'cat > depot.tar.gz'", "without a file here"),
    (
        "sudo systemctl stop edged && sudo edged backup --final /media/usb/depot.tar.gz",
        "before the controller is replaced",
    ),
    ("edged backup --without-secrets", "the configuration alone, for somebody else to look at"),
)
PATIENCE_S = 120.0
STDOUT = "-"
DATABASE = "edged.db"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default=None, help="where to (default edged-GATEWAY-DATE.tar.gz; -: stdout)"
    )
    add_config(parser)
    add_state(parser)
    add_control(parser)
    parser.add_argument("--final", action="store_true", help="this controller is given up: it does not start again")
    parser.add_argument(
        "--without-secrets", action="store_true", help="no passwords, no private keys, no database: to show it around"
    )
    add_json(parser, "what is in it")


def run(args: argparse.Namespace) -> int:
    if args.final and (args.without_secrets or args.file == STDOUT):
        output.complain("--final needs all of it, in a file: leave --without-secrets and - out")
        return output.USAGE
    if args.file == STDOUT and (args.json or sys.stdout.isatty()):
        output.complain("the backup itself goes to standard output: send it into a file or a pipe, without --json")
        return output.USAGE
    from edged.backup import contents

    found = contents.find(args.config, secrets=not args.without_secrets)
    folder = _folder(args.file)
    if args.without_secrets:
        return _make(args, found, folder, None, None)
    with _database(args, folder) as (database, state):
        contents.find_keys(state, found)
        return _make(args, found, folder, database, state)


def _folder(file: str | None) -> Path:
    """Where the archive is written, and what is needed on the way."""
    if file == STDOUT:
        return Path(tempfile.gettempdir())
    path = Path(file or ".")
    means_folder = path.is_dir() or (file or "").endswith("/")  # a stick that is not mounted is no file of that name
    folder = path if means_folder else path.absolute().parent
    if not folder.is_dir():
        raise EdgedError(f"there is no folder {folder}: make it, or name another file")
    return folder


def _make(args: argparse.Namespace, found: Found, folder: Path, database: Path | None, state: Path | None) -> int:
    from edged.backup import fences, making
    from edged.store import copying

    held = None if database is None else copying.describe(database)
    made_at = making.moment_of(datetime.now(UTC).replace(microsecond=0), None if held is None else held.last_change)
    occasion = making.Occasion(
        edged=__version__,
        host=socket.gethostname(),
        made_at=made_at,
        secrets=not args.without_secrets,
        final=args.final,
    )
    if database is None and not args.without_secrets:
        found.left_out.append(f"a database: there is none in {state}")
    manifest = making.manifest_of(found, occasion, database, held)
    with making.written(folder, manifest, found, database) as draft:
        if args.file == STDOUT:
            with draft.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return output.DONE
        target = _target(args.file, found, occasion, folder)
        if state is not None and args.final:
            # before the archive can be found: two controllers that both go on would tell everything twice
            fences.hand_over(state, target, occasion.made_at)
        making.keep(draft, target)
    _tell(args, target, manifest, held)
    return output.DONE


def _target(file: str | None, found: Found, occasion: Occasion, folder: Path) -> Path:
    from edged.backup import making

    if file is not None and not Path(file).is_dir():
        return Path(file)
    return making.name_for(found.gateway, occasion.made_at, folder if file is not None else Path())


# --- the database


@contextmanager
def _database(args: argparse.Namespace, folder: Path) -> Iterator[tuple[Path | None, Path]]:
    """A copy that nobody changes, None where there is no database, and the state's directory."""
    asked = _ask(args)
    if asked is not None:
        copy, state = asked
        try:
            if args.final:
                raise EdgedError(
                    "edged is running: stop it first (sudo systemctl stop edged), a final backup is its last"
                )
            yield copy, state
        finally:
            remove_quietly(copy)
        return
    with _of_nobody(state_dir(args.state), folder, final=args.final) as copied:
        yield copied


def _ask(args: argparse.Namespace) -> tuple[Path, Path] | None:
    """Have the running daemon copy its database; None where none runs. Raises `EdgedError`."""
    from edged.store.copying import COPY

    own = state_dir(args.state)
    paths = [control_path(args.control)]
    if args.control is None and args.state is not None:
        paths = [own / SOCKET_NAME, *paths]
    for path in paths:
        try:
            with ControlClient(path, timeout_s=PATIENCE_S) as client:
                reply = client.request("backup")
        except ControlUnreachable as error:
            if isinstance(error.__cause__, PermissionError):
                raise
            continue
        result = reply.get("result")
        if reply.get("ok") is not True or not isinstance(result, dict):
            error_told = reply.get("error")
            message = error_told.get("message") if isinstance(error_told, dict) else None
            raise ControlError(f"edged has not copied its database: {message or 'it gave no reason'}")
        state = Path(str(result.get("state")))
        copy = state / COPY  # root takes no path from a daemon that is nobody
        if not stat.S_ISREG(copy.lstat().st_mode):
            raise ControlError(f"{copy} is no file: this is not edged's copy of its database")
        if not os.access(copy, os.R_OK):
            raise EdgedError(
                f"{copy} is not this user's to read: use sudo, or leave secrets out with --without-secrets"
            )
        if args.state is not None and state.resolve() != own.resolve():
            remove_quietly(copy)
            if args.control is None:
                continue
            raise EdgedError(f"the edged behind {path} keeps its state in {state}, not in {own}: leave --state out")
        return copy, state
    return None


@contextmanager
def _of_nobody(state: Path, folder: Path, *, final: bool) -> Iterator[tuple[Path | None, Path]]:
    """The database of a daemon that does not run, and does not start meanwhile."""
    from edged.store import copying
    from edged.store.lock import StoreInUse, take_lock

    if not state.is_dir():
        if final:
            raise EdgedError(f"there is no state in {state}: name its directory with --state")
        yield None, state
        return
    path = state / DATABASE
    try:
        lock = take_lock(path)
    except StoreInUse as error:
        raise EdgedError(
            f"edged is running (process {error.owner}) and cannot be asked: name its socket with --control, or stop it"
        ) from error
    try:
        with tempfile.TemporaryDirectory(prefix=".edged-backup-", dir=folder) as name:
            copy = Path(name) / DATABASE
            yield (copy if copying.copy_stopped(path, copy) else None), state
    finally:
        os.close(lock)


# --- what is told


def _tell(args: argparse.Namespace, target: Path, manifest: Manifest, held: Description | None) -> None:
    size = target.stat().st_size
    if args.json:
        output.say_json(
            {
                "file": str(target),
                "bytes": size,
                "gateway": manifest.gateway,
                "stations": list(manifest.stations),
                "made_at": manifest.made_at.isoformat(),
                "schema": manifest.schema,
                "unsent": manifest.unsent,
                "running": manifest.running,
                "secrets": manifest.secrets,
                "final": manifest.final,
                "left_out": list(manifest.left_out),
                "members": [member.name for member in manifest.members],
            }
        )
        return
    kind = "a final backup" if manifest.final else "a backup"
    stations = ", ".join(manifest.stations) or "no station"
    output.say(f"{target}: {kind} of {manifest.gateway} ({stations}), {len(manifest.members)} files, {size:,} bytes")
    if held is not None:
        output.say(f"  in its database: {contents_of(manifest)}")
    for each in manifest.left_out:
        output.say(f"  not in it: {each}")
    if manifest.secrets:
        output.say("  there are passwords and keys in it: keep it where nobody else reads it")
    if manifest.final:
        output.say("  edged does not start here any more: put it back with edged restore on the new controller")


def contents_of(manifest: Manifest) -> str:
    """What of a backup somebody has to think about."""
    return f"{counted(manifest.unsent, 'unsent message')}, {counted(manifest.running, 'running transaction')}"
