"""Certificates: the store of roots, the station's own chains, signing requests. Whitepaper A02, A03, M03-M05."""

from __future__ import annotations

from edged.domain.answers import CertificateStatus, TriggerStatus
from edged.domain.commands import (
    AcceptSignedChain,
    DeleteCertificate,
    GetInstalledCertificates,
    InstallCertificate,
    TriggerSigning,
)
from edged.domain.events import JobDone, QuestionAnswered
from edged.domain.transition import Draft


def install(draft: Draft, event: InstallCertificate) -> None:
    draft.reply(event.request, CertificateStatus.REJECTED)


def delete(draft: Draft, event: DeleteCertificate) -> None:
    draft.reply(event.request, CertificateStatus.NOT_FOUND)


def tell_installed(draft: Draft, event: GetInstalledCertificates) -> None:
    draft.reply(event.request, CertificateStatus.NOT_FOUND)


def accept_chain(draft: Draft, event: AcceptSignedChain) -> None:
    draft.reply(event.request, CertificateStatus.REJECTED)


def trigger(draft: Draft, event: TriggerSigning) -> None:
    draft.reply(event.request, TriggerStatus.REJECTED)


def refresh(draft: Draft) -> None:
    """Nothing yet."""


def answered(draft: Draft, event: QuestionAnswered) -> None:
    """Nothing yet."""


def done(draft: Draft, event: JobDone) -> None:
    """Nothing yet."""
