"""How far a command has come: a bar on the terminal that is written over, and nothing where nobody watches."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from edged.cli import output

WIDTH = 20
NARROWEST = 30
ENOUGH_S = 3.0
"""Before that nobody can say how long it will take."""
_CLEAR_LINE = "\r\x1b[K"


def bar(done: int, total: int, text: str) -> str:
    """The share that is done, as a bar and in per cent, and what is done now."""
    share = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
    filled = int(share * WIDTH)
    return f"[{'#' * filled}{'.' * (WIDTH - filled)}] {100 * share:3.0f} % {output.clean(text)}"


def left(done: int, total: int, elapsed_s: float) -> str:
    """How long the rest will take at this pace, as words behind a comma; empty as long as that is a guess."""
    if done <= 0 or elapsed_s < ENOUGH_S or done >= total:
        return ""
    seconds = elapsed_s / done * (total - done)
    return f", {seconds:.0f} s left" if seconds < 90 else f", {seconds / 60:.0f} min left"


class ProgressBar:
    """A bar on standard error, shown only on a terminal. `clear` takes it away before anything else is written."""

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._shows = self._stream.isatty()
        self._now = now
        self._started_at = now()

    def show(self, done: int, total: int, text: str) -> None:
        if self._shows:
            line = bar(done, total, text + left(done, total, self._now() - self._started_at))
            room = max(NARROWEST, shutil.get_terminal_size().columns - 1)  # a line that wraps cannot be written over
            print(end=_CLEAR_LINE + line[:room], file=self._stream, flush=True)

    def clear(self) -> None:
        if self._shows:
            print(end=_CLEAR_LINE, file=self._stream, flush=True)
