"""The store of roots and what its CSMS may do with it. Whitepaper M03-M05; 2.x M. The station's own chains: `signing`.

Refuses to know: how a certificate is read and judged; that is a job.

Invariants: what is installed has been judged good · the last root by which the CSMS can be known is not taken away
while it is needed · an answer comes after what it says is kept · a power cut in between leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from edged.domain import access, signing
from edged.domain.answers import CertificateStatus, Reason
from edged.domain.commands import DeleteCertificate, GetInstalledCertificates, InstallCertificate
from edged.domain.credentials import CertificateHash, CertificateUse, InstalledCertificate, LinkFailure
from edged.domain.effects import Commission
from edged.domain.events import JobDone
from edged.domain.jobs import Cause, Failed, Outcome, ReadRoot, RootRead
from edged.domain.pending import PendingCertificate
from edged.domain.security_event import SecurityEvent, note
from edged.domain.signing import MAX_JUDGED, accept_chain, answered, refresh, trigger
from edged.domain.station import Station
from edged.domain.transition import Draft, drop, put

__all__ = [
    "accept_chain",
    "answered",
    "delete",
    "done",
    "give_up",
    "install",
    "link_up",
    "proven",
    "refresh",
    "tell_installed",
    "trigger",
    "trusted",
]

TLS_PROFILE = 2
"""From this security profile on the CSMS shows a certificate."""


def roots(station: Station, use: CertificateUse) -> tuple[InstalledCertificate, ...]:
    """What is installed for a use, in the order of installation."""
    return tuple(one for one in station.certificates.values() if one.use is use)


# --- what is there


def tell_installed(draft: Draft, event: GetInstalledCertificates) -> None:
    """GetInstalledCertificateIds (M03)."""
    wanted = tuple(CertificateUse) if event.uses is None else event.uses
    found = tuple(one for one in draft.station.certificates.values() if one.use in wanted)
    draft.reply(event.request, CertificateStatus.ACCEPTED if found else CertificateStatus.NOT_FOUND, data=found)


# --- installing


def install(draft: Draft, event: InstallCertificate) -> None:
    """InstallCertificate (M05): judged first. With AdditionalRootCertificateCheck a CSMS's root must be signed by the
    present one, where there is one (M05.FR.08-09)."""
    if event.use is None:
        reason = "this station has no use for a root of this kind"
        draft.reply(event.request, CertificateStatus.REJECTED, reason, reason=Reason.UNSUPPORTED_PARAM)
        return
    if signing.judged(draft.station) >= MAX_JUDGED:
        draft.reply(event.request, CertificateStatus.FAILED, "other certificates are being judged")
        return
    signed_by: tuple[str, ...] = ()
    if _checked(draft.station, event.use):
        present = roots(draft.station, event.use)
        signed_by = tuple(one.pem for one in present if not one.fallback)
    ticket = draft.ticket()
    until_s = draft.now.monotonic_s + signing.JUDGED_S
    draft.wait(PendingCertificate(ticket=ticket, request=event.request, pem=event.pem, use=event.use, until_s=until_s))
    draft.emit(Commission(ticket, ReadRoot(use=event.use, pem=event.pem, signed_by=signed_by)))


def _checked(station: Station, use: CertificateUse) -> bool:
    return use is CertificateUse.CSMS_ROOT and station.configuration.flag("AdditionalRootCertificateCheck")


def done(draft: Draft, event: JobDone) -> None:
    """A certificate was judged, or a key was made."""
    pending = draft.station.pending.get(event.ticket)
    if isinstance(pending, PendingCertificate) and pending.use is not None:
        draft.settle(event.ticket)
        _read(draft, pending, event.outcome)
    else:
        signing.done(draft, event)


def _read(draft: Draft, pending: PendingCertificate, outcome: Outcome) -> None:
    if isinstance(outcome, RootRead):
        _keep(draft, pending, outcome.certificate)
        return
    reason = outcome.reason if isinstance(outcome, Failed) else "the certificate could not be judged"
    invalid = isinstance(outcome, Failed) and outcome.cause is Cause.INVALID
    draft.announce("certificate.refused", None, use=pending.use, reason=reason)
    if invalid and pending.use is CertificateUse.CSMS_ROOT:
        note(draft, SecurityEvent.INVALID_CSMS_CERTIFICATE, reason)
    status, word = (CertificateStatus.FAILED, "")
    if invalid:
        status, word = CertificateStatus.REJECTED, Reason.INVALID_CERTIFICATE
    draft.reply(pending.request, status, reason, reason=word)


def _keep(draft: Draft, pending: PendingCertificate, root: InstalledCertificate) -> None:
    """The same once more replaces itself (M05.FR.17 of 2.x); a full store takes no other (M05.FR.03)."""
    installed = draft.station.certificates
    room = draft.station.configuration.number("CertificateStoreMaxLength")
    if root.key not in installed and len(installed) >= room:
        reason = f"{room} certificates are installed, which is all that there is room for"
        draft.announce("certificate.refused", None, use=root.use, reason=reason)
        draft.reply(pending.request, CertificateStatus.REJECTED, reason, reason=Reason.OUT_OF_MEMORY)
        return
    kept = dict(installed)
    if _checked(draft.station, root.use) and root.key not in installed:
        # the former one helps out until a line has come about with the new one (M05.FR.10-13)
        kept.update({one.key: replace(one, fallback=True) for one in roots(draft.station, root.use)})
    draft.update(certificates=put(kept, root.key, root))
    draft.announce("certificate.installed", None, use=root.use, subject=root.subject)
    draft.reply(pending.request, CertificateStatus.ACCEPTED)


def give_up(draft: Draft, reason: str) -> None:
    """Whoever waits for a judgement is answered; nothing of it is kept."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingCertificate):
            signing.leave(draft, pending, reason)


