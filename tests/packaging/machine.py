"""A computer with Debian on it: a real systemd as pid 1 in systemd-nspawn, on an overlay over a root that
stays as it is.

Needs root and the namespace of enter.sh. Nothing of it outlives `close`. A machine has no network but the cable that
`plug_in` lays to `outside.Outside`. Its clock is this computer's.

Without `--system-call-filter=bpf` systemd inside could not enforce DeviceAllow= and every test of devices would pass
for nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CGROUPS = Path("/sys/fs/cgroup")
REBOOT = 133
"""nspawn's status where the machine asked for a restart and the caller keeps its unit."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
UNIT = "edged.service"
_numbers = count(1)


class Dead(Exception):
    """The machine is not as it should be; the text ends with what its console said last."""


def result(
    words: Sequence[str], command: Sequence[str | Path], *, check: bool, within_s: float, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """What comes of `words`, which is `command` somewhere else. Raises `Dead` where it takes too long, and where it
    fails, unless `check` is False."""
    shown = " ".join(map(str, command))
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=within_s)
    except subprocess.TimeoutExpired as error:
        raise Dead(f"{shown}: no end within {within_s:g} s: {error.output!r}") from None
    if check and done.returncode:
        raise Dead(f"{shown}: status {done.returncode}\n{(done.stdout + done.stderr).strip()[-3000:]}")
    return done


