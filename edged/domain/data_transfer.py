"""DataTransfer in both directions, for the vendors that the site has registered. 1.6 §4.3/5.6, 2.x P."""

from __future__ import annotations

from edged.domain.answers import TransferStatus
from edged.domain.commands import ReceiveData, SendData
from edged.domain.events import QuestionAnswered
from edged.domain.transition import Draft


def receive(draft: Draft, event: ReceiveData) -> None:
    draft.reply(event.request, TransferStatus.UNKNOWN_VENDOR)


def send(draft: Draft, event: SendData) -> None:
    draft.reply(event.request, TransferStatus.REJECTED)


def refresh(draft: Draft) -> None:
    """Nothing yet."""


def answered(draft: Draft, event: QuestionAnswered) -> None:
    """Nothing yet."""