def trusted(station: Station) -> tuple[str, ...]:
    """By which roots (PEM) the CSMS is known at the next attempt: the former one helps out only where the CSMS's
    certificate was refused in this outage (M05.FR.11-12)."""
    failing = LinkFailure.CERTIFICATE in station.link.alarms
    return tuple(one.pem for one in roots(station, CertificateUse.CSMS_ROOT) if failing or not one.fallback)


def link_up(draft: Draft) -> None:
    """To be told before the alarms of the outage are forgotten: a line with TLS and without a refusal before it came
    about by the new root (M05.FR.13)."""
    secure = access.security_profile(draft.station) >= TLS_PROFILE
    if secure and LinkFailure.CERTIFICATE not in draft.station.link.alarms:
        proven(draft)


def proven(draft: Draft) -> None:
    """A line has come about with the newest of the CSMS's roots: those that were kept to fall back on may go."""
    kept = {key: one for key, one in draft.station.certificates.items() if not one.fallback}
    if len(kept) < len(draft.station.certificates):
        draft.update(certificates=kept)
        draft.announce("certificate.fallback_removed", None)


# --- deleting


def delete(draft: Draft, event: DeleteCertificate) -> None:
    """DeleteCertificate (M04). The station's own certificate is not in this store and stays (whitepaper M04.FR.05, 2.x
    M04.FR.06)."""
    found = [one for one in draft.station.certificates.values() if any(_same(event.hash, own) for own in one.hashes)]
    if _own(draft.station, event.hash):
        draft.reply(event.request, CertificateStatus.FAILED, "it is the station's own certificate")
        return
    if not found:
        draft.reply(event.request, CertificateStatus.NOT_FOUND)
        return
    if _needed(draft.station, found):
        draft.reply(event.request, CertificateStatus.FAILED, "it is the only root by which the CSMS is known")
        return
    for one in found:
        draft.update(certificates=drop(draft.station.certificates, one.key))
        draft.announce("certificate.deleted", None, use=one.use, subject=one.subject)
    _stand_by(draft)
    draft.reply(event.request, CertificateStatus.ACCEPTED)


def _stand_by(draft: Draft) -> None:
    """Where the root that was to take its place has gone, the former one is the present one again."""
    left = roots(draft.station, CertificateUse.CSMS_ROOT)
    if left and all(one.fallback for one in left):
        again = {one.key: replace(one, fallback=False) for one in left}
        draft.update(certificates={**draft.station.certificates, **again})


def _own(station: Station, named: CertificateHash) -> bool:
    """Whether it is one that the station shows, or could. An issuer gives no number twice: its key, which may not be
    known here, is left aside."""
    kept = (one for certificate in station.client_certificates.values() for one in certificate.hashes)
    wanted = replace(named, issuer_key_hash="")
    return any(_same(wanted, replace(one, issuer_key_hash="")) for one in (*kept, *station.rules.client_hashes))


def _same(one: CertificateHash, other: CertificateHash) -> bool:
    """Hexadecimal is written in capitals or not, with leading zeros or without."""
    return _plain(one) == _plain(other)


def _plain(named: CertificateHash) -> tuple[str, ...]:
    return (
        named.algorithm.casefold(),
        named.issuer_name_hash.casefold(),
        named.issuer_key_hash.casefold(),
        named.serial_number.casefold().lstrip("0"),
    )


def _needed(station: Station, leaving: Collection[InstalledCertificate]) -> bool:
    """Whether the present connection rests on them (M04.FR.06): the CSMS shows a certificate, and no other root,
    neither installed nor the site's own, could know it."""
    present = roots(station, CertificateUse.CSMS_ROOT)
    if station.rules.has_root or access.security_profile(station) < TLS_PROFILE:
        return False
    return bool(present) and all(one in leaving for one in present)
