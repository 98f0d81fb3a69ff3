"""What is said of the place where edged keeps its state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.cli.doctor.disk import (
    MIB,
    Credentials,
    Database,
    DiskFacts,
    Mount,
    Owned,
    Room,
    beside,
    judge,
    mount_of,
    parse_mounts,
)
from edged.cli.doctor.finding import Level
from tests.cli.doctor.judged import bad, only

STATE = "/var/lib/edged"
EXT4 = Mount(point="/", type="ext4", options=frozenset({"rw", "noatime"}))
FOLDER = Owned(path="/etc/edged/credentials", mode=0o700, owner="root")
WELL = DiskFacts(
    state_dir=STATE,
    state=Owned(path=STATE, mode=0o750, owner="edged"),
    mount=EXT4,
    room=Room(free=1024 * MIB, total=8192 * MIB, inodes_free=500, inodes=1000),
    database=Database(bytes=MIB),
    credentials=Credentials(
        folder=FOLDER, path=FOLDER.path, files=(Owned(path=f"{FOLDER.path}/a", mode=0o600, owner="root"),)
    ),
)


def test_a_disk_with_room_is_all_right():
    assert bad(judge(WELL)) == []


@pytest.mark.parametrize(
    ("change", "level", "words", "command"),
    [
        (
            {"state": Owned(path=STATE, mode=0o750, owner="root")},
            Level.FAILED,
            "belongs to root, and edged runs as edged",
            "chown -R edged:edged /var/lib/edged",
        ),
        (
            {"kept": (Owned(path=f"{STATE}/edged.db", mode=0o600, owner="998"),)},
            Level.FAILED,
            "/var/lib/edged/edged.db belongs to 998, and edged runs as edged",
            "sudo chown -R edged:edged /var/lib/edged && sudo systemctl restart edged",
        ),
        (
            {"kept": tuple(Owned(path=f"{STATE}/{name}", mode=0o600, owner="root") for name in ("edged.db", "keys"))},
            Level.FAILED,
            "edged.db belongs to root, and edged runs as edged, and 1 more",
            "sudo chown -R edged:edged /var/lib/edged",
        ),
        ({"state": Owned(path=STATE, mode=0o755, owner="edged")}, Level.WARNING, "mode 0755", "chmod 750"),
        ({"state": None}, Level.NOTE, "the service makes it", "systemctl start edged"),
        (
            {"state": None, "no_folder": True},
            Level.FAILED,
            "/var/lib/edged is no folder",
            "sudo mv /var/lib/edged /var/lib/edged.aside && sudo systemctl restart edged",
        ),
        ({"state": None, "daemon_runs": True}, Level.NOTE, "keeps its state elsewhere", "--state DIR"),
        ({"hidden": True}, Level.NOTE, "was not looked at: this user may not", "sudo edged doctor"),
        ({"mount": replace(EXT4, type="tmpfs")}, Level.FAILED, "lost at each restart", "/etc/fstab"),
        ({"mount": replace(EXT4, type="overlay")}, Level.FAILED, "lost at each restart", "disable_overlayfs"),
        ({"mount": replace(EXT4, type="nfs4")}, Level.FAILED, "over a network", "mount"),
        ({"mount": replace(EXT4, type="vfat")}, Level.WARNING, "neither owners nor rights", "ext4"),
        ({"mount": replace(EXT4, options=frozenset({"ro", "noatime"}))}, Level.FAILED, "read-only", "remount,rw /"),
        ({"mount": replace(EXT4, options=frozenset({"rw"}))}, Level.NOTE, "wears a card out", "remount,noatime"),
        ({"room": Room(free=10 * MIB, total=8192 * MIB)}, Level.FAILED, "only 10 MB of 8.0 GB", "apt clean"),
        ({"room": Room(free=90 * MIB, total=8192 * MIB)}, Level.WARNING, "only 90 MB", "vacuum-size"),
        (
            {"room": Room(free=4096 * MIB, total=8192 * MIB, inodes_free=2, inodes=1000)},
            Level.FAILED,
            "only 2 of 1000 files",
            "du --inodes",
        ),
        (
            {"room": Room(free=4096 * MIB, total=8192 * MIB, inodes_free=30, inodes=1000)},
            Level.WARNING,
            "only 30 of 1000 files",
            "du --inodes",
        ),
        (
            {"aside": ("edged.db.damaged-1",)},
            Level.WARNING,
            "1 damaged database",
            "-name 'edged.db*.damaged-*' -delete",
        ),
        (
            {"database": None, "daemon_runs": True, "store": "the disk is full"},
            Level.FAILED,
            "the disk is full",
            "journalctl",
        ),
        ({"database": Database(skipped="it is too large")}, Level.NOTE, "it is too large", "--only disk"),
        ({"database": Database(refused="it has version 99")}, Level.FAILED, "version 99", "apt policy edged"),
        (
            {"database": Database(damaged=True, sentences=("it is damaged",), has_backup=True)},
            Level.FAILED,
            "its last copy is used then",
            "cp -a /var/lib/edged",
        ),
        ({"database": Database(damaged=True, sentences=("it is damaged",))}, Level.FAILED, "begins empty", "cp -a"),
    ],
)
def test_each_trouble_of_the_disk_has_its_command(change, level, words, command):
    only(judge(replace(WELL, **change)), level, words, command=command)


@pytest.mark.parametrize(
    ("change", "level", "words", "command"),
    [
        ({"folder": None}, Level.FAILED, "status 243", "install -d -m 700 -o root -g root /etc/edged/credentials"),
        ({"folder": replace(FOLDER, mode=0o755)}, Level.FAILED, "mode 0755", "chmod 700"),
        ({"folder": replace(FOLDER, owner="edged")}, Level.WARNING, "can change the secrets", "chown -R root:root"),
        ({"files": None}, Level.NOTE, "was not looked at", "sudo edged doctor"),
        ({"files": (Owned(path="/c/x y", mode=0o644, owner="root"),)}, Level.FAILED, "mode 0644", "chmod 600 '/c/x y'"),
        ({"files": (Owned(path="/c/x", mode=0o600, owner="pi"),)}, Level.WARNING, "belongs to pi", "chown root:root"),
    ],
)
def test_secrets_are_roots_and_nobody_elses(change, level, words, command):
    assert WELL.credentials is not None
    facts = replace(WELL, credentials=replace(WELL.credentials, **change))
    only(judge(facts), level, words, command=command)


def test_whose_the_state_is_matters_only_where_that_is_known():
    assert bad(judge(replace(WELL, user=None, state=Owned(path=STATE, mode=0o700, owner="pi")))) == []


MOUNTS = """\
22 28 0:20 / /proc rw,relatime shared:5 - proc proc rw
28 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw,errors=remount-ro
40 28 0:30 / /var/lib/my\\040state ro,relatime shared:9 - tmpfs tmpfs rw,size=1024k
41 28 0:31 / /var/lib/my\\040state rw,relatime - xfs /dev/sda1 rw
garbage
1 2 3 - x
"""


@pytest.mark.parametrize(
    ("path", "kind"), [("/var/lib/edged", "ext4"), ("/var/lib/my state/x", "xfs"), ("/var/lib/my state2", "ext4")]
)
def test_a_path_lies_on_the_mount_that_covers_it(path, kind):
    found = mount_of(path, parse_mounts(MOUNTS))
    assert found is not None
    assert found.type == kind


def test_the_secrets_lie_beside_the_configuration():
    assert beside(Path("/etc/edged/edged.yaml")) == "/etc/edged/credentials"
