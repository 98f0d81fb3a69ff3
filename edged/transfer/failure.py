"""Why one attempt of a transfer ended, as the shells of this room tell each other."""

from __future__ import annotations

from edged.domain.jobs import Cause, Failed
from edged.ports import EdgedError


class TransferError(EdgedError):
    """One attempt failed. `reason` is a sentence without secrets and without the server's own words, which might repeat
    them. `again`: another attempt may do better. `retry_after_s`: the server asked for this pause."""

    def __init__(
        self, reason: str, *, cause: Cause = Cause.OTHER, again: bool = True, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause
        self.again = again
        self.retry_after_s = retry_after_s

    @property
    def failed(self) -> Failed:
        return Failed(self.reason, self.cause)


class Restart(EdgedError):
    """What lies on the disk cannot be gone on with: this attempt begins again with an empty file."""
