"""`edged backup` where no daemon runs: what is in it, what is not, and that it is whole or not there."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from edged.backup import archive, making
from edged.cli import main
from edged.store.lock import take_lock
from edged.store.migrations import MIGRATIONS
from tests.backup.conftest import KEY, Controller, Edged, refused_start


def _words(controller: Controller) -> tuple[object, ...]:
    return ("-c", controller.config, "--state", controller.state, "--control", "/none")


def _members(path: Path) -> dict[str, bytes]:
    """Read with somebody else's tar."""
    with tarfile.open(path) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
        return found


def test_everything_that_a_new_controller_needs_is_in_it(controller: Controller, backup: Path) -> None:
    members = _members(backup)
    assert sorted(members) == [
        "config/credentials/csms",
        "config/edged.yaml",
        "config/profiles.d/own.yaml",
        "manifest.json",
        "outside/1",
        "state/edged.db",
        f"state/keys/{KEY}.pem",
    ]
    assert members["config/credentials/csms"] == b"correct-horse-battery\n"
    assert members["outside/1"] == b"certificate of the site\n"


def test_it_is_for_its_owner_alone(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600


def test_its_manifest_says_what_it_is(backup: Path, controller: Controller) -> None:
    told = json.loads(_members(backup)["manifest.json"])
    assert (told["format"], told["schema"], told["gateway"], told["stations"]) == (1, len(MIGRATIONS), "depot", ["CP1"])
    assert (told["unsent"], told["running"], told["final"], told["secrets"]) == (1, 1, False, True)
    (outside,) = [member for member in told["members"] if member["name"].startswith("outside")]
    assert outside["outside"] == str(controller.config.parent.parent / "site-ca.pem")
    assert told["left_out"] == ["firmware images and logs on their way (transfer/)"]


def test_making_it_touches_nothing(controller: Controller, backup: Path, edged: Edged) -> None:
    before = controller.files()
    stamps = {path: path.stat().st_mtime_ns for path in controller.state.rglob("*") if path.suffix != ".lock"}
    assert edged("backup", backup, *_words(controller))[0] == 0
    assert controller.files() == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_what_a_crash_left_in_the_write_ahead_log_is_in_it(
    controller: Controller, edged: Edged, tmp_path: Path
) -> None:
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA journal_mode = WAL')\n"
        "db.execute(\"INSERT INTO gateway VALUES ('late', 'kept')\")\n"
        "os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(controller.database)], check=False)
    assert controller.database.with_name("edged.db-wal").stat().st_size > 0
    before = controller.files()
    assert edged("backup", tmp_path / "b.tar.gz", *_words(controller))[0] == 0
    assert controller.files() == before
    (tmp_path / "copy.db").write_bytes(_members(tmp_path / "b.tar.gz")["state/edged.db"])
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT value FROM gateway WHERE name = 'late'").fetchone() == ("kept",)


def test_without_a_name_it_gets_one_with_the_gateway_and_the_date_and_takes_nobody_elses(
    controller: Controller, edged: Edged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        status, out, _ = edged("backup", *_words(controller))
        assert status == 0
    names = sorted(path.name for path in tmp_path.glob("*.tar.gz"))
    assert len(names) == 2
    assert names[0].startswith("edged-depot-20")
    assert names[0].removesuffix("-2.tar.gz") in names[1]
    assert str(names[0]) in out


def test_a_clock_in_1970_dates_it_by_what_was_kept_last(
    controller: Controller, edged: Edged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)

    monkeypatch.setattr("edged.cli.backup.datetime", Stopped)
    monkeypatch.chdir(tmp_path)
    assert edged("backup", *_words(controller))[0] == 0
    assert [path.name for path in tmp_path.glob("*.tar.gz")] == ["edged-depot-2026-03-01.tar.gz"]


def test_a_clock_in_1970_and_nothing_kept_leave_it_undated(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    never = datetime(1970, 1, 1, tzinfo=UTC)
    assert making.name_for("depot", making.moment_of(never, None), tmp_path).name == "edged-depot-undated.tar.gz"


def test_to_standard_output_it_is_the_same(controller: Controller, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edged", "backup", "-", *map(str, _words(controller))]
    done = subprocess.run(command, capture_output=True, check=True)
    (tmp_path / "piped.tar.gz").write_bytes(done.stdout)
    assert archive.read(tmp_path / "piped.tar.gz").stations == ("CP1",)
    assert done.stderr == b""


def test_without_secrets_there_is_no_password_no_key_and_no_database_in_it(
    controller: Controller, edged: Edged, tmp_path: Path
) -> None:
    status, out, _ = edged("backup", tmp_path / "b.tar.gz", *_words(controller), "--without-secrets")
    assert status == 0
    assert sorted(_members(tmp_path / "b.tar.gz")) == [
        "config/edged.yaml",
        "config/profiles.d/own.yaml",
        "manifest.json",
        "outside/1",
    ]
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        assert b"correct-horse" not in b"".join(
            io.BytesIO(f.read()).getvalue() for m in tar if (f := tar.extractfile(m))
        )
    assert "not in it: passwords, private keys and the database" in out


def test_without_secrets_a_password_in_clear_text_is_refused_with_its_line(
    controller: Controller, edged: Edged, tmp_path: Path
) -> None:
    text = controller.config.read_text().replace('"${credential:csms}"', "hunter22hunter22")
    controller.config.write_text(text)
    status, _, err = edged("backup", tmp_path / "b.tar.gz", *_words(controller), "--without-secrets")
    assert status == 1
    assert f"{controller.config}:9: password stands there in clear text" in err
    assert "hunter" not in err
    assert not list(tmp_path.glob("*.tar.gz"))


def test_a_wrong_configuration_is_kept_too(controller: Controller, edged: Edged, tmp_path: Path) -> None:
    controller.config.write_text("\tgateway: depot\n")
    status, out, _ = edged("backup", tmp_path / "b.tar.gz", *_words(controller))
    assert status == 0
    assert "not in it: files that" in out
    assert _members(tmp_path / "b.tar.gz")["config/edged.yaml"] == b"\tgateway: depot\n"


def test_what_cannot_be_in_it_is_said(controller: Controller, edged: Edged, tmp_path: Path) -> None:
    (controller.config.parent / "profiles.d" / "für uns.yaml").write_text("name: x\n")
    (controller.config.parent / "credentials" / "csms").unlink()
    (controller.config.parent.parent / "site-ca.pem").unlink()
    status, out, _ = edged("backup", tmp_path / "b.tar.gz", *_words(controller))
    assert status == 0
    said = [line for line in out.splitlines() if "not in it" in line]
    assert any("für uns.yaml: its name" in line for line in said)
    assert any("the credential csms" in line for line in said)
    assert any("site-ca.pem: the configuration names it and it is not there" in line for line in said)


def test_a_newer_database_is_copied_as_it_is(controller: Controller, edged: Edged, tmp_path: Path) -> None:
    with closing(sqlite3.connect(controller.database)) as db:
        db.execute("PRAGMA user_version = 99")
    status, _, _ = edged("backup", tmp_path / "b.tar.gz", *_words(controller))
    assert status == 0
    assert archive.read(tmp_path / "b.tar.gz").schema == 99


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:5000]),
            "copy the database: database disk image is malformed",
        ),
        (lambda path: path.write_text("dear diary"), "copy the database: file is not a database"),
        (lambda path: (path.unlink(), path.with_name("edged.db.backup").touch()), "its daily copy is there"),
        (lambda path: (path.unlink(), path.mkdir()), "is no file: move it away"),
    ],
)
def test_a_damaged_database_is_one_sentence_and_no_backup(
    controller: Controller, edged: Edged, tmp_path: Path, spoil: object, sentence: str
) -> None:
    assert callable(spoil)
    spoil(controller.database)
    status, out, err = edged("backup", tmp_path / "b.tar.gz", *_words(controller))
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert sentence in err
    assert not [path.name for path in tmp_path.iterdir() if "backup" in path.name or path.suffix == ".gz"]


