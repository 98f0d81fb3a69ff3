"""What is outside of a machine: a network of two, at the other end of its cable, and a CSMS there.

The network is a namespace of its own: nothing in it reaches this computer or anything else.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.packaging.machine import Machine

ROOT = Path(__file__).parents[2]
HERE = "10.77.0.1"
"""Where the CSMS is."""
MACHINE = "10.77.0.2"
PORT = 9000
URL = f"ws://{HERE}:{PORT}/ocpp"
PATIENCE_S = 90.0


class Csms:
    """The CSMS outside, asked over the pipe to its process (csms.py)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answer()

    def call(self, action: str, payload: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A CALL to the station; its CALLRESULT's payload."""
        answer: dict[str, Any] = self._ask("call", action=action, payload=dict(payload or {}))
        return answer

    def wait(self, action: str, count: int = 1) -> dict[str, Any]:
        """The payload of the station's Nth CALL of this action, as soon as it is there."""
        payload: dict[str, Any] = self._ask("wait", action=action, count=count)
        return payload

    def received(self, action: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("received", action=action)
        return found

    def violations(self) -> list[str]:
        found: list[str] = self._ask("violations")
        return found

    def connected(self) -> list[str]:
        found: list[str] = self._ask("connected")
        return found

    def cut(self) -> None:
        self._ask("cut")

    def restore(self) -> None:
        self._ask("restore")

    def _ask(self, do: str, **more: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise AssertionError(f"the CSMS, asked to {do} {more}: {answer['error']}")
        return answer["result"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = "" if self._process.stderr is None else self._process.stderr.read()
            raise AssertionError(f"the CSMS is gone: {said}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Outside:
    """The other end of the cable."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "echo && exec sleep infinity"], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        self._holder.stdout.readline()  # from here on the namespace is there
        self._csms: list[Csms] = []
        self._programs: list[subprocess.Popen[bytes]] = []
        self._run("ip", "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _words(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--", *command]

    def _run(self, *command: str) -> None:
        subprocess.run(self._words(*command), check=True)

    def plug_in(self, machine: Machine) -> None:
        """Lay the cable. The machine has its address at once; a restart of it pulls the cable out."""
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(self._words("ip", "link", "del", "cable"), check=True, stderr=subprocess.DEVNULL)
        leader = str(machine.leader())
        self._run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "eth0", "netns", leader)
        self._run("ip", "addr", "add", f"{HERE}/30", "dev", "cable")
        self._run("ip", "link", "set", "cable", "up")
        machine.run("ip", "addr", "add", f"{MACHINE}/30", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")

    def csms(self, station: str, password: str = "", *secure: str | Path, port: int = PORT) -> Csms:
        """A CSMS that answers at `URL` for as long as this is open. `secure`: a door for TLS, as csms.py takes it."""
        words = self._words(
            sys.executable,
            str(Path(__file__).with_name("csms.py")),
            "0.0.0.0",
            str(port),
            station,
            password,
            *map(str, secure),
        )
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        )
        self._csms.append(Csms(process))
        return self._csms[-1]

    def start(self, *command: str | Path) -> None:
        """A program out here, for as long as this is open."""
        self._programs.append(subprocess.Popen(self._words(*map(str, command)), stdin=subprocess.DEVNULL, cwd=ROOT))

    def close(self) -> None:
        for csms in self._csms:
            csms.close()
        for program in self._programs:
            program.kill()
            program.wait()
        self._holder.kill()
        self._holder.communicate()
