"""Commands as a person types them."""

from __future__ import annotations

import pytest

from tests.fakes.command_line import Edged, command_line


@pytest.fixture
def edged(capsys: pytest.CaptureFixture[str]) -> Edged:
    return command_line(capsys)