def test_a_disk_that_is_full_leaves_nothing_half(
    controller: Controller, edged: Edged, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = backup.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "write", full)
    status, _, err = edged("backup", backup, *_words(controller))
    assert (status, len(err.splitlines())) == (1, 1)
    assert "No space left on device" in err
    assert backup.read_bytes() == before
    assert sorted(path.name for path in backup.parent.glob(".*")) == []


def test_a_disk_that_does_not_keep_what_it_is_given_is_noticed(
    controller: Controller, edged: Edged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = archive.write

    def forgetful(file: io.BufferedWriter, *more: object) -> None:
        write(file, *more)  # type: ignore[arg-type]
        file.flush()
        os.pwrite(file.fileno(), b"\0", file.tell() // 2)

    monkeypatch.setattr(archive, "write", forgetful)
    status, _, err = edged("backup", tmp_path / "b.tar.gz", *_words(controller))
    assert status == 1
    assert "does not read back" in err
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_daemon_that_cannot_be_asked_is_said(controller: Controller, edged: Edged, tmp_path: Path) -> None:
    lock = take_lock(controller.database)
    status, _, err = edged("backup", tmp_path / "b.tar.gz", *_words(controller))
    os.close(lock)
    assert status == 1
    assert f"edged is running (process {os.getpid()}) and cannot be asked" in err


def test_a_final_backup_keeps_the_daemon_from_starting_again(controller: Controller, final: Path) -> None:
    status, err = refused_start(controller)
    assert status == 78
    assert "given up for another one with edged backup --final (final.tar.gz" in err
    assert str(controller.state / "handed-over") in err


def test_a_final_backup_can_be_made_again(controller: Controller, final: Path, edged: Edged) -> None:
    final.unlink()
    assert edged("backup", final, *_words(controller), "--final")[0] == 0
    assert archive.read(final).final


@pytest.mark.parametrize("words", [("--final", "--without-secrets"), ("-", "--final"), ("-", "--json")])
def test_what_makes_no_sense_together_is_usage(controller: Controller, edged: Edged, words: tuple[str, ...]) -> None:
    assert edged("backup", *words, *_words(controller))[0] == 2


def test_a_folder_that_is_not_there_is_no_file_of_its_name(
    controller: Controller, edged: Edged, tmp_path: Path
) -> None:
    status, _, err = edged("backup", f"{tmp_path}/usb/", *_words(controller))
    assert (status, len(err.splitlines())) == (1, 1)
    assert f"there is no folder {tmp_path}/usb" in err
    assert not (tmp_path / "usb").exists()


def test_a_folder_that_is_not_there_is_one_sentence(controller: Controller, edged: Edged, tmp_path: Path) -> None:
    status, _, err = edged("backup", tmp_path / "no" / "b.tar.gz", *_words(controller))
    assert (status, len(err.splitlines())) == (1, 1)
    assert "there is no folder" in err


def test_a_controller_that_never_ran_has_a_backup_without_a_database(
    controller: Controller, edged: Edged, tmp_path: Path
) -> None:
    words = ("-c", controller.config, "--state", tmp_path / "never", "--control", "/none", "--json")
    status, out, _ = edged("backup", tmp_path / "b.tar.gz", *words)
    assert status == 0
    assert json.loads(out)["schema"] is None
    assert any("a database" in each for each in json.loads(out)["left_out"])


def test_every_command_on_the_page_is_one_that_there_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
    typed = re.findall(r"^ *(?:\$ )?(?:sudo )?edged ((?:backup|restore|check|status)\b[^#|`\n]*)", page, re.MULTILINE)
    assert len(typed) >= 7
    for words in typed:
        main.parser().parse_args(shlex.split(words))


def test_what_the_page_shows_is_what_is_printed(backup: Path, empty: Controller, edged: Edged) -> None:
    """Each line of the page's restore has its like in a real one."""
    page = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
    shown = page.split("$ sudo edged restore --force", 1)[1].split("```", 1)[0].splitlines()[1:]
    _, out, _ = edged("restore", backup, "-c", empty.config, "--state", empty.state)
    _, again, _ = edged("restore", backup, "-c", empty.config, "--state", empty.state)
    said = {re.sub(r"\d+|message\b|transaction\b", "", line)[:24] for line in (out + again).splitlines()}
    beginnings = ("  in its database", "  not in it: ", "  replace  ", "  what was there", "parked, for they", "now: ")
    for beginning in beginnings:
        assert any(line.startswith(beginning) for line in shown), beginning
        assert any(line.startswith(beginning) for line in said), beginning
