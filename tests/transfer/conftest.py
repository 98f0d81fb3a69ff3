"""What transfers are tried with: one that may go to this computer, and that does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edged.domain.jobs import Done, Failed, Fetched, Stage
from edged.transfer import FileTransfer, TransferRules

RULES = TransferRules(
    allowed=("127.0.0.0/8", "::1", "localhost"),
    max_bytes=4_000_000,
    keep_free_bytes=0,
    connect_timeout_s=5.0,
    stall_timeout_s=5.0,
    total_timeout_s=20.0,
)


@dataclass
class Bench:
    """One `FileTransfer` with everything that it may be given. `pauses`: what it would have slept."""

    folder: Path
    rules: TransferRules = RULES
    stages: list[Stage] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[], None] = lambda: None

    @property
    def target(self) -> Path:
        return self.folder / "fw.bin"

    @property
    def part(self) -> Path:
        return self.folder / "fw.bin.part"

    def limit(self, **rules: Any) -> None:
        self.rules = replace(self.rules, **rules)

    def resolve_to(self, *answers: Sequence[str]) -> list[str]:
        """Each resolution gets the next of the answers, the last one stays. Returns the names that were asked for."""
        asked: list[str] = []

        def resolve(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            return answers[min(len(asked), len(answers)) - 1]

        self.more["resolve"] = resolve
        return asked

    def transfer(self) -> FileTransfer:
        async def sleep(pause_s: float) -> None:
            self.pauses.append(pause_s)
            self.meanwhile()
            await asyncio.sleep(0)

        return FileTransfer(self.rules, sleep=sleep, **self.more)

    async def fetch(self, url: str, *, retries: int = 0, interval_s: int = 5) -> Fetched | Failed:
        return await self.transfer().fetch(
            url, self.target, retries=retries, retry_interval_s=interval_s, staged=self.stages.append
        )

    async def send(
        self, url: str, content: bytes = b"log", name: str = "log.tar.gz", *, retries: int = 0
    ) -> Done | Failed:
        source = self.folder / "outgoing"
        source.write_bytes(content)
        return await self.transfer().send(url, source, name, retries=retries, retry_interval_s=5)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    folder = tmp_path / "files"
    folder.mkdir()
    return Bench(folder)
