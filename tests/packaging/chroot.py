"""A Debian that is not running, as when an image is built: commands in a root of its own, without systemd as pid 1.

Needs root and the namespace of enter.sh. Its network is this computer's, but it knows no name servers unless asked to.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.packaging.machine import ENVIRONMENT, result


class Chroot:
    """`lowers`: roots, the topmost first; `folder`: an empty one for what is written."""

    def __init__(self, lowers: Sequence[Path], folder: Path) -> None:
        self.root = folder / "root"
        self.written = folder / "written"
        self._folder = folder
        for each in (self.root, self.written, folder / "work"):
            each.mkdir(parents=True)
        layers = ":".join(str(lower) for lower in lowers)
        options = f"lowerdir={layers},upperdir={self.written},workdir={folder / 'work'}"
        mounts = (
            ("-t", "overlay", "-o", options, "overlay", self.root),
            ("-t", "proc", "proc", self.root / "proc"),
            ("--rbind", "/dev", self.root / "dev"),
        )
        for words in mounts:
            subprocess.run(["mount", *words], check=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        subprocess.run(["umount", "--recursive", "--lazy", self.root], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self._folder / "work", ignore_errors=True)

    def run(
        self, *command: str | Path, check: bool = True, within_s: float = 120.0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """A command in it, as root, with `variables`. Raises `Dead` where it fails, unless `check` is False."""
        environment = [f"{name}={value}" for name, value in (ENVIRONMENT | variables).items()]
        words = ["chroot", str(self.root), "env", "-i", *environment, *map(str, command)]
        return result(words, command, check=check, within_s=within_s)

    def sh(self, script: str, *, check: bool = True, within_s: float = 120.0) -> str:
        """What a line of shell prints, without the last newline."""
        return self.run("sh", "-c", script, check=check, within_s=within_s).stdout.rstrip("\n")

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def install(self, deb: Path) -> str:
        """By apt, without network and without what is only recommended. What it said."""
        shutil.copy(deb, self.root / "edged.deb")
        done = self.run("apt-get", "install", "-y", "--no-install-recommends", "--allow-downgrades", "/edged.deb")
        return done.stdout + done.stderr

    def give_network(self) -> None:
        """The name servers of this computer, and its packages."""
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
