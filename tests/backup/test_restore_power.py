"""The power goes at each of a restore's file operations: what is there then is the old, the new, or can be finished."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edged.backup import fences, places, putting_back
from edged.ports import StoreWithheld
from tests.backup.conftest import KEY, Controller, Edged

NOW = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
CHANGING = ("open", "mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "chown", "chmod")


class Cut(BaseException):
    """No cleaning up comes after it."""


class Power:
    """Counts what changes the disk, and lets nothing happen any more from one of them on."""

    def __init__(self, cut_at: int | None) -> None:
        self.cut_at = cut_at
        self.done: list[tuple[str, str]] = []
        self._paths: dict[int, str] = {}

    def call(self, name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if name == "open" and not args[1] & os.O_CREAT:
            fd = real(*args, **options)
            self._paths[fd] = os.fspath(args[0])
            return fd
        if self.cut_at is not None and len(self.done) >= self.cut_at:
            raise Cut
        where = self._paths.get(args[0], "?") if name == "fsync" else os.fspath(args[0])
        self.done.append((name, f"{where} -> {os.fspath(args[1])}" if name in ("rename", "replace") else where))
        if name == "fsync":
            return None  # nothing here is about the real disk
        result = real(*args, **options)
        if name == "open":
            self._paths[result] = os.fspath(args[0])
        return result


@contextmanager
def power(monkeypatch: pytest.MonkeyPatch, cut_at: int | None = None) -> Iterator[Power]:
    counting = Power(cut_at)
    with monkeypatch.context() as patch:
        for name in CHANGING:
            real = getattr(os, name)
            patch.setattr(os, name, lambda *args, _n=name, _r=real, **options: counting.call(_n, _r, *args, **options))
        yield counting


@pytest.fixture
def used(controller: Controller) -> Controller:
    """In service, and other than it was when the backup was made."""
    (controller.config.parent / "profiles.d" / "own.yaml").write_text("changed\n")
    (controller.config.parent / "profiles.d" / "extra.yaml").write_text("extra\n")
    (controller.config.parent / "credentials" / "csms").write_text("changed-password\n")
    (controller.state / "keys" / f"{KEY}.pem").unlink()
    (controller.state / "keys" / "fedcba9876543210.pem").write_text("another key\n")
    controller.database.with_name("edged.db.backup").write_bytes(b"daily copy")
    return controller


def _put_back(backup: Path, site: places.Site) -> None:
    manifest = putting_back.judge(backup)
    putting_back.put_back(backup, manifest, site, putting_back.Wishes(), NOW)


def _told(controller: Controller) -> dict[str, bytes]:
    """What a daemon would find."""
    drafts = (places.STAGE, f"{fences.RESTORING}.new")
    return {n: content for n, content in controller.files().items() if not any(draft in n for draft in drafts)}


def _aside(controller: Controller) -> dict[str, bytes]:
    found = {}
    for name, content in controller.files(aside=True).items():
        parts = Path(name).parts
        if parts[1].startswith(places.ASIDE):
            found["/".join((parts[0], *parts[2:]))] = content
    return found


def _starts(controller: Controller) -> bool:
    try:
        fences.check(controller.state)
    except StoreWithheld:
        return False
    return True


def test_at_whatever_moment_the_power_goes_the_old_is_there_or_the_new_or_it_can_be_finished(
    used: Controller, model_backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "saved"
    for name in ("etc", "state"):
        shutil.copytree(tmp_path / name, saved / name)
    old = _told(used)
    with power(monkeypatch) as whole:
        _put_back(model_backup, used.site)
    new, kept = _told(used), _aside(used)
    assert set(kept) == {name for name in old if old[name] != new.get(name)}
    assert all(kept[name] == old[name] for name in kept), "nothing that was replaced is lost"
    seen = {"old": 0, "new": 0, "finished": 0}
    planned = next(n for n, (_, where) in enumerate(whole.done) if where.endswith(fences.RESTORING))
    for number in (*range(0, planned - 3, 5), *range(planned - 3, len(whole.done))):
        for name in ("etc", "state"):
            shutil.rmtree(tmp_path / name)
            shutil.copytree(saved / name, tmp_path / name)
        with pytest.raises(Cut), power(monkeypatch, number):
            _put_back(model_backup, used.site)
        if not _starts(used):
            seen["finished"] += 1
            assert putting_back.finish(used.site) is not None
            assert (_told(used), _aside(used)) == (new, kept), whole.done[number]
        elif _told(used) == old:
            seen["old"] += 1
            assert _aside(used) == {}
        else:
            seen["new"] += 1
            assert (_told(used), _aside(used)) == (new, kept), whole.done[number]
        assert _starts(used)
    assert all(seen.values()), seen


@pytest.mark.parametrize("first", [0.3, 0.6, 0.9])
def test_it_can_be_cut_off_again_while_it_is_finished(
    used: Controller, model_backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: float
) -> None:
    old = _told(used)
    saved = tmp_path / "saved"
    for name in ("etc", "state"):
        shutil.copytree(tmp_path / name, saved / name)
    with power(monkeypatch) as whole:
        _put_back(model_backup, used.site)
    new, kept = _told(used), _aside(used)
    for name in ("etc", "state"):
        shutil.rmtree(tmp_path / name)
        shutil.copytree(saved / name, tmp_path / name)
    fenced = next(n for n, (_, where) in enumerate(whole.done) if where.endswith(fences.RESTORING)) + 1
    with pytest.raises(Cut), power(monkeypatch, int(fenced + first * (len(whole.done) - fenced))):
        _put_back(model_backup, used.site)
    for attempt in range(200):
        try:
            with power(monkeypatch, attempt):
                if putting_back.finish(used.site) is None:
                    break
        except Cut:
            continue
    assert attempt > 10, "it was cut off many times"
    assert (_told(used), _aside(used)) == (new, kept)
    assert old != new


def test_the_same_command_again_finishes_what_was_cut_off(
    used: Controller, model_backup: Path, monkeypatch: pytest.MonkeyPatch, edged: Edged
) -> None:
    with power(monkeypatch) as whole:
        _put_back(model_backup, used.site)
    for name in ("etc/profiles.d/own.yaml", "etc/profiles.d/again.yaml"):
        (used.config.parent.parent / name).write_text("changed again\n")
    fenced = next(n for n, (_, where) in enumerate(whole.done) if where.endswith(fences.RESTORING))
    with pytest.raises(Cut), power(monkeypatch, fenced + 8):
        _put_back(model_backup, used.site)
    assert not _starts(used)
    status, out, err = edged("restore", model_backup, "-c", used.config, "--state", used.state)
    assert (status, err) == (0, "")
    assert out == "the restore of depot.tar.gz that was cut off is finished\n"
    assert _starts(used)
    assert not (used.config.parent / "profiles.d" / "again.yaml").exists()


def test_everything_is_on_the_disk_before_the_plan_and_every_name_before_its_end(
    used: Controller, model_backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with power(monkeypatch) as whole:
        _put_back(model_backup, used.site)
    steps = whole.done
    planned = next(
        n for n, (what, where) in enumerate(steps) if what in ("replace", "rename") and "restore.pending.new" in where
    )
    ended = next(n for n, (what, where) in enumerate(steps) if what == "unlink" and where.endswith(fences.RESTORING))
    staged = {
        where for what, where in steps[:planned] if what == "open" and places.STAGE in where and "look" not in where
    }
    flushed = {where for what, where in steps[:planned] if what == "fsync"}
    assert len(staged) == 5
    assert staged <= flushed
    assert {os.path.dirname(path) for path in staged} <= flushed
    moves = [where.split(" -> ") for what, where in steps[planned + 1 : ended] if what == "rename"]
    assert len(moves) >= 8
    changed = {os.path.dirname(path) for move in moves for path in move}
    last = max(n for n, (what, _) in enumerate(steps[:ended]) if what == "rename")
    assert changed <= {where for what, where in steps[last:ended] if what == "fsync"}
    assert ("fsync", str(used.state)) in steps[ended:]
    assert ("fsync", str(used.state)) in steps[planned : planned + 2]
