"""What scenes of firmware and logs share, whatever the version: a hook that installs, what a server gives and gets."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.conformance.stage import PATIENCE_S
from tests.fakes import pki

FIRMWARE = os.urandom(200_000)
LOOPBACK = {"files": {"allowed_hosts": ["127.0.0.1"]}}
FTP_PASSWORD = "ftp-s3cret"


def now(later_s: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=later_s)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Hook:
    """An install command: keeps what it was given, waits for `open`, ends as it is told."""

    def __init__(self, folder: Path, *, exit_status: int = 0, closed: bool = False) -> None:
        self.folder = folder
        self.runs, self.gate, self.given = folder / "runs", folder / "gate", folder / "given"
        self.path = folder / "install.sh"
        self.path.write_text(
            "#!/bin/sh\n"
            f'echo "$$ $PPID" >> {self.runs}\n'
            f'cp "$1" {self.given}\n'
            f"while [ ! -e {self.gate} ]; do sleep 0.05; done\n"
            f'echo "the last word"\nexit {exit_status}\n'
        )
        self.path.chmod(0o755)
        if not closed:
            self.open()

    def open(self) -> None:
        self.gate.touch()

    @property
    def settings(self) -> dict[str, Any]:
        return {**LOOPBACK, "firmware": {"install": str(self.path)}}

    @property
    def count(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0

    async def begun(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self.given.exists():
                await asyncio.sleep(0.02)

    def cut_off(self) -> None:
        """The power is gone, for the command and for whoever runs it."""
        for pid in self.runs.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def names_and_content(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as found:
        return {member.name: found.extractfile(member).read() for member in found}  # type: ignore[union-attr]


def maker() -> tuple[pki.Pair, pki.Pair]:
    """A manufacturer's root and its signer."""
    root = pki.issue(subject=pki.name(CN="Maker Root", O="Maker"), ca=True)
    return root, pki.issue(root, subject=pki.name(CN="Maker Signer", O="Maker"))
