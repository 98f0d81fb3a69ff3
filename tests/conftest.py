"""What every test leaves as it found it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

OURS = ("", "edged", "edged.wire")


@pytest.fixture(autouse=True)
def _log_levels_and_outputs_are_put_back() -> Iterator[None]:
    """Commands that run in this process set up the log for the whole process: the next test must not see that."""
    loggers = [logging.getLogger(name or None) for name in OURS]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        for added in [handler for handler in logger.handlers if handler not in handlers]:
            if not type(added).__module__.startswith("_pytest"):
                logger.removeHandler(added)
