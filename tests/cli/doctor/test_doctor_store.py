"""The daemon's database, looked at by a copy: sound, damaged, of another version, and which way it holds."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.chargers.library import load_charger
from edged.cli.doctor.computer import Computer
from edged.cli.doctor.configuration import Site, read_site
from edged.cli.doctor.disk import Database
from edged.cli.doctor.store import Kept, is_locked, look_at_store, scratch
from edged.dialects.v16 import Ocpp16
from edged.domain.credentials import Access, Way
from edged.domain.station import Boot
from edged.domain.types import Now, SecretText
from edged.shape import fresh_station
from edged.store import records
from edged.store.opening import open_store
from edged.words import charger_facts

SITE = """\
chargers:
  left: {profile: phoenix-charx-sec, tcp: "127.0.0.1:1"}
stations:
  - id: DEPOT-7
    csms: {url: "ws://127.0.0.1:9/ocpp", password: the-password-of-the-file}
    evses: [{charger: left}]
"""
NOW = datetime.now(UTC)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "edged.yaml"
    path.write_text(SITE)
    return read_site(path)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    with closing(open_store(folder / "edged.db", wall=NOW).store) as store:
        store.set_value("a", "b")
    return folder


def marks(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in sorted(folder.iterdir())}


def look(state: Path, site: Site, *, may_run: bool = False) -> Kept:
    before = marks(state)
    with scratch() as folder:
        kept = look_at_store(state, site, Computer(), Path(folder), may_run=may_run)
    assert marks(state) == before, "something was changed where edged keeps its state"
    assert not Path(folder).exists()
    return kept


def database(kept: Kept) -> Database:
    assert kept.database is not None
    return kept.database


def test_a_sound_database_is_sound(state: Path, site: Site):
    found = database(look(state, site))
    assert (found.damaged, found.refused, found.skipped, found.sentences) == (False, "", "", ())


def test_what_lies_in_the_write_ahead_log_belongs_to_it(state: Path, site: Site):
    with closing(sqlite3.connect(state / "edged.db")) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("INSERT INTO gateway VALUES ('x', 'y')")
        db.commit()
        assert (state / "edged.db-wal").stat().st_size > 0
        found = database(look(state, site))
    assert not found.damaged


def test_a_damaged_database_is_told_and_left_alone(state: Path, site: Site):
    path = state / "edged.db"
    content = bytearray(path.read_bytes())
    content[4096:6000] = os.urandom(1904)
    path.write_bytes(content)
    found = database(look(state, site))
    assert found.damaged
    assert "the database is damaged" in found.sentences[0]
    assert not found.has_backup
    (state / "edged.db.backup").write_bytes(b"x")
    assert database(look(state, site)).has_backup


def test_garbage_in_its_place_is_damage(state: Path, site: Site):
    (state / "edged.db").write_bytes(os.urandom(8192))
    assert database(look(state, site)).damaged


def test_a_database_of_a_newer_edged_is_refused_by_its_own_name(state: Path, site: Site):
    with closing(sqlite3.connect(state / "edged.db")) as db:
        db.execute("PRAGMA user_version = 999")
    found = database(look(state, site))
    assert "version 999" in found.refused
    assert str(state / "edged.db") in found.refused


def test_a_folder_in_its_place_is_no_database(state: Path, site: Site):
    (state / "edged.db").unlink()
    (state / "edged.db").mkdir()
    with scratch() as folder:
        kept = look_at_store(state, site, Computer(), Path(folder), may_run=False)
    assert "is no file" in database(kept).refused


def test_no_database_is_no_fault(tmp_path: Path, site: Site):
    with scratch() as folder:
        assert look_at_store(tmp_path / "none", site, Computer(), Path(folder), may_run=False).database is None


def test_where_a_daemon_may_run_nothing_is_looked_at(state: Path, site: Site):
    assert look(state, site, may_run=True).database is None


def test_a_database_that_another_edged_has_open_is_left_alone(state: Path, site: Site):
    lock = state / "edged.db.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_locked(lock, Computer())
        assert "another edged has it open" in database(look(state, site)).skipped
    assert not is_locked(lock, Computer())


def test_a_file_too_large_to_be_copied_is_passed_over(state: Path, site: Site):
    with (state / "edged.db").open("r+b") as file:
        file.truncate(65 * 1024 * 1024)
    with scratch() as folder:
        kept = look_at_store(state, site, Computer(), Path(folder), may_run=False)
    assert "larger than 64 MB" in database(kept).skipped


def test_the_way_that_the_csms_has_set_is_the_one_that_is_tried(state: Path, site: Site):
    assert site.settings is not None
    station = site.settings.stations[0]
    charger = site.settings.chargers["left"]
    profile = load_charger(charger.profile, site.settings.profiles_dir)
    fresh = fresh_station(
        station,
        site.settings.gateway,
        {"left": charger_facts(charger, profile, profile.capabilities)},
        Ocpp16(),
        boot=Boot(id="b", floor=NOW, started_s=0.0),
        now=Now(NOW, 0.0, True),
        firmware_version="",
    )
    way = Way(password=SecretText("the-password-of-the-csms", literal=True))
    changed = replace(fresh, access=Access(way=way, number=1, site_digest=fresh.rules.credentials_digest))
    with closing(open_store(state / "edged.db", wall=NOW).store) as store:
        store.commit("DEPOT-7", records.writes(fresh, changed, ()), NOW)
    ways = look(state, site).ways
    assert ways["DEPOT-7"].password == b"the-password-of-the-csms"


@pytest.mark.parametrize(
    ("name", "words", "command"),
    [
        (
            "handed-over",
            "given up for another one",
            "in {state}: delete handed-over, where the other controller is off",
        ),
        ("restore.pending", "a restore was cut off", "sudo edged restore && sudo systemctl restart edged"),
    ],
)
def test_a_state_that_edged_does_not_go_on_with_is_named(state: Path, site: Site, name: str, words: str, command: str):
    (state / name).write_text("garbage")
    found = database(look(state, site))
    assert words in found.refused
    assert found.mend.startswith(command.format(state=state))


def test_a_link_that_leads_to_itself_is_no_database(tmp_path: Path, site: Site):
    (tmp_path / "edged.db").symlink_to(tmp_path / "edged.db")
    with scratch() as folder:
        found = database(look_at_store(tmp_path, site, Computer(), Path(folder), may_run=False))
    assert "edged.db is no file (Too many levels of symbolic links)" in found.refused
    assert found.mend.startswith(f"sudo mv {tmp_path}/edged.db {tmp_path}/edged.db.aside")


def test_a_file_in_the_place_of_the_state_holds_no_database(tmp_path: Path, site: Site):
    (tmp_path / "state").touch()
    with scratch() as folder:
        assert look_at_store(tmp_path / "state", site, Computer(), Path(folder), may_run=False).database is None
