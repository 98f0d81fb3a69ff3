"""The real daemon, `edged run`, as a child: its configuration, its chargers, its notifications to systemd."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chargers import MAKE
from benchmarks.process import STATE_ROOT, child, environment, first_line

NOTIFY_TIMEOUT_S = 30.0
STATION = "BENCH-1"


@dataclass(frozen=True, slots=True)
class Daemon:
    """`started_at` and `ready_at` are perf_counter: the fork, and systemd's READY=1. `control`: its socket."""

    process: subprocess.Popen[str]
    started_at: float
    ready_at: float
    control: Path

    @property
    def pid(self) -> int:
        return self.process.pid


@contextlib.contextmanager
def simulated_chargers(count: int) -> Iterator[list[str]]:
    """HOST:PORT of so many chargers in a process of their own."""
    with child(["-m", "benchmarks.chargers", str(count)]) as process:
        yield json.loads(first_line(process))


@contextlib.contextmanager
def daemon(
    csms_url: str, chargers: list[str], *, version: str = "ocpp1.6", keys: Mapping[str, str] | None = None
) -> Iterator[Daemon]:
    """A fresh daemon with a fresh state directory on the disk, READY; ended and removed behind the block.

    `keys`: first values of its configuration. Its log is shown when it does not start.
    """
    with tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix="edged-bench-") as folder:
        place = Path(folder)
        configuration = place / "edged.yaml"
        configuration.write_text(_yaml(csms_url, chargers, version, keys or {}))
        with _notify_socket(place / "notify") as notify, (place / "log").open("w+") as log:
            control = place / "control.sock"
            command = ["-m", "edged", "run", "-c", str(configuration), "--state", str(place / "state")]
            command += ["--control", str(control)]
            started_at = time.perf_counter()
            with child(
                command, stdout=log, stderr=log, env=environment(NOTIFY_SOCKET=str(place / "notify"))
            ) as process:
                try:
                    ready_at = _ready(notify, process)
                except RuntimeError:
                    log.seek(0)
                    print(log.read(), file=sys.stderr)
                    raise
                yield Daemon(process, started_at, ready_at, control)


@contextlib.contextmanager
def _notify_socket(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(0.2)
        yield notify


def _ready(notify: socket.socket, process: subprocess.Popen[str]) -> float:
    deadline = time.perf_counter() + NOTIFY_TIMEOUT_S
    while time.perf_counter() < deadline and process.poll() is None:
        try:
            message = notify.recv(4096)
        except TimeoutError:
            continue
        if b"READY=1" in message.splitlines():
            return time.perf_counter()
    raise RuntimeError("the daemon did not become ready")


def _yaml(csms_url: str, chargers: list[str], version: str, keys: Mapping[str, str]) -> str:
    lines = ["gateway: {id: bench}", "chargers:"]
    for number, address in enumerate(chargers, start=1):
        lines.append(f"  charger-{number}: {{profile: {MAKE}, tcp: '{address}'}}")
    evses = ", ".join(f"{{charger: charger-{number}}}" for number in range(1, len(chargers) + 1))
    lines += ["stations:", f"  - id: {STATION}", f"    csms: {{url: '{csms_url}', versions: [{version}]}}"]
    lines += [f"    evses: [{evses}]", f"    configuration: {json.dumps(dict(keys))}", "log: {level: info}"]
    return "\n".join(lines) + "\n"