class Machine:
    """`lowers`: roots, the topmost first; `folder`: an empty one for what it writes (in memory)."""

    def __init__(self, lowers: Sequence[Path], folder: Path, *, arguments: Sequence[str] = ()) -> None:
        self.name = f"edged-{os.getpid()}-{next(_numbers)}"
        self.folder = folder
        self.root = folder / "root"
        self.written = folder / "written"
        self._console = folder / "console"
        self._arguments = list(arguments)
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._cgroup = CGROUPS / self.name
        for each in (self.root, self.written, folder / "work"):
            each.mkdir()
        layers = ":".join(str(lower) for lower in lowers)
        options = f"lowerdir={layers},upperdir={self.written},workdir={folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)

    # --- its life

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def boot(self, *, within_s: float = 120.0) -> str:
        """Switch it on and wait until it has come up. Gives systemd's word for how: running or degraded."""
        self._cgroup.mkdir(exist_ok=True)
        options = ["--quiet", f"--directory={self.root}", "--boot", "--register=no", "--keep-unit", "--private-network"]
        options += ["--console=pipe", f"--machine={self.name}", f"--hostname={self.name}", "--capability=all"]
        options += ["--system-call-filter=bpf", "--system-call-filter=@clock", *self._arguments]
        enter = f'echo $$ > {self._cgroup}/cgroup.procs && exec systemd-nspawn "$@"'
        with self._console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", enter, "sh", *options], stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        return self.until(self._state, within_s=within_s, what="the machine comes up")

    def _state(self) -> str:
        if self.leader() is None:
            return ""
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state if state in ("running", "degraded") else ""

    def has_gone_off(self, *, within_s: float = 120.0) -> None:
        """Wait until it switches itself off."""
        if status := self._ended(within_s):
            raise Dead(f"it went off with status {status}{self.console()}")

    def has_restarted(self, *, within_s: float = 120.0) -> str:
        """Wait until it restarts by itself, and has come up again."""
        if (status := self._ended(within_s)) != REBOOT:
            raise Dead(f"it went off with status {status} instead of restarting{self.console()}")
        return self.boot()

    def _ended(self, within_s: float) -> int:
        """How its container ends."""
        assert self._nspawn is not None
        try:
            return self._nspawn.wait(within_s)
        except subprocess.TimeoutExpired:
            raise Dead(f"it still runs after {within_s:g} s{self.console()}") from None

    def cut_power(self) -> None:
        """Everything in it is killed at once."""
        for pid in (self.leader(), None if self._nspawn is None else self._nspawn.pid):
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._nspawn is not None:
            self._nspawn.wait()
        self._nspawn = None

    def shut_down(self, *, within_s: float = 120.0) -> None:
        """In good order, as by `poweroff`."""
        leader = self.leader()
        if self._nspawn is None or leader is None:
            return
        os.kill(leader, signal.SIGRTMIN + 4)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._nspawn.wait(within_s)
        self.cut_power()

    def close(self) -> None:
        """Off, and nothing is left of it but what it has written, until `folder` goes."""
        self.cut_power()
        for _ in range(50):
            for folder, _folders, _files in os.walk(self._cgroup, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            if not self._cgroup.exists():
                break
            time.sleep(0.1)
        subprocess.run(["umount", "--recursive", "--lazy", self.root], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder / "work", ignore_errors=True)

    def leader(self) -> int | None:
        """Its pid 1, as this computer counts; None while there is none."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return None
        for children in Path(f"/proc/{self._nspawn.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for pid in children.read_text().split():
                    status = Path(f"/proc/{pid}/status").read_text()
                    if any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status.splitlines()):
                        return int(pid)
        return None

    def console(self) -> str:
        lines = self._console.read_text(errors="replace").splitlines() if self._console.exists() else []
        return "".join(f"\n  console| {line}" for line in lines[-15:])

    # --- what is done in it

    def words(self, *command: str | Path) -> list[str]:
        """The command as this computer runs it, for a process of the caller's own."""
        leader = self.leader()
        if leader is None:
            raise Dead(f"the machine is off{self.console()}")
        inside = ["nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", "env", "-i"]
        return [*inside, *(f"{name}={value}" for name, value in ENVIRONMENT.items()), *map(str, command)]

    def run(
        self, *command: str | Path, check: bool = True, text: str | None = None, within_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """A command in it, as root. Raises `Dead` where it fails, unless `check` is False."""
        return result(self.words(*command), command, check=check, within_s=within_s, text=text or "")

    def sh(self, script: str, *, check: bool = True, within_s: float = 120.0) -> str:
        """What a line of shell prints, without the last newline."""
        return self.run("sh", "-c", script, check=check, within_s=within_s).stdout.rstrip("\n")

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """A file of root's. Works while the machine is on and while it is off."""
        if self.leader() is None:
            target = self.root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            target.chmod(mode)
            return
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, f"{mode:o}", text=text)

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def until(self, condition: Callable[[], Any], *, within_s: float = 60.0, what: str = "") -> Any:
        """What `condition` gives as soon as that is true. Raises `Dead`."""
        end = time.monotonic() + within_s
        while True:
            if found := condition():
                return found
            if time.monotonic() > end:
                raise Dead(f"not within {within_s:g} s: {what or condition}{self.console()}{self._last_words()}")
            time.sleep(0.05)

    def _last_words(self) -> str:
        if self.leader() is None:
            return ""
        lines = self.run("journalctl", "-u", UNIT, "-n", "25", "--no-pager", "-o", "cat", check=False).stdout
        return "".join(f"\n  journal| {line}" for line in lines.splitlines())

    # --- what systemd says

    def show(self, name: str, unit: str = UNIT) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "-P", name, unit).stdout.strip()

    def pid(self) -> int:
        """The daemon's, as the machine counts; 0 while there is none."""
        return int(self.show("MainPID") or 0)

    def is_active(self) -> bool:
        return self.show("ActiveState") == "active"

    def is_back(self, before: int) -> bool:
        """Whether it serves again, in another process than `before`."""
        return self.pid() not in (0, before) and self.is_active()

    def journal(self, *arguments: str, unit: str = UNIT) -> str:
        return self.run("journalctl", "-u", unit, "--no-pager", "-o", "cat", *arguments).stdout

    def signal(self, number: signal.Signals) -> None:
        """To the daemon's process."""
        self.run("systemctl", "kill", "--kill-who=main", f"--signal={number.name}", UNIT)

    def drop_in(self, name: str, lines: str, unit: str = UNIT) -> None:
        """What `systemctl edit` writes; [Service] stands in front."""
        self.write(f"/run/systemd/system/{unit}.d/{name}.conf", f"[Service]\n{lines}\n")
        self.run("systemctl", "daemon-reload")
