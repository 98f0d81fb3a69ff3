"""Firmware updates. 1.6 §6.19 and whitepaper L01, 2.x L."""

from __future__ import annotations

from edged.domain.answers import FileStatus
from edged.domain.commands import UpdateFirmware
from edged.domain.events import JobDone, JobStaged
from edged.domain.transition import Draft


def order(draft: Draft, event: UpdateFirmware) -> None:
    draft.reply(event.request, FileStatus.REJECTED)


def refresh(draft: Draft) -> None:
    """Nothing yet."""


def staged(draft: Draft, event: JobStaged) -> None:
    """Nothing yet."""


def done(draft: Draft, event: JobDone) -> None:
    """Nothing yet."""
