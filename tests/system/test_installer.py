"""Installing: a file goes to the site's command once, whoever dies in between, and its end is told as it was."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.domain.jobs import Cause, Done, Failed
from edged.system import install_hook
from edged.system.install_hook import serve, trusted_command
from edged.system.installer import (
    ASKED,
    BOOT,
    LOCK,
    REBOOTING,
    REQUESTS,
    Installer,
    Patience,
    kernel_boot,
    site_installer,
)

NAME = "firmware-00000000-0000-4000-8000-000000000001.bin"
PATIENCE = Patience(limit_s=10.0, picked_up_s=0.2, reboot_s=0.2, poll_s=0.01)


class Bench:
    """A daemon's folder, the hook's folder and a command that is a script."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results, self.runs = folder / "transfer", folder / "results", folder / "runs"
        self.command = folder / "install"
        (self.folder / REQUESTS).mkdir(parents=True)
        (self.folder / NAME).write_bytes(b"firmware")
        self.script("exit 0")
        self.started = 0
        self.rebooted = 0
        self.boot = kernel_boot()
        self.patience = PATIENCE

    def script(self, *lines: str) -> None:
        self.command.write_text("\n".join(["#!/bin/sh", f'echo "$1" >> {self.runs}', *lines]))
        self.command.chmod(0o755)

    def hook(self, limit_s: float = 10.0, runtime: Path | None = None) -> None:
        serve(self.folder, self.results, lambda: [str(self.command)], runtime=runtime, limit_s=limit_s)

    async def start(self) -> None:
        self.started += 1
        await asyncio.to_thread(self.hook)

    def installer(self, *, start: bool = True, **options: Any) -> Installer:
        return Installer(
            folder=self.folder,
            results=self.results,
            runtime=None,
            start=self.start if start else None,
            boot=lambda: self.boot,
            patience=self.patience,
            **options,
        )

    async def install(self, *, resume: bool = False, start: bool = True) -> Done | Failed:
        def rebooting() -> None:
            self.rebooted += 1

        return await self.installer(start=start).install(NAME, resume=resume, rebooting=rebooting)

    def ran(self) -> list[str]:
        return self.runs.read_text().splitlines() if self.runs.exists() else []

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.results / f"{NAME}.json").read_text())
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# --- what becomes of it


async def test_the_command_gets_the_path_of_the_file(bench: Bench) -> None:
    assert await bench.install() == Done()
    assert bench.ran() == [str(bench.folder / NAME)]


@pytest.mark.parametrize(("status", "cause"), [(1, Cause.OTHER), (10, Cause.VERIFICATION), (77, Cause.OTHER)])
async def test_a_status_that_is_no_success_fails_with_the_commands_last_word(
    bench: Bench, status: int, cause: Cause
) -> None:
    bench.script("echo first", "printf 'not \\033[31m for this box\\n\\n' >&2", f"exit {status}")
    outcome = await bench.install()
    assert isinstance(outcome, Failed) and outcome.cause is cause
    assert outcome.reason.endswith("not  [31m for this box")


async def test_a_command_that_cannot_be_run_fails(bench: Bench) -> None:
    bench.command.write_text("#!/nowhere/sh\n")
    outcome = await bench.install()
    assert isinstance(outcome, Failed) and "could not be run" in outcome.reason


