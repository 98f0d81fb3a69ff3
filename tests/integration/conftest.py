"""A folder with a daemon that certainly ends with the test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import Edged


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for a Unix socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="edged-") as name:
        yield Path(name)


@pytest.fixture
async def edged(folder: Path) -> AsyncIterator[Edged]:
    daemon = Edged(folder)
    yield daemon
    await daemon.close()
