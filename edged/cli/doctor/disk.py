"""Where edged keeps its state: is there room, does it last, may edged write there and nobody else read. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from edged.cli.doctor.finding import Finding, Findings

MIB = 1024 * 1024
LEAST_FREE, LITTLE_FREE = 20 * MIB, 100 * MIB
LEAST_INODES, LITTLE_INODES = 0.01, 0.05
GOES_WITH_POWER = frozenset({"tmpfs", "ramfs", "overlay", "overlayfs", "aufs", "squashfs"})
KEEPS_NO_RIGHTS = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk"})
OVER_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"})
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    point: str
    type: str
    options: frozenset[str]
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Bytes and inodes of a file system; no inodes: it does not count them."""

    free: int
    total: int
    inodes_free: int = 0
    inodes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A file or folder as its rights are judged."""

    path: str
    mode: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What became of opening a copy of it. `skipped`: why it was not looked at, then nothing else is known. `refused`:
    why edged will not go on with it, `mend` what helps."""

    sentences: tuple[str, ...] = ()
    damaged: bool = False
    refused: str = ""
    mend: str = "apt policy edged"
    skipped: str = ""
    bytes: int = 0
    has_backup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The folder of secrets. `is_units`: the one that edged's unit loads, which is root's. `files` None: not shown."""

    folder: Owned | None
    path: str
    files: tuple[Owned, ...] | None = ()
    is_units: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """`state` None: there is no such folder; `hidden`: it cannot be looked at. `user`: whose it must be, None unknown.
    `store`: the running daemon's word on its store, empty where none runs. `aside`: damaged databases, None unknown.
    `kept`: files and folders in it, as far as they were looked at. `no_folder`: something else is in its place."""

    state_dir: str
    state: Owned | None
    hidden: bool = False
    no_folder: bool = False
    user: str | None = "edged"
    daemon_runs: bool = False
    mount: Mount | None = None
    room: Room | None = None
    store: str = ""
    database: Database | None = None
    aside: tuple[str, ...] | None = ()
    kept: tuple[Owned, ...] = ()
    credentials: Credentials | None = None


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """/proc/self/mountinfo; lines of another shape are passed over."""
    found = []
    for line in text.splitlines()[:4096]:
        head, dash, tail = line.partition(" - ")
        before, behind = head.split(" "), tail.split(" ")
        if dash and len(before) >= 6 and len(behind) >= 3:
            options = frozenset(before[5].split(",")) | frozenset(behind[2].split(","))
            found.append(Mount(point=_plain(before[4]), type=behind[0], options=options, device=_plain(behind[1])))
    return tuple(found)


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """The mount that a path (without links in it) lies on; of several over each other the last."""
    best = None
    for mount in mounts:
        inside = mount.point == "/" or path == mount.point or path.startswith(f"{mount.point}/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def judge(facts: DiskFacts) -> tuple[Finding, ...]:
    found = Findings("disk")
    if facts.hidden:
        found.unseen("state", f"what lies in {facts.state_dir} was not looked at")
    elif facts.no_folder:
        sentence = f"{facts.state_dir} is no folder: edged can keep nothing there"
        found.failed("state", sentence, out_of_the_way(facts.state_dir))
    elif facts.state is None and facts.daemon_runs:
        found.note(
            "state",
            f"there is no {facts.state_dir}, so the running edged keeps its state elsewhere",
            "sudo edged doctor --state DIR",
        )
    elif facts.state is None:
        found.note("state", f"there is no {facts.state_dir} yet: the service makes it", "sudo systemctl start edged")
    else:
        _owner(found, facts.state, facts.user, facts.kept)
    _mount(found, facts)
    _room(found, facts)
    _store(found, facts)
    if facts.credentials is not None:
        _credentials(found, facts.credentials)
    return found.made


def _owner(found: Findings, state: Owned, user: str | None, kept: tuple[Owned, ...]) -> None:
    """systemd gives the whole folder to edged's user where the folder itself is another's, and else looks no deeper."""
    path = quote(state.path)
    strange = [each for each in kept if user is not None and each.owner != user]
    if user is not None and state.owner != user:
        found.failed(
            "state",
            f"{state.path} belongs to {state.owner}, and edged runs as {user}",
            f"sudo chown -R {user}:{user} {path}",
        )
    elif strange:
        first = strange[0]
        more = f", and {len(strange) - 1} more that edged's user may not change" if len(strange) > 1 else ""
        found.failed(
            "state",
            f"{first.path} belongs to {first.owner}, and edged runs as {user}{more}",
            f"sudo chown -R {user}:{user} {path} && sudo systemctl restart edged",
        )
    elif state.mode & 0o007:
        found.warning(
            "state",
            f"everybody may look into {state.path} (mode {state.mode:04o}), where passwords and drivers' tokens lie",
            f"sudo chmod 750 {path}",
        )
    else:
        found.ok("state", f"{state.path} is {state.owner}'s, mode {state.mode:04o}")


def _mount(found: Findings, facts: DiskFacts) -> None:
    mount = facts.mount
    if mount is None:
        return
    where = f"{facts.state_dir} lies on {mount.point} ({mount.type})"
    if mount.type in GOES_WITH_POWER:
        mend = f"findmnt -T {quote(facts.state_dir)} && sudo raspi-config nonint disable_overlayfs && sudo reboot"
        if mount.type not in ("overlay", "overlayfs"):
            mend = f"mount a partition of the disk at {facts.state_dir} (a line in /etc/fstab), then: sudo mount -a"
        found.failed("file system", f"{where}, which is lost at each restart of the computer", mend)
    elif mount.type in OVER_NETWORK:
        found.failed(
            "file system",
            f"{where}: over a network the database can be damaged",
            f"mount a partition of the disk at {facts.state_dir} (a line in /etc/fstab), then: sudo mount -a",
        )
    elif "ro" in mount.options:
        found.failed(
            "file system",
            f"{where}, which is mounted read-only: nothing can be kept (dmesg says whether the disk has failed)",
            f"sudo mount -o remount,rw {quote(mount.point)}",
        )
    elif mount.type in KEEPS_NO_RIGHTS:
        found.warning(
            "file system",
            f"{where}, which keeps neither owners nor rights: whoever is on this computer can read passwords",
            f"mount an ext4 partition at {facts.state_dir} (a line in /etc/fstab), then: sudo mount -a",
        )
    elif "strictatime" in mount.options or not mount.options & {"noatime", "relatime"}:
        found.note(
            "file system",
            f"{where}, and each reading of a file is noted on the disk, which wears a card out",
            f"sudo mount -o remount,noatime {quote(mount.point)}",
        )
    else:
        found.ok("file system", where)


def _room(found: Findings, facts: DiskFacts) -> None:
    room = facts.room
    if room is None or room.total <= 0:
        return
    sentence = f"{_size(room.free)} of {_size(room.total)} are free"
    mend = "sudo apt clean && sudo journalctl --vacuum-size=50M"
    if room.free < LEAST_FREE:
        found.failed("room", f"only {sentence}: edged may be able to keep nothing", mend)
    elif room.free < LITTLE_FREE:
        found.warning("room", f"only {sentence}", mend)
    else:
        found.ok("room", sentence)
    if room.inodes > 0 and room.inodes_free / room.inodes < LITTLE_INODES:
        sentence = f"only {room.inodes_free} of {room.inodes} files can still be made (inodes)"
        mend = "sudo du --inodes -xS / | sort -n | tail"
        if room.inodes_free / room.inodes < LEAST_INODES:
            found.failed("inodes", sentence, mend)
        else:
            found.warning("inodes", sentence, mend)


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GB" if count >= 1024**3 else f"{count / MIB:.0f} MB"


def _store(found: Findings, facts: DiskFacts) -> None:
    if facts.daemon_runs and facts.store:
        if facts.store == "ok":
            found.ok("database", "the running edged finds its database sound")
        else:
            found.failed("database", f"the running edged says of its database: {facts.store}", _LOOK)
    database = facts.database
    if database is not None:
        _database(found, database, facts.state_dir)
    if facts.aside:
        first = f"{facts.state_dir}/{facts.aside[0]}"
        found.warning(
            "database",
            f"{len(facts.aside)} damaged database{'s' if len(facts.aside) > 1 else ''} lie set aside, {first} for one; "
            "when nobody needs them for an inquiry any more",
            f"sudo find {quote(facts.state_dir)} -maxdepth 1 -name 'edged.db*.damaged-*' -delete",
        )


_LOOK = "sudo journalctl -u edged -g database --no-pager"


def _database(found: Findings, database: Database, state_dir: str) -> None:
    if database.skipped:
        found.note("database", f"the database was not looked at: {database.skipped}", "sudo edged doctor --only disk")
    elif database.refused:
        found.failed("database", database.refused, database.mend)
    elif database.damaged:
        backup = "its last copy is used then" if database.has_backup else "there is no copy, so edged begins empty"
        found.failed(
            "database",
            f"{'; '.join(database.sentences)}. At its next start edged sets it aside; {backup}",
            f"sudo cp -a {quote(state_dir)} {quote(f'{state_dir}.damaged')} && sudo systemctl restart edged",
        )
    elif database.sentences:
        found.ok("database", f"sound, {_size(database.bytes)}; at the next start: {'; '.join(database.sentences)}")
    else:
        found.ok("database", f"sound, {_size(database.bytes)}")


def _credentials(found: Findings, credentials: Credentials) -> None:
    folder, path = credentials.folder, quote(credentials.path)
    if folder is None:
        if credentials.is_units:
            found.failed(
                "credentials",
                f"there is no {credentials.path}, without which the unit does not start (status 243)",
                f"sudo install -d -m 700 -o root -g root {path}",
            )
        return
    if folder.mode & 0o077:
        found.failed(
            "credentials",
            f"others than {folder.owner} may look into {credentials.path} (mode {folder.mode:04o})",
            f"sudo chmod 700 {path}",
        )
    if credentials.is_units and folder.owner != "root":
        found.warning(
            "credentials",
            f"{credentials.path} belongs to {folder.owner}: whoever is {folder.owner} can change the secrets",
            f"sudo chown -R root:root {path}",
        )
    if credentials.files is None:
        found.unseen("credentials", f"what lies in {credentials.path} was not looked at")
        return
    for file in credentials.files:
        if file.mode & 0o077:
            found.failed(
                "credentials",
                f"others than {file.owner} may read {file.path} (mode {file.mode:04o})",
                f"sudo chmod 600 {quote(file.path)}",
            )
        elif credentials.is_units and file.owner != "root":
            found.warning(
                "credentials", f"{file.path} belongs to {file.owner}", f"sudo chown root:root {quote(file.path)}"
            )
    if not any(each.subject == "credentials" for each in found.made):
        found.ok(
            "credentials",
            f"the secrets in {credentials.path} ({len(credentials.files)}) are shown to nobody but {folder.owner}",
        )


def out_of_the_way(path: str) -> str:
    """A command that loses nothing; edged makes what it needs in its place."""
    return f"sudo mv {quote(path)} {quote(f'{path}.aside')} && sudo systemctl restart edged"


def beside(config: Path) -> str:
    """The folder of secrets that belongs to a configuration."""
    return str(config.absolute().parent / "credentials")
