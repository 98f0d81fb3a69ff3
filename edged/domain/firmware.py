"""Firmware updates: the signer judged, the file fetched and verified, and given to the site's hook when nobody charges.
1.6 §6.19 and whitepaper L01, 2.x L.

Refuses to know: how a file comes here, what a signature is, what the hook does; those are jobs.

Invariants: a status is told in the commit that makes it true, in order, never twice in a row · what is installed is the
file of the order in force, verified where it is signed · an update goes on after a restart where it was, but the hook
is never given a file a second time · nothing is installed while somebody charges, was let in or holds a reservation.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from edged.domain import availability, security_event
from edged.domain.answers import FileStatus, Reason
from edged.domain.commands import UpdateFirmware
from edged.domain.credentials import CertificateUse
from edged.domain.effects import Abandon, Commission, FirmwareRecord
from edged.domain.events import JobDone, JobStaged
from edged.domain.files import FirmwareOrder, FirmwareStatus, FirmwareUpdate
from edged.domain.jobs import (
    Cause,
    CheckSigner,
    Failed,
    Fetched,
    FetchFirmware,
    InstallFirmware,
    Job,
    Outcome,
    Stage,
    VerifyFirmware,
)
from edged.domain.location import usable
from edged.domain.pending import PendingOrder, PendingToken
from edged.domain.places import in_force
from edged.domain.security_event import SecurityEvent
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.types import RequestRef

IN_PROGRESS: Final = "firmware installation in progress"
AT_ONCE: Final = timedelta(seconds=5)
"""What is due sooner is not worth the word that it is scheduled: clocks differ by as much."""
JUDGED_S: Final = 25.0
"""How long a signer may be judged: the CSMS is answered while it still waits."""
BOOT_REASON: Final = "FirmwareUpdate"
NO_HOOK: Final = "the site has no firmware.install"


def installing(station: Station) -> bool:
    """Whether the hook is at work: a restart now could leave the computer half installed."""
    return station.firmware is not None and station.firmware.installing


# --- orders


def order(draft: Draft, event: UpdateFirmware) -> None:
    """An unsigned update is taken at once, unless the station could do better (L01.FR.20); a signed one after its
    signer was judged (L01.FR.23-25)."""
    wanted = event.order
    roots = _roots(draft.station)
    if roots and not wanted.signed:
        detail = "a manufacturer's root is installed: updates must be signed"
        draft.reply(event.request, FileStatus.SIGNED_ONLY, detail, reason=Reason.MISSING_PARAM)
    elif installing(draft.station):
        _reject(draft, event.request, IN_PROGRESS, Reason.FIRMWARE_UPDATE_IN_PROGRESS)
    elif not wanted.signed:
        _take(draft, event.request, wanted)
    elif not usable(draft.station, wanted.location):
        _reject(draft, event.request, "the location is no address of a file", Reason.INVALID_URL)
    elif not roots:
        _distrust(draft, event.request, Failed("no manufacturer's root is installed", Cause.INVALID))
    else:
        give_up(draft, "a newer order took its place")
        ticket = draft.ticket()
        until_s = draft.now.monotonic_s + JUDGED_S
        draft.wait(PendingOrder(ticket=ticket, request=event.request, order=wanted, until_s=until_s))
        draft.emit(Commission(ticket, CheckSigner(wanted.signing_certificate, roots)))


def _roots(station: Station) -> tuple[str, ...]:
    return tuple(one.pem for one in station.certificates.values() if one.use is CertificateUse.MANUFACTURER_ROOT)


def _reject(draft: Draft, request: RequestRef, reason: str, word: str) -> None:
    draft.reply(request, FileStatus.REJECTED, reason, reason=word)
    draft.announce("firmware.rejected", None, reason=reason)


def _judged(draft: Draft, pending: PendingOrder, outcome: Outcome) -> None:
    """The signing certificate was looked at. Meanwhile an unsigned update may have come as far as the hook."""
    draft.settle(pending.ticket)
    if isinstance(outcome, Failed):
        _distrust(draft, pending.request, outcome)
    elif installing(draft.station):
        _reject(draft, pending.request, IN_PROGRESS, Reason.FIRMWARE_UPDATE_IN_PROGRESS)
    else:
        _take(draft, pending.request, pending.order)


def _distrust(draft: Draft, request: RequestRef, failed: Failed) -> None:
    """Not a certificate's fault: Rejected. Otherwise the security log has it (L01.FR.02)."""
    status = {Cause.INVALID: FileStatus.INVALID_CERTIFICATE, Cause.REVOKED: FileStatus.REVOKED_CERTIFICATE}
    draft.reply(request, status.get(failed.cause, FileStatus.REJECTED), failed.reason)
    draft.announce("firmware.rejected", None, reason=failed.reason)
    if failed.cause in status:
        security_event.note(draft, SecurityEvent.INVALID_SIGNING_CERTIFICATE, failed.reason)


