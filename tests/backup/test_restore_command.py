"""`edged restore`: what is refused before anything is touched, and what is there afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from edged.backup import places
from edged.store.lock import take_lock
from edged.store.opening import open_store
from edged.store.port import Table
from tests.backup.conftest import KEY, WALL, Controller, Edged, fill_database, refused_start


def _words(controller: Controller) -> tuple[object, ...]:
    return ("-c", controller.config, "--state", controller.state)


def _tell_wall(path: Path, moment: str) -> None:
    """The station's last change, moved."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE facts SET value = ? WHERE kind = 'station.wall'", (moment,))
        db.commit()


# --- onto a new controller


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_new_controller_gets_everything_with_the_right_modes(
    backup: Path, empty: Controller, edged: Edged, umask: int
) -> None:
    before = os.umask(umask)
    try:
        status, out, err = edged("restore", backup, *_words(empty))
    finally:
        os.umask(before)
    assert (status, err) == (0, "")
    folder = empty.config.parent
    modes = {
        str(path.relative_to(folder.parent)): path.stat().st_mode & 0o777
        for path in [*folder.rglob("*"), *empty.state.rglob("*")]
        if not path.name.endswith(".lock")
    }
    assert modes == {
        "etc/credentials": 0o700,
        "etc/credentials/csms": 0o600,
        "etc/edged.yaml": 0o640,
        "etc/profiles.d": 0o755,
        "etc/profiles.d/own.yaml": 0o644,
        "state/edged.db": 0o600,
        "state/keys": 0o700,
        f"state/keys/{KEY}.pem": 0o600,
    }
    assert "now: sudo edged check && sudo systemctl start edged" in out


def test_what_lay_elsewhere_is_put_where_a_person_takes_it_from(
    backup: Path, empty: Controller, edged: Edged, tmp_path: Path
) -> None:
    ca = tmp_path / "site-ca.pem"
    ca.unlink()
    status, out, _ = edged("restore", backup, *_words(empty))
    assert status == 0
    kept = empty.config.parent / places.ELSEWHERE / str(ca).removeprefix("/")
    assert kept.read_text() == "certificate of the site\n"
    assert not ca.exists(), "no archive says where root writes"
    assert f"the configuration names {ca}: sudo install -D -m 0644 {kept} {ca}" in out


