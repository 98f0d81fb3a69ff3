"""What must hold of orders, jobs, lists and credentials after every step.

`check_beside_the_core` judges a station alone, `Orders` what only the history of steps can tell. Written from the
specifications, not from the code: the table is 1.6's whitepaper L01.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.domain.access import MAX_WAYS
from edged.domain.effects import Abandon, Ask, Commission, Effect, Enqueue, FirmwareRecord, LogRecord
from edged.domain.events import Event, JobDone, LinkProven
from edged.domain.files import FirmwareStatus, FirmwareUpdate, UploadStatus
from edged.domain.jobs import Failed, InstallFirmware, Job, VerifyFirmware
from edged.domain.pending import PendingCertificate, PendingData, PendingOrder, PendingSigning, PendingToken
from edged.domain.places import in_force
from edged.domain.signing import MAX_CHAINS, MAX_JUDGED, MAX_WAITING
from edged.domain.station import Station
from edged.domain.transition import Transition
from edged.domain.types import Now

F = FirmwareStatus
BEGIN = F.IDLE
_INSTALLED = frozenset({F.INSTALLED, F.INSTALLATION_FAILED, F.INSTALL_VERIFICATION_FAILED})
_INSTALL = frozenset({F.INSTALL_SCHEDULED, F.INSTALLING, F.INSTALLATION_FAILED})
_FETCHED = frozenset({F.DOWNLOADED, F.DOWNLOAD_FAILED})
NEXT: dict[FirmwareStatus, frozenset[FirmwareStatus]] = {
    BEGIN: frozenset({F.DOWNLOAD_SCHEDULED, F.DOWNLOADING}),
    F.DOWNLOAD_SCHEDULED: frozenset({F.DOWNLOADING}),
    F.DOWNLOADING: frozenset({F.DOWNLOAD_PAUSED}) | _FETCHED,
    F.DOWNLOAD_PAUSED: frozenset({F.DOWNLOADING}) | _FETCHED,
    F.DOWNLOADED: frozenset({F.SIGNATURE_VERIFIED, F.INVALID_SIGNATURE, F.INSTALLATION_FAILED}),
    F.SIGNATURE_VERIFIED: _INSTALL,
    F.INSTALL_SCHEDULED: frozenset({F.INSTALLING, F.INSTALLATION_FAILED}),
    F.INSTALLING: frozenset({F.INSTALL_REBOOTING}) | _INSTALLED,
    F.INSTALL_REBOOTING: _INSTALLED,
}
"""Of a signed update; an unsigned one goes from Downloaded where a signed one goes from SignatureVerified."""
NEXT_UNSIGNED = {**NEXT, F.DOWNLOADED: _INSTALL}
ENDS = _INSTALLED | {F.DOWNLOAD_FAILED, F.INVALID_SIGNATURE}
MAX_PENDING = 48


# --- a station alone


def check_beside_the_core(station: Station) -> None:
    """Facts that must agree with each other, and bounds."""
    _check_bounds(station)
    access = station.access
    assert access.former is not None or (access.swaps == 0 and not access.further), "a way changes places with nothing"
    update = station.firmware
    if update is not None:
        assert not (update.over and update.ticket is not None), "an update that is over has somebody at work"
    upload = station.upload
    assert upload is None or upload.ticket is None or upload.status is UploadStatus.UPLOADING


def _check_bounds(station: Station) -> None:
    configuration, kinds = station.configuration, [type(p) for p in station.pending.values()]
    assert len(station.local_list) <= configuration.number("LocalAuthListMaxLength")
    most = configuration.number("MaxChargingProfilesInstalled") + len(station.connectors)
    assert len(station.charging_profiles) <= most
    assert len(station.certificates) <= configuration.number("CertificateStoreMaxLength")
    assert len(station.client_certificates) <= MAX_WAITING + MAX_CHAINS + MAX_WAYS
    assert len(station.security_tally) <= 65
    assert len(station.pending) <= MAX_PENDING
    assert kinds.count(PendingCertificate) <= MAX_JUDGED
    assert kinds.count(PendingData) <= 4
    assert kinds.count(PendingOrder) <= 1
    assert kinds.count(PendingSigning) <= 1
    assert kinds.count(PendingToken) <= len(station.connectors)


# --- the history


@dataclass
class Orders:
    """Sees every step; `jobs` are under way in this run, by ticket."""

    jobs: dict[str, Job] = field(default_factory=dict)
    tickets: set[str] = field(default_factory=set)
    told: dict[str, FirmwareStatus] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    uploading: tuple[str, int | None] | None = None
    last_word: LogRecord | None = None

    def restarted(self) -> None:
        self.jobs.clear()

    def saw(self, before: Station, event: Event, transition: Transition, now: Now) -> None:
        after = transition.station
        check_beside_the_core(after)
        if isinstance(event, JobDone):
            job = self.jobs.pop(event.ticket, None)
            if isinstance(job, VerifyFirmware) and not isinstance(event.outcome, Failed):
                self.verified.add(job.order.key)
        for effect in transition.effects:
            self._effect(effect, after)
        assert set(self.jobs) == _owners(after), "a job without an owner, or somebody waits for a job that nobody does"
        self._judge_orders(before, transition)
        if isinstance(event, LinkProven) and event.access == before.access.number:
            assert after.access.former is None, "what has been proven has still another way beside it"

    def _effect(self, effect: Effect, after: Station) -> None:
        match effect:
            case Commission(ticket=ticket, job=job):
                assert ticket not in self.tickets, "a ticket was given twice"
                self.tickets.add(ticket)
                self.jobs[ticket] = job
                if isinstance(job, InstallFirmware) and not job.resume:
                    self._given_to_the_hook(after)
            case Abandon(ticket=ticket):
                self.jobs.pop(ticket, None)
            case Ask(ticket=ticket):
                assert ticket not in self.tickets, "a ticket was given twice"
                self.tickets.add(ticket)
            case Enqueue(record=FirmwareRecord()):
                self._firmware_told(effect.record, after.firmware)
            case Enqueue(record=LogRecord()):
                self._log_told(effect.record)
            case _:
                pass

    def _given_to_the_hook(self, after: Station) -> None:
        update = after.firmware
        assert update is not None and update.order.key not in self.given, "a file was installed twice"
        self.given.add(update.order.key)
        assert not update.order.signed or update.order.key in self.verified, "installed unverified"
        assert not any(t.active for t in after.transactions.values()), "installed while somebody charges"
        assert not any(c.authorization for c in after.connectors.values()), "installed while somebody was let in"
        assert not in_force(after), "installed while somebody holds a reservation"

    def _firmware_told(self, record: FirmwareRecord, update: FirmwareUpdate | None) -> None:
        assert update is not None and record.request_id == update.order.request_id
        key, table = update.order.key, NEXT if update.order.signed else NEXT_UNSIGNED
        last = self.told.get(key, BEGIN)
        nameless = record.request_id is None
        allowed = _skipping(table, last) if nameless else table.get(last, frozenset())
        assert record.status in allowed, f"{record.status} after {last}"
        self.told[key] = record.status

    def _log_told(self, record: LogRecord) -> None:
        if record.status is not UploadStatus.UPLOADING:
            last = self.last_word
            assert last is not None and last.status is UploadStatus.UPLOADING, f"{record.status} of no upload"
            assert (last.kind, last.request_id) == (record.kind, record.request_id), "the end of another upload"
        self.last_word = record

    def _judge_orders(self, before: Station, transition: Transition) -> None:
        """An update that goes has been told an end, or another one was ordered in its place."""
        old, new = before.firmware, transition.station.firmware
        if old is not None:
            assert new is not None, "an update was forgotten"
            assert not old.over or new.order.key != old.order.key or new.over, "an update that was over goes on"
        if new is not None and new.over:
            assert self.told.get(new.order.key) in ENDS, "an order ended and nobody was told"


def _skipping(
    table: dict[FirmwareStatus, frozenset[FirmwareStatus]], last: FirmwareStatus
) -> frozenset[FirmwareStatus]:
    """Without a name some words cannot be said: whatever may follow them may follow at once."""
    silent = {
        F.DOWNLOAD_SCHEDULED,
        F.DOWNLOAD_PAUSED,
        F.SIGNATURE_VERIFIED,
        F.INSTALL_SCHEDULED,
        F.INSTALL_REBOOTING,
    }
    found, look = set[FirmwareStatus](), [last]
    while look:
        for status in table.get(look.pop(), frozenset()) - found:
            found.add(status)
            if status in silent:
                look.append(status)
    return frozenset(found)


def _owners(station: Station) -> set[str]:
    """The tickets of those who wait for a job."""
    waiting = {
        ticket
        for ticket, pending in station.pending.items()
        if isinstance(pending, PendingCertificate | PendingOrder)
        or (isinstance(pending, PendingSigning) and pending.key_id is None)
    }
    for one in (station.firmware, station.upload):
        if one is not None and one.ticket is not None:
            waiting.add(one.ticket)
    return waiting


__all__ = ["NEXT", "NEXT_UNSIGNED", "Orders", "check_beside_the_core"]
