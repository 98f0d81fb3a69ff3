"""Credentials and configuration onto the disk, in an order in which a power cut leaves the old or the new.

Owns: names of files, their order, what is flushed when, who may read them. Refuses to know what stands in them.

Invariants: no file that is in force is changed in place. Credentials come first and never replace one; the rename of
the configuration is the only moment at which anything changes for the daemon, and what is renamed the loader has taken.
What a cut leaves behind (a credential nobody refers to, a file that begins with a dot) the next run takes over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from edged.ports import EdgedError
from edged.settings import Settings

CONFIG_MODE, CREDENTIAL_MODE, FOLDER_MODE, CREDENTIALS_MODE = 0o644, 0o600, 0o755, 0o700
HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Owner = tuple[int, int]


class Disk:
    """What is done to the disk, each step by itself: a test cuts the power between any two."""

    def make_folder(self, path: Path, mode: int, owner: Owner | None) -> None:
        path.mkdir(mode)
        os.chmod(path, mode)
        if owner is not None:
            os.chown(path, *owner)

    def write_new(self, path: Path, content: bytes, mode: int, owner: Owner | None) -> None:
        """A new file, flushed. Who may not read it may not do so for a moment either."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)

    def link(self, path: Path, name: Path) -> None:
        os.link(path, name, follow_symlinks=False)

    def rename(self, path: Path, name: Path) -> None:
        os.rename(path, name)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def flush_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was done. `kept`: the name of what had been there. `settings`: what the loader made of it."""

    settings: Settings
    config: bool
    kept: Path | None = None
    credentials: tuple[Path, ...] = ()

    @property
    def is_change(self) -> bool:
        return self.config or bool(self.credentials)


@dataclass(slots=True, kw_only=True)
class Writer:
    """Writes one configuration. `load` is the loader of the daemon, which raises `SettingsErrors`; `local`: the time
    for the name of what is kept."""

    config: Path
    credentials: Path
    load: Callable[[Path], Settings]
    local: Callable[[], datetime]
    disk: Disk = field(default_factory=Disk)
    is_done: bool = False
    """Whether everything is on the disk, also where Ctrl-C came meanwhile and nobody hears what was written."""

    def write(self, content: bytes, pending: Mapping[str, str]) -> Written:
        """Raises `EdgedError` and `SettingsErrors`; then everything is as it was before."""
        made: list[Path] = []
        with _unbroken():
            try:
                self._make_folders()
                for name, password in pending.items():
                    self._write_credential(self.credentials / name, password, made)
                if self._present() == content:
                    written = Written(settings=self.load(self.config), config=False, credentials=tuple(made))
                    self.is_done = True
                    return written
                settings, kept = self._replace(content)
                self.is_done = True
            except BaseException as error:
                self._remove(*made)
                if isinstance(error, OSError):
                    where = f" ({error.filename})" if error.filename else ""
                    raise EdgedError(f"nothing was changed: {error.strerror or error}{where}") from error
                raise
            self.disk.flush_folder(self.config.parent)
        return Written(settings=settings, config=True, kept=kept, credentials=tuple(made))

    def _replace(self, content: bytes) -> tuple[Settings, Path | None]:
        fresh, kept = self._beside(self.config), None
        try:
            before = self._about_present()
            owner = _owner_in(self.config.parent) if before is None else (before.st_uid, before.st_gid)
            mode = CONFIG_MODE if before is None else before.st_mode & 0o777
            self.disk.remove(fresh)
            self.disk.write_new(fresh, content, mode, _if_root(owner))
            settings = self.load(fresh)
            kept = None if before is None else self._keep(before)
            self.disk.rename(fresh, self.config)
        except BaseException:
            self._remove(fresh, *(() if kept is None else (kept,)))
            raise
        warnings = (replace(each, file=str(self.config)) for each in settings.warnings if each.file == str(fresh))
        others = (each for each in settings.warnings if each.file != str(fresh))
        return replace(settings, path=self.config, warnings=(*warnings, *others)), kept

    def _remove(self, *paths: Path) -> None:
        for path in paths:
            with contextlib.suppress(OSError):
                self.disk.remove(path)

    def _make_folders(self) -> None:
        missing = [path for path in (self.config.parent, *self.config.parent.parents) if not path.exists()]
        for folder in reversed(missing):
            self.disk.make_folder(folder, FOLDER_MODE, _if_root(_owner_in(folder.parent)))
            self.disk.flush_folder(folder.parent)
        if not self.credentials.exists():
            self.disk.make_folder(self.credentials, CREDENTIALS_MODE, _if_root(_owner_in(self.credentials.parent)))
            self.disk.flush_folder(self.credentials.parent)

    def _write_credential(self, path: Path, password: str, made: list[Path]) -> None:
        """Never in the place of another."""
        fresh = self._beside(path)
        self.disk.remove(fresh)
        try:
            self.disk.write_new(fresh, f"{password}\n".encode(), CREDENTIAL_MODE, _if_root(_owner_in(self.credentials)))
            if path.exists():
                raise FileExistsError(17, "a credential of this name has come meanwhile: start again", str(path))
            self.disk.rename(fresh, path)
            made.append(path)
            self.disk.flush_folder(self.credentials)
        except BaseException:
            self._remove(fresh)
            raise

    def _keep(self, before: os.stat_result) -> Path:
        """A second name for what is in force, before the first one goes over to its successor."""
        stamp = self.local().strftime("%Y%m%d-%H%M%S")
        kept = Path(f"{self.config}.old-{stamp}")
        number = 1
        while kept.exists():
            number += 1
            kept = Path(f"{self.config}.old-{stamp}-{number}")
        try:
            self.disk.link(self.config, kept)
        except PermissionError:  # a file system without links, like FAT
            self.disk.write_new(
                kept, self.config.read_bytes(), before.st_mode & 0o777, _if_root((before.st_uid, before.st_gid))
            )
        self.disk.flush_folder(self.config.parent)
        return kept

    def _present(self) -> bytes | None:
        try:
            return self.config.read_bytes()
        except FileNotFoundError:
            return None

    def _about_present(self) -> os.stat_result | None:
        try:
            return self.config.lstat()
        except FileNotFoundError:
            return None

    @staticmethod
    def _beside(path: Path) -> Path:
        return path.with_name(f".{path.name}.new")


def obstacle(config: Path, credentials: Path) -> str | None:
    """Why nothing could be written there, None where it can."""
    if os.path.islink(config):
        return f"{config} is a link: name the file itself with -c {os.path.realpath(config)}"
    for folder in (config.parent, credentials):
        there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
        if not there.is_dir():
            return f"{there} is no folder: name another with -c or --credentials"
        if os.access(there, os.W_OK | os.X_OK):
            continue
        if os.statvfs(there).f_flag & os.ST_RDONLY:
            return f"{there} is on a file system that is read-only: mount -o remount,rw it first"
        return f"you may not write into {there}"
    return None


@contextmanager
def only_one(config: Path) -> Iterator[None]:
    """Two at a time would undo each other's work. Raises `EdgedError`."""
    folder = next(path for path in (config.parent, *config.parent.parents) if os.path.isdir(path))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise EdgedError(f"another edged setup is at work in {folder}: finish that one first") from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _unbroken() -> Iterator[None]:
    """Whoever presses Ctrl-C, or hangs up, does so before or after, and not in between."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda heard, _: came.append(heard)) for number in HELD_BACK}
    try:
        yield
    finally:
        for number, way in before.items():
            signal.signal(number, signal.SIG_DFL if way is None else way)
        for which in came:
            signal.raise_signal(which)


def _owner_in(folder: Path) -> Owner:
    about = folder.stat()
    return about.st_uid, about.st_gid


def _if_root(owner: Owner) -> Owner | None:
    """Only root gives files away; of anybody else they are their own."""
    return owner if os.geteuid() == 0 else None
