"""Uploads of diagnostics and of the security log. 1.6 §5.9 and whitepaper N01, 2.x N01."""

from __future__ import annotations

from edged.domain.answers import FileStatus
from edged.domain.commands import GetLog
from edged.domain.events import JobDone
from edged.domain.transition import Draft


def order(draft: Draft, event: GetLog) -> None:
    draft.reply(event.request, FileStatus.REJECTED)


def refresh(draft: Draft) -> None:
    """Nothing yet."""


def done(draft: Draft, event: JobDone) -> None:
    """Nothing yet."""
