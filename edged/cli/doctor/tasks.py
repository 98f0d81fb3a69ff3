"""Work beside the one who waits for it, given up in time. What hangs for good is left to the end of the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)
TOO_LATE: Final = "it did not come to its end in time"


class Task(Generic[T]):
    """Begins at once. `problem`: why there is no result, "" where there is one or it is not over."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self.name = name
        self.problem = ""
        self._work = work
        self._result: T | None = None
        self._over = threading.Event()
        threading.Thread(target=self._do, name=f"doctor-{name}", daemon=True).start()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def wait(self, seconds: float) -> T | None:
        """The result; None where there is none by then."""
        if not self._over.wait(max(0.0, seconds)):
            self.problem = TOO_LATE
            return None
        return self._result

    def _do(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # one part must not keep the others from being told
            log.debug("%s: this is a bug", self.name, exc_info=True)
            self.problem = f"a bug in edged, {type(error).__name__}: please report it"
        finally:
            self._over.set()
