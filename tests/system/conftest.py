"""The log of the process, which these tests set up, as it was before."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from edged.system.journal import Journal
from edged.system.logs import OneLine


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """The process's log as it was."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "edged", "edged.wire")}
    yield
    for output in [each for each in root.handlers if isinstance(each.formatter, OneLine)]:
        root.removeHandler(output)
        if isinstance(output, Journal):
            output.close()
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)
