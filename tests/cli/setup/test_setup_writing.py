"""Credentials and configuration onto the disk: old or new, never half, whenever the power goes."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edged.cli.setup.existing import look
from edged.cli.setup.writing import Disk, Writer, obstacle, only_one
from edged.ports import EdgedError
from edged.settings import SettingsErrors
from edged.site import load_site

TEXT = """\
chargers:
  left: {{profile: heidelberg-energy-control, serial: {{port: /dev/ttyS0}}}}
stations:
  - id: {id}
    csms: {{url: "wss://csms.example.com", password: "${{credential:{name}}}"}}
    evses: [{{charger: left}}]
"""
OLD, NEW = TEXT.format(id="OLD", name="csms-password"), TEXT.format(id="NEW", name="csms-password.2")
OLD_PASSWORD, NEW_PASSWORD = "o" * 20, "n" * 20


class PowerCut(BaseException):
    pass


class CutDisk(Disk):
    """Goes dead in the nth step: a file is then written to the half, of any other step its end is never heard of."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def _step(self) -> bool:
        """Whether it is the last. A dead disk does nothing, whoever asks."""
        if self._left <= 0:
            raise PowerCut
        self._left -= 1
        return self._left == 0

    def make_folder(self, path, mode, owner):
        last = self._step()
        super().make_folder(path, mode, owner)
        if last:
            raise PowerCut

    def write_new(self, path, content, mode, owner):
        if self._step():
            path.write_bytes(content[: len(content) // 2])
            raise PowerCut
        super().write_new(path, content, mode, owner)

    def link(self, path, name):
        last = self._step()
        super().link(path, name)
        if last:
            raise PowerCut

    def rename(self, path, name):
        last = self._step()
        super().rename(path, name)
        if last:
            raise PowerCut

    def remove(self, path):
        last = self._step()
        super().remove(path)
        if last:
            raise PowerCut

    def flush_folder(self, path):
        last = self._step()
        super().flush_folder(path)
        if last:
            raise PowerCut


def moment() -> datetime:
    return datetime(2026, 8, 22, 10, 15, tzinfo=timezone(timedelta(hours=2)))


def writer(folder: Path, disk: Disk | None = None) -> Writer:
    credentials = folder / "credentials"
    config = folder / "edged.yaml"
    return Writer(config=config, credentials=credentials, load=load_site, local=moment, disk=disk or Disk())


def old_site(folder: Path) -> None:
    writer(folder).write(OLD.encode(), {"csms-password": OLD_PASSWORD})


def what_is_there(folder: Path) -> tuple[str, str]:
    """What the daemon would take: identity and password."""
    (station,) = load_site(folder / "edged.yaml").stations
    assert station.csms.password is not None
    return station.id, station.csms.password.reveal()


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def steps_of(folder: Path, write: str, pending: dict[str, str]) -> int:
    """How many steps a whole writing takes."""
    for steps in range(1, 100):
        probe = folder / f"probe-{steps}"
        probe.mkdir()
        if write == NEW:
            old_site(probe)
        try:
            writer(probe, CutDisk(steps)).write(write.encode(), pending)
        except PowerCut:
            continue
        return steps - 1
    raise AssertionError("it never ends")


def test_a_power_cut_at_any_step_leaves_the_old_or_the_new(tmp_path):
    pending = {"csms-password.2": NEW_PASSWORD}
    found = []
    for steps in range(1, steps_of(tmp_path, NEW, pending) + 1):
        folder = tmp_path / f"cut-{steps}"
        folder.mkdir()
        old_site(folder)
        with pytest.raises(PowerCut):
            writer(folder, CutDisk(steps)).write(NEW.encode(), pending)
        found.append(what_is_there(folder))
        writer(folder).write(NEW.encode(), {} if (folder / "credentials/csms-password.2").exists() else pending)
        assert what_is_there(folder) == ("NEW", NEW_PASSWORD)
        assert not [name for name in names(folder) if name.rpartition("/")[2].startswith(".")]
    assert found[0] == ("OLD", OLD_PASSWORD)
    assert found[-1] == ("NEW", NEW_PASSWORD)
    assert set(found) == {("OLD", OLD_PASSWORD), ("NEW", NEW_PASSWORD)}
    assert len(found) >= 8


def test_a_power_cut_at_any_step_of_the_first_writing_leaves_nothing_or_all(tmp_path):
    first = TEXT.format(id="FIRST", name="csms-password")
    pending = {"csms-password": NEW_PASSWORD}
    for steps in range(1, steps_of(tmp_path, first, pending) + 1):
        folder = tmp_path / f"cut-{steps}" / "etc"
        folder.parent.mkdir()
        with pytest.raises(PowerCut):
            writer(folder, CutDisk(steps)).write(first.encode(), pending)
        if (folder / "edged.yaml").exists():
            assert what_is_there(folder) == ("FIRST", NEW_PASSWORD)
        again = {} if (folder / "credentials/csms-password").exists() else pending
        writer(folder).write(first.encode(), again)
        assert what_is_there(folder) == ("FIRST", NEW_PASSWORD)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("step", ["make_folder", "write_new", "link", "rename"])
def test_a_disk_that_refuses_leaves_everything_as_it_was(tmp_path, monkeypatch, number, step):
    old_site(tmp_path)
    if step == "make_folder":
        os.rename(tmp_path / "credentials", tmp_path / "elsewhere")
        os.rename(tmp_path / "elsewhere/csms-password", tmp_path / "csms-password")
    before = names(tmp_path)

    def refuse(self: Disk, path: Path, *rest: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Disk, step, refuse)
    with pytest.raises(EdgedError, match=f"nothing was changed: {os.strerror(number)}"):
        writer(tmp_path).write(NEW.encode(), {"csms-password.2": NEW_PASSWORD})
    assert names(tmp_path) == before
    assert what_is_there(tmp_path) == ("OLD", OLD_PASSWORD)


def test_a_disk_that_refuses_at_the_very_last_leaves_everything_as_it_was(tmp_path):
    class Refusing(Disk):
        def rename(self, path, name):
            if name.name == "edged.yaml":
                raise OSError(errno.EIO, "Input/output error", str(path))
            super().rename(path, name)

    old_site(tmp_path)
    before = names(tmp_path)
    with pytest.raises(EdgedError, match="nothing was changed: Input/output error"):
        writer(tmp_path, Refusing()).write(NEW.encode(), {"csms-password.2": NEW_PASSWORD})
    assert names(tmp_path) == before


def test_what_the_loader_refuses_replaces_nothing(tmp_path):
    old_site(tmp_path)
    before = names(tmp_path)
    with pytest.raises(SettingsErrors):
        writer(tmp_path).write(NEW.replace("wss:", "http:").encode(), {"csms-password.2": NEW_PASSWORD})
    assert names(tmp_path) == before
    assert what_is_there(tmp_path) == ("OLD", OLD_PASSWORD)


def test_what_was_there_is_kept_by_its_date_and_never_over_another(tmp_path):
    old_site(tmp_path)
    written = writer(tmp_path).write(NEW.encode(), {"csms-password.2": NEW_PASSWORD})
    again = writer(tmp_path).write(OLD.encode(), {})
    assert written.kept == tmp_path / "edged.yaml.old-20260822-101500"
    assert again.kept == tmp_path / "edged.yaml.old-20260822-101500-2"
    assert written.kept.read_text() == OLD
    assert again.kept.read_text() == NEW


def test_what_was_there_is_kept_also_where_there_are_no_links(tmp_path, monkeypatch):
    old_site(tmp_path)

    def refuse(*words: object, **more: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    kept = writer(tmp_path).write(NEW.encode(), {"csms-password.2": NEW_PASSWORD}).kept
    assert kept is not None
    assert kept.read_text() == OLD


def test_the_same_again_writes_nothing(tmp_path):
    old_site(tmp_path)
    before = (tmp_path / "edged.yaml").stat()
    written = writer(tmp_path).write(OLD.encode(), {})
    assert not written.is_change
    assert (tmp_path / "edged.yaml").stat().st_ino == before.st_ino


def test_passwords_are_their_owner_s_alone_and_the_rest_is_everybody_s(tmp_path):
    before = os.umask(0)
    try:
        old_site(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*")}
    assert modes == {"b": 0o755, "credentials": 0o700, "csms-password": 0o600, "edged.yaml": 0o644}


def test_a_file_that_only_its_owner_may_read_stays_so(tmp_path):
    old_site(tmp_path)
    (tmp_path / "edged.yaml").chmod(0o600)
    writer(tmp_path).write(NEW.encode(), {"csms-password.2": NEW_PASSWORD})
    assert stat.S_IMODE((tmp_path / "edged.yaml").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_files_to_whom_the_folder_belongs(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    old_site(tmp_path)
    assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {65534}


def test_a_credential_that_is_there_is_never_replaced(tmp_path):
    old_site(tmp_path)
    with pytest.raises(EdgedError, match="a credential of this name has come meanwhile"):
        writer(tmp_path).write(NEW.encode(), {"csms-password": NEW_PASSWORD})
    assert what_is_there(tmp_path) == ("OLD", OLD_PASSWORD)


def test_two_at_a_time_are_one_too_many(tmp_path):
    config = tmp_path / "edged.yaml"
    with only_one(config), pytest.raises(EdgedError, match="another edged setup is at work"), only_one(config):
        raise AssertionError
    with only_one(tmp_path / "edged.yaml"):
        pass


def test_a_link_is_not_written_through(tmp_path):
    (tmp_path / "real.yaml").write_text("x")
    (tmp_path / "edged.yaml").symlink_to("real.yaml")
    found = obstacle(tmp_path / "edged.yaml", tmp_path / "credentials")
    assert found == f"{tmp_path}/edged.yaml is a link: name the file itself with -c {tmp_path}/real.yaml"


def test_a_file_in_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "x").write_text("")
    assert (
        obstacle(tmp_path / "x" / "edged.yaml", tmp_path)
        == f"{tmp_path}/x is no folder: name another with -c or --credentials"
    )


AS_NOBODY = """\
import os, sys
from edged.cli import setup
from edged.cli.main import main
from edged.cli.setup import ending, writing
if os.geteuid() == 0:
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""
"""Somebody who owns nothing, also where the tests run as root, whose Python others may not read."""


def as_nobody(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", AS_NOBODY, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_who_may_not_write_is_told_so_before_the_first_question(tmp_path):
    for folder in (tmp_path, *(each for each in tmp_path.parents if each.stat().st_mode & 0o777 == 0o700)):
        folder.chmod(0o755)
    tmp_path.chmod(0o555)
    (tmp_path / "answers.yaml").write_text("chargers: {}\n")
    done = as_nobody("setup", "-c", tmp_path / "edged.yaml", "--answers", tmp_path / "answers.yaml")
    tmp_path.chmod(0o755)
    assert done.returncode == 1
    assert done.stderr == (
        f"edged: you may not write into {tmp_path}: sudo edged setup -c {tmp_path}/edged.yaml "
        f"--answers {tmp_path}/answers.yaml\n"
    )


def test_ctrl_c_in_the_middle_comes_when_all_is_written(tmp_path):
    class Interrupting(Disk):
        def write_new(self, path, content, mode, owner):
            os.kill(os.getpid(), signal.SIGINT)
            super().write_new(path, content, mode, owner)

    with pytest.raises(KeyboardInterrupt):
        writer(tmp_path, Interrupting()).write(OLD.encode(), {"csms-password": OLD_PASSWORD})
    assert what_is_there(tmp_path) == ("OLD", OLD_PASSWORD)


def test_who_may_not_even_look_is_told_the_same(tmp_path):
    for folder in (tmp_path, *(each for each in tmp_path.parents if each.stat().st_mode & 0o777 == 0o700)):
        folder.chmod(0o755)
    (tmp_path / "closed" / "etc").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    done = as_nobody("setup", "-c", tmp_path / "closed" / "etc" / "edged.yaml", "--answers", "a")
    (tmp_path / "closed").chmod(0o700)
    assert done.returncode == 1
    assert done.stderr.startswith(f"edged: you may not write into {tmp_path}/closed: sudo edged setup -c ")


def test_in_another_thread_there_is_no_ctrl_c_to_wait_for(tmp_path):
    thread = threading.Thread(target=old_site, args=(tmp_path,))
    thread.start()
    thread.join()
    assert what_is_there(tmp_path) == ("OLD", OLD_PASSWORD)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "is there and is no plain file: name another with -c"),
        (lambda path: os.mkfifo(path), "is there and is no plain file"),
    ],
)
def test_what_is_there_and_is_no_file_is_named(tmp_path, make, words):
    make(tmp_path / "edged.yaml")
    with pytest.raises(EdgedError, match=words):
        look(tmp_path / "edged.yaml")