def test_the_files_of_the_state_belong_to_its_owner(
    backup: Path, empty: Controller, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.fail("this test gives files to another user: run it as root")
    empty.state.mkdir(parents=True)
    os.chown(empty.state, 12345, 12346)
    assert edged("restore", backup, *_words(empty))[0] == 0
    for path in (empty.state, *empty.state.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346), path
    for path in empty.config.parent.rglob("*"):
        assert path.stat().st_uid == 0, path


def test_the_next_start_says_what_it_starts_from_and_says_it_once(
    backup: Path, empty: Controller, edged: Edged
) -> None:
    edged("restore", backup, *_words(empty))
    opened = open_store(empty.database, wall=WALL)
    assert opened.lost is not None
    assert "restored from a backup of 20" in opened.lost
    assert "1 message and 2 transactions in it are parked and not sent" in opened.lost
    assert opened.sentences == (opened.lost,)
    opened.store.close()
    again = open_store(empty.database, wall=WALL)
    assert (again.lost, again.sentences) == (None, ())
    again.store.close()


# --- the queue


def test_what_waited_or_ran_in_an_old_backup_is_parked_and_told(backup: Path, empty: Controller, edged: Edged) -> None:
    status, out, _ = edged("restore", backup, *_words(empty))
    assert status == 0
    assert "parked, for they may be over since: 1 message and 2 transactions" in out
    started = "2026-03-01T12:00:00+00:00"
    assert f"CP1 connector 1: transaction tx-run, started {started}, running, meter 11 Wh" in out
    started, ended = "2026-03-01T11:00:00+00:00", "2026-03-01T11:55:00+00:00"
    assert f"CP1 connector 2: transaction 17 (tx-over), started {started}, ended {ended}, meter 900 Wh" in out
    opened = open_store(empty.database, wall=WALL)
    rows = opened.store.load("CP1")
    assert rows.outbox == {}
    assert not rows.facts.keys() & {Table.TRANSACTION, Table.SAMPLE}
    assert rows.facts.keys() >= {Table.RESERVATION, Table.CONFIGURATION, Table.STATION, Table.CONNECTOR}
    parked = opened.store.parked()
    assert sorted({row.parked.source for row in parked}) == ["outbox", "sample", "transaction"]
    assert all("restored from a backup" in row.parked.reason for row in parked)
    opened.store.close()


@pytest.mark.parametrize("queue", [None, "send"])
def test_a_final_backup_goes_on_where_it_ended(final: Path, empty: Controller, edged: Edged, queue: str | None) -> None:
    status, out, _ = edged("restore", final, *_words(empty), *(() if queue is None else ("--queue", queue)))
    assert status == 0
    assert "parked" not in out
    opened = open_store(empty.database, wall=WALL)
    rows = opened.store.load("CP1")
    assert (list(rows.outbox), sorted(rows.facts[Table.TRANSACTION])) == ([8], ["tx-over", "tx-run"])
    assert (opened.store.value("host_boot"), opened.store.value("running")) == (None, None), "no run goes on"
    assert (opened.store.value("boots"), opened.lost) == ("3", None)
    opened.store.close()


def test_somebody_who_knows_better_decides(backup: Path, final: Path, empty: Controller, edged: Edged) -> None:
    assert edged("restore", backup, *_words(empty), "--queue", "send")[0] == 0
    opened = open_store(empty.database, wall=WALL)
    assert list(opened.store.load("CP1").outbox) == [8]
    opened.store.close()
    assert edged("restore", final, *_words(empty), "--queue", "park", "--force")[0] == 0
    opened = open_store(empty.database, wall=WALL)
    assert list(opened.store.load("CP1").outbox) == []
    opened.store.close()


def test_a_final_backup_does_not_go_on_where_something_has_happened_since(
    final: Path, controller: Controller, edged: Edged
) -> None:
    _tell_wall(controller.database, "2026-06-01T00:00:00+00:00")
    assert edged("restore", final, *_words(controller))[0] == 1
    status, out, _ = edged("restore", final, *_words(controller), "--force")
    assert status == 0
    assert "parked" in out


# --- onto one in service


def test_a_running_daemon_is_to_be_stopped_first(backup: Path, controller: Controller, edged: Edged) -> None:
    before = controller.files()
    lock = take_lock(controller.database)
    status, out, err = edged("restore", backup, *_words(controller))
    os.close(lock)
    assert (status, out, err) == (
        1,
        "",
        f"edged: edged is running (process {os.getpid()}): stop it first (sudo systemctl stop edged)\n",
    )
    assert controller.files() == before


def test_what_is_there_is_set_aside(backup: Path, controller: Controller, edged: Edged) -> None:
    for change in ("etc/edged.yaml", "etc/profiles.d/own.yaml", "etc/credentials/csms", f"state/keys/{KEY}.pem"):
        (controller.config.parent.parent / change).write_text(f"changed {change}\n")
    (controller.config.parent / "profiles.d" / "extra.yaml").write_text("extra\n")
    (controller.state / "keys" / "fedcba9876543210.pem").write_text("another key\n")
    controller.database.with_name("edged.db.backup").write_bytes(b"daily copy")
    database = controller.database.read_bytes()
    status, _, err = edged("restore", backup, *_words(controller))
    assert (status, err) == (0, "")
    (config_aside,) = controller.config.parent.glob("before-restore-*")
    (state_aside,) = controller.state.glob("before-restore-*")
    aside = {
        str(path.relative_to(folder)): path.read_bytes()
        for folder in (config_aside, state_aside)
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert aside == {
        "edged.yaml": b"changed etc/edged.yaml\n",
        "profiles.d/own.yaml": b"changed etc/profiles.d/own.yaml\n",
        "profiles.d/extra.yaml": b"extra\n",
        "credentials/csms": b"changed etc/credentials/csms\n",
        f"keys/{KEY}.pem": f"changed state/keys/{KEY}.pem\n".encode(),
        "keys/fedcba9876543210.pem": b"another key\n",
        "edged.db": database,
        "edged.db.backup": b"daily copy",
    }
    assert {config_aside.stat().st_mode & 0o777, state_aside.stat().st_mode & 0o777} == {0o700}
    assert sorted(path.name for path in (controller.state / "keys").iterdir()) == [f"{KEY}.pem"]
    assert sorted(path.name for path in controller.state.iterdir()) == [
        state_aside.name,
        "edged.db",
        "edged.db.lock",
        "keys",
        "transfer",
    ]


def test_a_dry_run_shows_it_and_touches_nothing(backup: Path, controller: Controller, edged: Edged) -> None:
    (controller.config.parent / "profiles.d" / "own.yaml").write_text("changed\n")
    before = controller.files()
    lock = take_lock(controller.database)  # also beside a running daemon
    status, out, err = edged("restore", backup, *_words(controller), "--dry-run")
    os.close(lock)
    assert (status, err) == (0, "")
    assert f"replace  {controller.config.parent}/profiles.d/own.yaml" in out
    assert f"same     {controller.config}" in out
    assert f"replace  {controller.database}" in out
    assert out.endswith("nothing was changed\n")
    assert controller.files() == before


def test_a_newer_state_is_not_gone_back_behind_by_accident(backup: Path, controller: Controller, edged: Edged) -> None:
    _tell_wall(controller.database, "2026-06-01T00:00:00+00:00")
    before = controller.files()
    status, out, err = edged("restore", backup, *_words(controller))
    assert (status, out) == (1, "")
    assert (
        "the state here is newer (2026-06-01 00:00 UTC) than the backup, with 1 message waiting here to be sent" in err
    )
    assert controller.files() == before
    assert edged("restore", backup, *_words(controller), "--force")[0] == 0


def test_another_sites_state_is_not_replaced_by_accident(backup: Path, controller: Controller, edged: Edged) -> None:
    with closing(sqlite3.connect(controller.database)) as db:
        db.execute("UPDATE facts SET station = 'CP-9'")
        db.commit()
    before = controller.files()
    status, _, err = edged("restore", backup, *_words(controller))
    assert status == 1
    assert "the state here is of another site (station CP-9)" in err
    assert controller.files() == before


@pytest.mark.parametrize("rubbish", [b"", b"no database at all", None])
def test_a_state_that_nobody_can_read_keeps_no_backup_out(
    backup: Path, controller: Controller, edged: Edged, rubbish: bytes | None
) -> None:
    half = controller.database.read_bytes()[:5000]
    controller.database.write_bytes(half if rubbish is None else rubbish)
    assert edged("restore", backup, *_words(controller))[0] == 0
    opened = open_store(controller.database, wall=WALL)
    assert opened.damage is None
    opened.store.close()


def test_a_controller_that_was_given_up_is_taken_back_by_a_restore(
    final: Path, controller: Controller, edged: Edged
) -> None:
    assert (controller.state / "handed-over").exists()
    assert edged("restore", final, *_words(controller))[0] == 0
    assert not (controller.state / "handed-over").exists()


def test_a_backup_without_secrets_leaves_secrets_and_state_alone(
    controller: Controller, edged: Edged, tmp_path: Path
) -> None:
    words = _words(controller)
    edged("backup", tmp_path / "plain.tar.gz", *words, "--control", "/none", "--without-secrets")
    controller.config.write_text("broken\n")
    database = controller.database.read_bytes()
    assert edged("restore", tmp_path / "plain.tar.gz", *words)[0] == 0
    assert "CP1" in controller.config.read_text()
    assert controller.database.read_bytes() == database
    assert (controller.config.parent / "credentials" / "csms").exists()
    assert (controller.state / "keys" / f"{KEY}.pem").exists()


def test_twice_is_no_more_than_once(backup: Path, empty: Controller, edged: Edged) -> None:
    edged("restore", backup, *_words(empty))
    first = empty.files()
    status, out, err = edged("restore", backup, *_words(empty), "--json")
    assert (status, err) == (0, "")
    assert empty.files().keys() == first.keys()
    assert {step["action"] for step in json.loads(out)["steps"]} == {"same", "replace"}


def test_events_go_on_above_every_number_that_may_have_been_told(
    controller: Controller, empty: Controller, edged: Edged, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(controller.database)) as db:
        db.execute("INSERT INTO events VALUES (41, '', 0, '{}'), (42, '', 0, '{}')")
        db.commit()
    words = ("--control", "/none", *_words(controller))
    edged("backup", tmp_path / "b.tar.gz", *words)
    edged("restore", tmp_path / "b.tar.gz", *_words(empty))
    opened = open_store(empty.database, wall=WALL)
    state = opened.store.events_state()
    assert (state.last, state.rows) == (42, 2)
    assert state.delivered >= 1_000_042
    opened.store.close()


# --- what is wrong here


def test_without_a_file_and_without_anything_to_finish_it_is_usage(empty: Controller, edged: Edged) -> None:
    status, _, err = edged("restore", *_words(empty))
    assert (status, err) == (2, "edged: there is no restore to finish: name the backup that you want to put back\n")


def test_a_disk_without_room_is_one_sentence(
    backup: Path, controller: Controller, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = controller.files(aside=True)
    monkeypatch.setattr("edged.backup.putting_back.SPARE", 1e9)
    status, _, err = edged("restore", backup, *_words(controller))
    assert (status, len(err.splitlines())) == (1, 1)
    assert "make room first" in err
    assert controller.files(aside=True) == before


def test_a_folder_in_the_place_of_a_file_is_one_sentence(backup: Path, empty: Controller, edged: Edged) -> None:
    empty.config.mkdir(parents=True)
    status, _, err = edged("restore", backup, *_words(empty))
    assert (status, err) == (1, f"edged: {empty.config} is a folder: move it away first\n")
    assert list(empty.state.glob(".*")) == []


def test_a_folder_on_another_file_system_is_said_before_anything_is_touched(
    backup: Path, controller: Controller, edged: Edged, tmp_path: Path
) -> None:
    """Where names cannot change from one to the other, a plan could never be finished."""
    elsewhere = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        assert elsewhere.stat().st_dev != tmp_path.stat().st_dev
        profiles = controller.config.parent / "profiles.d"
        shutil.rmtree(profiles)
        profiles.symlink_to(elsewhere)
        before = controller.files()
        status, _, err = edged("restore", backup, *_words(controller))
        assert (status, len(err.splitlines())) == (1, 1)
        assert f"{profiles} lies on another file system" in err
        assert controller.files() == before
        assert not (controller.state / "restore.pending").exists()
    finally:
        shutil.rmtree(elsewhere)


def test_a_read_only_file_system_is_one_sentence_that_helps(
    backup: Path, controller: Controller, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def refuse(path: Path, *more: int) -> None:
        if places.STAGE in str(path) and "config" in str(path):
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *more)

    monkeypatch.setattr(os, "mkdir", refuse)
    before = controller.files()
    status, _, err = edged("restore", backup, *_words(controller))
    assert (status, len(err.splitlines())) == (1, 1)
    assert "the file system is read-only" in err
    assert "sudo mount -o remount,rw /" in err
    assert controller.files() == before


def test_a_start_between_the_plan_and_its_end_is_refused_in_words(controller: Controller) -> None:
    (controller.state / "restore.pending").write_text("{}")
    status, said = refused_start(controller)
    assert status == 78
    assert f"a restore was cut off in {controller.state}: finish it with sudo edged restore" in said


def test_a_plan_that_cannot_be_followed_is_begun_again_with_the_file(
    backup: Path, controller: Controller, edged: Edged
) -> None:
    fill_database(controller.state.parent / "other" / "edged.db")
    (controller.state / "restore.pending").write_text("[]")
    status, _, err = edged("restore", *_words(controller))
    assert status == 1
    assert "cannot be followed: begin again with the backup's file" in err
    assert edged("restore", backup, *_words(controller))[0] == 0
    assert not (controller.state / "restore.pending").exists()


def test_root_follows_no_plan_that_the_daemon_could_have_written(controller: Controller, edged: Edged) -> None:
    if os.geteuid() != 0:
        pytest.fail("this test gives a file to another user: run it as root")
    plan = controller.state / "restore.pending"
    victim = controller.state.parent / "victim"
    victim.write_text("root's\n")
    move = {"target": str(victim), "aside": str(controller.state / "stolen"), "staged": None}
    facts = {"archive": "a", "identity": "b", "config": str(controller.config), "moves": [move], "stages": []}
    plan.write_text(json.dumps(facts))
    os.chown(plan, 12345, 12345)
    status, _, err = edged("restore", *_words(controller))
    assert status == 1
    assert "cannot be followed" in err
    assert victim.exists()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.mkdir(), "is a folder: name the backup in it"),
        (lambda path: path.symlink_to(path), "cannot be read (Too many levels of symbolic links): name the backup"),
        (lambda path: None, "cannot be read (No such file or directory): name the backup that you want to put back"),
    ],
)
def test_what_cannot_be_a_backup_is_named(edged, tmp_path: Path, make, sentence: str):
    path = tmp_path / "depot.tar.gz"
    make(path)
    status, out, err = edged("restore", path, "-c", tmp_path / "edged.yaml", "--state", tmp_path / "state")
    assert (status, out) == (1, "")
    assert err.startswith(f"edged: {path} {sentence}")
