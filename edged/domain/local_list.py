"""The local authorization list. 1.6 §5.15, 2.x D."""

from __future__ import annotations

from edged.domain.answers import ListStatus
from edged.domain.commands import GetLocalListVersion, SendLocalList
from edged.domain.transition import Draft


def update(draft: Draft, event: SendLocalList) -> None:
    draft.reply(event.request, ListStatus.NOT_SUPPORTED)


def tell_version(draft: Draft, event: GetLocalListVersion) -> None:
    draft.reply(event.request, ListStatus.NOT_SUPPORTED)
