"""The program's command line, run in the test's own process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edged.cli import main as cli

Edged = Callable[..., tuple[int, str, str]]
"""Takes words, gives the exit status, what was printed and what went to standard error."""


def command_line(capsys: pytest.CaptureFixture[str]) -> Edged:
    def run(*words: object) -> tuple[int, str, str]:
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run
