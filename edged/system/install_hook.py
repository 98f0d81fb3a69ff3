"""Runs the site's install command for the requests that the daemon leaves: as root under systemd
(edged-firmware.service), as the daemon's own user elsewhere. `installer` describes the files.

Trusts the configuration where nobody but its owner can change it, and nothing that the daemon says: of a request only
the name counts, and the file must be a plain one of the daemon's own, in the daemon's own folder. What the command is
given is what the daemon has verified; whoever has taken over the daemon has taken over that as well, so a command that
installs for more than this gateway should verify for itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edged.system.installer import BOOT, COMMAND_S, LOCK, REQUESTS, Result, kernel_boot, named, sync_folder

log = logging.getLogger(__name__)

NAME = re.compile(r"firmware-[0-9a-f-]{36}(\.[A-Za-z0-9]{1,16}){0,2}")
MAX_REQUESTS = 100
MAX_RESULTS = 20
MAX_LINE_CHARS = 200
TAIL_BYTES = 4096
GRACE_S = 10.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def detach() -> bool:
    """Go on in a process that nobody waits for. False in the one that was called, which is to leave now."""
    if os.fork():
        return False
    with contextlib.suppress(OSError):
        os.setsid()
    return True


def serve(
    folder: Path,
    results: Path,
    command: Callable[[], Sequence[str]],
    *,
    runtime: Path | None,
    limit_s: float = COMMAND_S,
) -> None:
    """Carry out every request in the daemon's folder, one after the other, each once. `command`: the words of the
    command, or raises `PermissionError`; `runtime`: where to say in which boot this ran. Raises `OSError` where the
    folders cannot be used."""
    results.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _locked(results / LOCK), _opened(folder) as (home, owner), _requests(home, owner) as requests:
        if runtime is not None:
            (runtime / BOOT).write_text(kernel_boot(), encoding="ascii")
        for name in sorted(os.listdir(requests))[:MAX_REQUESTS]:
            if NAME.fullmatch(name) is None:
                log.warning("a request without a firmware's name is taken away")
                _take_away(requests, name)
                continue
            (results / f"{name}.json").unlink(missing_ok=True)
            if not _take_away(requests, name):
                continue  # the daemon was tired of waiting, and has told so
            os.fsync(requests)
            result = _carried_out(home, owner, folder / name, command, limit_s)
            log.info("%s: status %s %s", name, result.status, result.line)
            _write(results, name, result)


def trusted_command(config: Path, read: Callable[[Path], Sequence[str]]) -> Sequence[str]:
    """The configured command, where nobody but root and this user can have written it. Raises `PermissionError`."""
    words = read(config)
    if not words:
        raise PermissionError(0, "the configuration names no firmware.install")
    for path in (config, config.parent, Path(words[0])):
        found = path.stat()
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(
                0, f"others than its owner may write to {path}, or it is not root's: it is not trusted"
            )
    return words


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[tuple[int, int]]:
    """The daemon's folder and its owner."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor, os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _requests(home: int, owner: int) -> Iterator[int]:
    descriptor = os.open(REQUESTS, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=home)
    try:
        if os.fstat(descriptor).st_uid != owner:
            raise PermissionError(0, "the folder of requests is not the daemon's")
        yield descriptor
    finally:
        os.close(descriptor)


def _take_away(requests: int, name: str) -> bool:
    """Whatever it is: what stays would ask again for ever. False: it has gone already."""
    try:
        os.unlink(name, dir_fd=requests)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=requests)
    except FileNotFoundError:
        return False
    return True


def _carried_out(home: int, owner: int, path: Path, command: Callable[[], Sequence[str]], limit_s: float) -> Result:
    boot = kernel_boot()
    try:
        _check(home, owner, path.name)
        words = [*command(), str(path)]
        return _run(words, boot, limit_s)
    except OSError as error:
        return Result(None, _printable(error.strerror or str(error)), boot)


def _check(home: int, owner: int, name: str) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=home)
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != owner or found.st_nlink != 1:
        raise PermissionError(0, "the firmware is no plain file of the daemon's")


def _run(words: Sequence[str], boot: str, limit_s: float) -> Result:
    """The command in a session of its own; all of it ends with the time that it has."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/"},
        cwd="/",
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        tail = _followed(process, output.fileno(), time.monotonic() + limit_s)
    if process.returncode is None:
        _end(process)
        return Result(None, f"it took longer than {limit_s:.0f} s", boot)
    return Result(process.returncode, _last_line(tail), boot)


def _followed(process: subprocess.Popen[bytes], output: int, until_s: float) -> bytes:
    """The end of what it says, until it ends or its time is over. Who inherited its output is not waited for."""
    tail, open_still = b"", True
    while time.monotonic() < until_s:
        ended = process.poll() is not None
        if open_still and select.select([output], [], [], 0 if ended else 0.1)[0]:
            chunk = os.read(output, TAIL_BYTES)
            tail, open_still = (tail + chunk)[-TAIL_BYTES:], bool(chunk)
        elif ended:
            break
        elif not open_still:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    return tail


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
            return


def _last_line(tail: bytes) -> str:
    lines = [line for line in tail.decode("utf-8", "replace").splitlines() if line.strip()]
    return _printable(lines[-1].strip()) if lines else ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_LINE_CHARS]


def _write(results: Path, name: str, result: Result) -> None:
    """Durable before the lock is let go; the oldest results go."""
    path = results / f"{name}.json"
    growing = path.with_suffix(".new")
    growing.write_text(json.dumps(named(result)))
    growing.chmod(0o644)
    with growing.open("rb") as file:
        os.fsync(file.fileno())
    growing.replace(path)
    sync_folder(results)
    found = sorted(results.glob("firmware-*.json"), key=lambda one: one.stat().st_mtime)
    for old in found[:-MAX_RESULTS]:
        old.unlink(missing_ok=True)