def _take(draft: Draft, request: RequestRef, wanted: FirmwareOrder) -> None:
    """The newest order is the one that counts (L01.FR.26)."""
    current = draft.station.firmware
    running = current is not None and not current.over
    if current is not None and current.ticket is not None:
        draft.emit(Abandon(current.ticket))
    draft.update(firmware=FirmwareUpdate(order=replace(wanted, key=draft.new_id())))
    draft.reply(request, FileStatus.ACCEPTED_CANCELED if running else FileStatus.ACCEPTED)
    draft.announce("firmware.ordered", None, signed=wanted.signed, request_id=wanted.request_id, instead=running)


def give_up(draft: Draft, reason: str, *, by_s: float = float("inf")) -> None:
    """Whoever waits for the judgement of a signer, at most until `by_s`, is answered."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingOrder) and pending.until_s <= by_s:
            draft.settle(pending.ticket)
            draft.emit(Abandon(pending.ticket))
            draft.reply(pending.request, FileStatus.REJECTED, reason)


# --- from one stage to the next


def refresh(draft: Draft) -> None:
    """Commission what the update needs next, where it is due and nobody is at it in this run."""
    give_up(draft, "the signing certificate could not be judged in time", by_s=draft.now.monotonic_s)
    update = draft.station.firmware
    if update is not None and update.ticket is None and not update.over and draft.station.reset is None:
        _go_on(draft, update)
    availability.withdraw(draft)


def _go_on(draft: Draft, update: FirmwareUpdate) -> None:
    match update.status:
        case FirmwareStatus.IDLE | FirmwareStatus.DOWNLOAD_SCHEDULED:
            _fetch_when_due(draft, update)
        case FirmwareStatus.DOWNLOADING | FirmwareStatus.DOWNLOAD_PAUSED:
            _begin(draft, FirmwareStatus.DOWNLOADING, FetchFirmware(update.order))
        case FirmwareStatus.DOWNLOADED if update.order.signed:
            _begin(draft, update.status, VerifyFirmware(update.order, update.file))
        case FirmwareStatus.INSTALLING | FirmwareStatus.INSTALL_REBOOTING:
            draft.update(next_boot_reason=BOOT_REASON)
            _begin(draft, update.status, InstallFirmware(update.file, resume=True))
        case _:
            _install_when_possible(draft, update)


def _fetch_when_due(draft: Draft, update: FirmwareUpdate) -> None:
    due_in = update.order.retrieve_at - draft.now.utc
    if due_in <= timedelta(0):
        _begin(draft, FirmwareStatus.DOWNLOADING, FetchFirmware(update.order))
    elif due_in > AT_ONCE and update.status is FirmwareStatus.IDLE:
        _advance(draft, FirmwareStatus.DOWNLOAD_SCHEDULED)


def _install_when_possible(draft: Draft, update: FirmwareUpdate) -> None:
    """At its time, and once nobody charges; until then nobody else begins to (L01.FR.06, 07)."""
    if not draft.station.rules.installs_firmware:
        _end(draft, FirmwareStatus.INSTALLATION_FAILED, NO_HOOK)
        return
    at = update.order.install_at
    due_in = timedelta(0) if at is None else at - draft.now.utc
    if due_in > timedelta(0):
        if due_in > AT_ONCE and update.status is not FirmwareStatus.INSTALL_SCHEDULED:
            _advance(draft, FirmwareStatus.INSTALL_SCHEDULED)
        return
    if _occupied(draft.station):
        if not update.waiting:
            draft.update(firmware=replace(update, waiting=True))
            draft.announce("firmware.waiting")
        return
    draft.update(next_boot_reason=BOOT_REASON)
    _begin(draft, FirmwareStatus.INSTALLING, InstallFirmware(update.file), waiting=True)


def _occupied(station: Station) -> bool:
    """Somebody charges, was let in, is being judged, or holds a reservation."""
    return (
        any(transaction.active for transaction in station.transactions.values())
        or any(connector.authorization is not None for connector in station.connectors.values())
        or any(isinstance(pending, PendingToken) for pending in station.pending.values())
        or bool(in_force(station))
    )


def _begin(draft: Draft, status: FirmwareStatus, job: Job, **changes: Any) -> None:
    ticket = draft.ticket()
    _advance(draft, status, ticket=ticket, **changes)
    draft.emit(Commission(ticket, job))


def _advance(draft: Draft, status: FirmwareStatus, **changes: Any) -> None:
    """The update is as far as `status`; the CSMS is told where its version has a word for it."""
    before = draft.station.firmware
    assert before is not None
    word = _word(draft.station, before.order, status)
    told = before.told if word is None else word
    draft.update(firmware=replace(before, status=status, told=told, **changes))
    if told is not before.told:
        draft.enqueue(FirmwareRecord(told, before.order.request_id))
    if status is not before.status:
        draft.announce("firmware.status", None, status=status.value, request_id=before.order.request_id)


def _word(station: Station, order: FirmwareOrder, status: FirmwareStatus) -> FirmwareStatus | None:
    """None: this version says nothing about it. An end is always told, by another word if need be."""
    if order.request_id is not None or status in station.policy.nameless_firmware_statuses:
        return status
    return FirmwareStatus.INSTALLATION_FAILED if status is FirmwareStatus.INSTALL_VERIFICATION_FAILED else None


def _end(draft: Draft, status: FirmwareStatus, reason: str = "") -> None:
    """There is nothing more to come; a boot from now on has other reasons."""
    _advance(draft, status, ticket=None, file="", waiting=False, reason=reason)
    if draft.station.next_boot_reason == BOOT_REASON:
        draft.update(next_boot_reason=None)
    if reason:
        draft.announce("firmware.failed", None, status=status.value, reason=reason)


# --- what the jobs say


def staged(draft: Draft, event: JobStaged) -> None:
    """A job goes on, and the CSMS may want to know how."""
    update = draft.station.firmware
    if update is None or update.ticket != event.ticket:
        return
    match event.stage, update.status:
        case Stage.PAUSED, FirmwareStatus.DOWNLOADING:
            _advance(draft, FirmwareStatus.DOWNLOAD_PAUSED)
        case Stage.RESUMED, FirmwareStatus.DOWNLOAD_PAUSED:
            _advance(draft, FirmwareStatus.DOWNLOADING)
        case Stage.REBOOTING, FirmwareStatus.INSTALLING:
            _advance(draft, FirmwareStatus.INSTALL_REBOOTING)
        case _:
            pass


def done(draft: Draft, event: JobDone) -> None:
    """A job ended that was for a signer or for the update in force; of others nobody wants to know."""
    pending = draft.station.pending.get(event.ticket)
    update = draft.station.firmware
    if isinstance(pending, PendingOrder):
        _judged(draft, pending, event.outcome)
    elif update is not None and update.ticket == event.ticket:
        if update.installing:
            _installed(draft, event.outcome)
        elif update.status is FirmwareStatus.DOWNLOADED:
            _verified(draft, event.outcome)
        else:
            _fetched(draft, event.outcome)


def _fetched(draft: Draft, outcome: Outcome) -> None:
    if isinstance(outcome, Fetched):
        _advance(draft, FirmwareStatus.DOWNLOADED, ticket=None, file=outcome.file)
    else:
        _end(draft, FirmwareStatus.DOWNLOAD_FAILED, _reason(outcome))


def _verified(draft: Draft, outcome: Outcome) -> None:
    """What could not be looked at was not found to be wrong: then the installation has failed, not the signature."""
    if not isinstance(outcome, Failed):
        _advance(draft, FirmwareStatus.SIGNATURE_VERIFIED, ticket=None)
    elif outcome.cause in (Cause.OTHER, Cause.UNSUPPORTED):
        _end(draft, FirmwareStatus.INSTALLATION_FAILED, outcome.reason)
    else:
        _end(draft, FirmwareStatus.INVALID_SIGNATURE, outcome.reason)
        security_event.note(draft, SecurityEvent.INVALID_FIRMWARE_SIGNATURE, outcome.reason)


def _installed(draft: Draft, outcome: Outcome) -> None:
    if not isinstance(outcome, Failed):
        _end(draft, FirmwareStatus.INSTALLED)
        security_event.note(draft, SecurityEvent.FIRMWARE_UPDATED)
    elif outcome.cause is Cause.VERIFICATION:
        _end(draft, FirmwareStatus.INSTALL_VERIFICATION_FAILED, outcome.reason)
    else:
        _end(draft, FirmwareStatus.INSTALLATION_FAILED, outcome.reason)


def _reason(outcome: Outcome) -> str:
    return outcome.reason if isinstance(outcome, Failed) else "the download gave no file"


# --- what the CSMS asks


def shown(station: Station) -> tuple[FirmwareStatus, int | None]:
    """What a triggered notification says, with the request id that belongs to it: Idle after Installed, otherwise the
    last that was told (L01.FR.28, 29). An update without a name is forgotten with its end (1.6 §4.5)."""
    update = station.firmware
    nameless_and_over = update is not None and update.over and update.order.request_id is None
    if update is None or nameless_and_over or update.told in (FirmwareStatus.IDLE, FirmwareStatus.INSTALLED):
        return FirmwareStatus.IDLE, None
    return update.told, update.order.request_id
