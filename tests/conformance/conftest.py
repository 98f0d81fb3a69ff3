"""Scenes for scenarios: opened by a test, closed and judged after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edged import gateway
from edged.csms.backoff import BackOffPolicy
from edged.simulator.csms import Csms
from tests.conformance.scene import SOCKET, Box, OpenScene, Scene

Script = Callable[[Csms], None]


@pytest.fixture
async def open_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenScene]:
    """Opens the scene of a test: its boxes, and `Scene`'s options. No scenario may break a rule of the wire."""
    monkeypatch.setattr(gateway, "BACK_OFF", BackOffPolicy(minimum_s=1.0, random_s=0.0, repeat_times=0))
    scenes: list[Scene] = []

    async def opener(*boxes: Box, wait: bool = True, script: Script | None = None, **options: Any) -> Scene:
        scene = Scene(tmp_path, boxes or (SOCKET,), **options)
        scenes.append(scene)
        return await scene.open(wait=wait, script=script)

    yield opener
    for scene in scenes:
        await scene.close()
        assert scene.violations() == []
