"""Scenes for scenarios: opened by a test, closed and judged after it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edged import gateway
from edged.csms.backoff import BackOffPolicy
from edged.simulator.csms import Csms
from tests.conformance.doors import HOST, Pki
from tests.conformance.scene import OpenScene, Scene
from tests.conformance.scene201 import OpenScene201, Scene201
from tests.conformance.stage import SOCKET, Box
from tests.fakes.file_servers import WebServer
from tests.fakes.pki import Authority

Script = Callable[[Csms], None]


@asynccontextmanager
async def _stages(kind: type[Scene] | type[Scene201], folder: Path) -> AsyncIterator[Callable[..., Any]]:
    scenes: list[Scene | Scene201] = []

    async def opener(*boxes: Box, wait: bool = True, script: Script | None = None, **options: Any) -> Scene | Scene201:
        scene = kind(folder, boxes or (SOCKET,), **options)
        scenes.append(scene)
        return await scene.open(wait=wait, script=script)

    yield opener
    for scene in scenes:
        await scene.close()
        assert scene.violations() == []


@pytest.fixture
def quick_reconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The station knocks again after a second."""
    quick = BackOffPolicy(minimum_s=1.0, random_s=0.0, repeat_times=0)
    monkeypatch.setattr(gateway, "back_off_policy", lambda station: quick)


@pytest.fixture
async def open_scene(tmp_path: Path, quick_reconnects: None) -> AsyncIterator[OpenScene]:
    """Opens the scene of a test: its boxes, and `Scene`'s options. No scenario may break a rule of the wire."""
    async with _stages(Scene, tmp_path) as opener:
        yield opener


@pytest.fixture
async def open_scene201(tmp_path: Path, quick_reconnects: None) -> AsyncIterator[OpenScene201]:
    """The same for a station of 2.0.1."""
    async with _stages(Scene201, tmp_path) as opener:
        yield opener


@pytest.fixture
def web() -> Iterator[Callable[..., WebServer]]:
    """Opens a web server that gives these answers, in turn."""
    with contextlib.ExitStack() as stack:
        yield lambda *answers: stack.enter_context(WebServer(*answers))


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    folder = tmp_path / "pki"
    folder.mkdir()
    return Pki(folder, Authority.new("CSMS Root"), Authority.new("Station Root"))


@pytest.fixture
def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])