def test_a_command_that_takes_too_long_ends_with_everything_it_started(bench: Bench, tmp_path: Path) -> None:
    bench.script(f"sleep 600 & echo $! > {tmp_path / 'child'}", "wait")
    (bench.folder / REQUESTS / NAME).touch()
    bench.hook(limit_s=0.5)
    assert bench.result()["status"] is None and "longer than" in bench.result()["line"]
    child = int((tmp_path / "child").read_text())
    status = Path(f"/proc/{child}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_command_that_leaves_somebody_behind_is_over_when_it_ends(bench: Bench) -> None:
    bench.script("sleep 5 &", "echo done", "exit 0")
    (bench.folder / REQUESTS / NAME).touch()
    bench.hook(limit_s=60.0)
    assert bench.result() | {"boot": ""} == {"status": 0, "line": "done", "boot": ""}


def test_a_flood_of_words_is_not_kept(bench: Bench) -> None:
    bench.script("head -c 3000000 /dev/zero | tr '\\0' x", "echo", "echo the end")
    (bench.folder / REQUESTS / NAME).touch()
    bench.hook()
    assert bench.result()["line"] == "the end"


# --- restarts


async def test_an_end_that_nobody_saw_is_told_later_and_nothing_runs_again(bench: Bench) -> None:
    await bench.install()
    assert await bench.install(resume=True) == Done()
    assert len(bench.ran()) == 1


async def test_what_was_never_asked_for_is_asked_for_after_a_restart(bench: Bench) -> None:
    assert await bench.install(resume=True) == Done()
    assert len(bench.ran()) == 1


async def test_a_request_that_nobody_took_before_the_power_went_is_carried_out_after_it(bench: Bench) -> None:
    for path in (bench.folder / (NAME + ASKED), bench.folder / REQUESTS / NAME):
        path.touch()
    assert await bench.install(resume=True) == Done()
    assert len(bench.ran()) == 1


async def test_what_was_interrupted_has_failed_and_is_not_begun_again(bench: Bench) -> None:
    (bench.folder / (NAME + ASKED)).touch()
    outcome = await bench.install(resume=True)
    assert outcome == Failed("the installation was interrupted")
    assert bench.ran() == []


async def test_who_is_at_work_is_waited_for(bench: Bench) -> None:
    (bench.folder / (NAME + ASKED)).touch()
    bench.results.mkdir()
    with (bench.results / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = asyncio.create_task(bench.install(resume=True))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        (bench.results / f"{NAME}.json").write_text('{"status": 0, "line": "", "boot": "x"}')
    assert await waiting == Done()


async def test_a_request_that_nobody_takes_is_withdrawn(bench: Bench) -> None:
    outcome = await bench.install(start=False)
    assert isinstance(outcome, Failed) and "edged-firmware.path" in outcome.reason
    assert not (bench.folder / REQUESTS / NAME).exists()
    bench.hook()
    assert bench.ran() == [], "nobody installs what was told to have failed"


def test_a_request_that_is_withdrawn_while_another_is_carried_out_is_not_carried_out(bench: Bench) -> None:
    other = NAME.replace("001.", "000.")
    (bench.folder / other).write_bytes(b"firmware")
    for name in (other, NAME):
        (bench.folder / REQUESTS / name).touch()
    bench.script(f"rm {bench.folder / REQUESTS / NAME}")
    bench.hook()
    assert bench.ran() == [str(bench.folder / other)]


async def test_a_request_waits_for_as_long_as_another_firmware_is_installed(bench: Bench) -> None:
    """Between two runs of the hook nobody holds its lock."""
    bench.results.mkdir()
    with (bench.results / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bench.patience = replace(PATIENCE, picked_up_s=1.0)
        waiting = asyncio.create_task(bench.install(start=False))
        await asyncio.sleep(1.3)
    await asyncio.sleep(0.1)
    await asyncio.to_thread(bench.hook)
    assert await waiting == Done()


async def test_a_request_does_not_wait_for_ever_for_another_firmware(bench: Bench) -> None:
    bench.results.mkdir()
    bench.patience = replace(PATIENCE, limit_s=0.3)
    with (bench.results / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert await bench.install(start=False) == Failed("something else was being installed all the time")
    bench.hook()
    assert bench.ran() == []


@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"status": "x", "line": 1, "boot": 2}'])
async def test_a_result_that_cannot_be_read_is_no_success(bench: Bench, garbage: str) -> None:
    await bench.install()
    (bench.results / f"{NAME}.json").write_text(garbage)
    assert isinstance(await bench.install(resume=True), Failed)


# --- the computer restarts


async def test_a_restart_that_was_announced_is_waited_for(bench: Bench) -> None:
    bench.script(f"exit {REBOOTING}")
    outcome = await bench.install()
    assert isinstance(outcome, Failed) and "did not restart" in outcome.reason
    assert bench.rebooted == 1


async def test_after_the_restart_it_is_installed(bench: Bench) -> None:
    bench.script(f"exit {REBOOTING}")
    await bench.install()
    assert isinstance(await bench.install(resume=True), Failed), "the same boot"
    bench.boot = "another boot"
    assert await bench.install(resume=True) == Done()


async def test_where_the_sandbox_hides_the_boot_the_hook_says_it_in_memory(bench: Bench, tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    bench.script(f"exit {REBOOTING}")
    (bench.folder / REQUESTS / NAME).touch()
    (bench.folder / (NAME + ASKED)).touch()
    bench.hook(runtime=runtime)
    here = Installer(
        folder=bench.folder,
        results=bench.results,
        runtime=runtime,
        start=None,
        boot=lambda: "",
        patience=PATIENCE,
    )
    assert isinstance(await here.install(NAME, resume=True, rebooting=lambda: None), Failed)
    (runtime / BOOT).unlink()
    assert await here.install(NAME, resume=True, rebooting=lambda: None) == Done()


# --- whom the hook trusts


def requested(bench: Bench, name: str = NAME) -> None:
    (bench.folder / REQUESTS / name).touch()


@pytest.mark.parametrize("name", ["../etc", "passwd", "firmware-1", f"{NAME} ", "firmware-" + "0" * 36 + ".a.b.c"])
def test_a_request_with_another_name_is_taken_away_and_nothing_runs(bench: Bench, name: str) -> None:
    if "/" in name:
        (bench.folder / REQUESTS / "dir").mkdir()
    else:
        requested(bench, name)
    bench.hook()
    assert bench.ran() == [] and not os.listdir(bench.folder / REQUESTS)


def test_a_link_is_no_firmware(bench: Bench, tmp_path: Path) -> None:
    (bench.folder / NAME).unlink()
    (bench.folder / NAME).symlink_to("/etc/passwd")
    requested(bench)
    bench.hook()
    assert bench.ran() == [] and bench.result()["status"] is None


@pytest.mark.parametrize("kind", ["hard link", "fifo", "folder", "nothing"])
def test_what_is_no_plain_file_of_one_name_is_no_firmware(bench: Bench, tmp_path: Path, kind: str) -> None:
    path = bench.folder / NAME
    if kind == "hard link":
        os.link(path, tmp_path / "other")
    else:
        path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    requested(bench)
    bench.hook()
    assert bench.ran() == [] and bench.result()["status"] is None


@pytest.mark.parametrize("place", ["transfer", "requests"])
def test_a_folder_that_is_a_link_is_not_entered(bench: Bench, tmp_path: Path, place: str) -> None:
    requested(bench)
    path = bench.folder if place == "transfer" else bench.folder / REQUESTS
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        bench.hook()
    assert bench.ran() == []


def words(config: Path) -> Sequence[str]:
    return config.read_text().split()


@pytest.mark.parametrize("which", ["config", "folder", "command"])
@pytest.mark.parametrize("who", [stat.S_IWGRP, stat.S_IWOTH])
def test_a_command_that_others_can_change_is_not_trusted(tmp_path: Path, which: str, who: int) -> None:
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    config, command = folder / "edged.yaml", tmp_path / "install"
    command.touch(0o755)
    config.write_text(f"{command} --now")
    config.chmod(0o644)
    assert trusted_command(config, words) == [str(command), "--now"]
    path = {"config": config, "folder": folder, "command": command}[which]
    path.chmod(path.stat().st_mode | who)
    with pytest.raises(PermissionError):
        trusted_command(config, words)


def test_without_a_command_nothing_is_installed_and_the_request_says_why(bench: Bench, tmp_path: Path) -> None:
    config = tmp_path / "edged.yaml"
    config.touch(0o600)
    requested(bench)
    serve(bench.folder, bench.results, lambda: trusted_command(config, words), runtime=None)
    assert bench.result()["line"] == "the configuration names no firmware.install"


def test_what_the_daemon_sets_in_its_environment_does_not_reach_the_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LD_PRELOAD_LIKE", "evil")
    bench.script(f"env > {tmp_path / 'env'}")
    requested(bench)
    bench.hook()
    assert "LD_PRELOAD_LIKE" not in (tmp_path / "env").read_text()


def test_only_the_newest_results_are_kept(bench: Bench) -> None:
    for number in range(install_hook.MAX_RESULTS + 5):
        name = f"firmware-00000000-0000-4000-8000-0000000001{number:02d}"
        (bench.folder / name).touch()
        requested(bench, name)
    bench.hook()
    assert len(list(bench.results.glob("*.json"))) == install_hook.MAX_RESULTS


# --- without systemd


async def test_without_systemd_the_hook_is_a_process_of_its_own(bench: Bench, tmp_path: Path) -> None:
    config = tmp_path / "etc" / "edged.yaml"
    config.parent.mkdir(mode=0o755)
    config.write_text(f"firmware: {{install: {bench.command}}}\nmqtt: {{password: '${{credential:none}}'}}\n")
    config.chmod(0o600)
    bench.script(f"ps -o sid= -p $$ > {tmp_path / 'session'}", "echo done")
    outcome = await site_installer(bench.folder, config=config, under_systemd=False).install(
        NAME, resume=False, rebooting=lambda: None
    )
    assert outcome == Done(), outcome
    assert int((tmp_path / "session").read_text()) != os.getsid(0)


def test_under_systemd_nothing_is_started_from_here(tmp_path: Path) -> None:
    installer = site_installer(tmp_path, config=None, under_systemd=True)
    assert installer._start is None and sys.executable
