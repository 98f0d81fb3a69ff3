"""What must hold of orders, jobs, charging profiles, lists and credentials after every step.

`check_beside_the_core` judges a station alone, `Orders` what only the history of steps can tell. Written from the
specifications, not from the code: the tables are 1.6's whitepaper L01 and N01, and the limits are reckoned anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edged.domain.access import MAX_WAYS
from edged.domain.charging import ChargingProfile, InstalledProfile, ProfileKind, ProfilePurpose, RateUnit
from edged.domain.desired import desired
from edged.domain.effects import Abandon, Ask, Commission, Effect, Enqueue, FirmwareRecord, LogRecord
from edged.domain.events import Event, JobDone, LinkProven
from edged.domain.files import FirmwareStatus, FirmwareUpdate, UploadStatus
from edged.domain.hardware import Capability
from edged.domain.jobs import Failed, InstallFirmware, Job, VerifyFirmware
from edged.domain.pending import PendingCertificate, PendingData, PendingOrder, PendingSigning, PendingToken
from edged.domain.places import in_force
from edged.domain.signing import MAX_CHAINS, MAX_JUDGED, MAX_WAITING
from edged.domain.station import Connector, Station
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
    _check_profiles(station)
    _check_bounds(station)
    access = station.access
    assert access.former is not None or (access.swaps == 0 and not access.further), "a way changes places with nothing"
    update = station.firmware
    if update is not None:
        assert not (update.over and update.ticket is not None), "an update that is over has somebody at work"
    upload = station.upload
    assert upload is None or upload.ticket is None or upload.status is UploadStatus.UPLOADING


def _check_profiles(station: Station) -> None:
    slots = set()
    for number, one in station.charging_profiles.items():
        assert number == one.profile.id
        if one.transaction_id is not None:
            owner = station.transactions.get(one.transaction_id)
            assert owner is not None and owner.active, "a profile outlived its transaction"
            assert station.connectors[owner.connector].layout.evse_id == one.evse_id
        assert (one.transaction_id is not None) is (one.profile.purpose is ProfilePurpose.TX)
        slots.add((one.profile.purpose, one.profile.stack_level, one.evse_id, one.transaction_id))
    assert len(slots) == len(station.charging_profiles), "two profiles for one place"


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


# --- what may flow, reckoned anew


def check_limits(station: Station, now: Now) -> None:
    """No connector is given more than its profiles say, all together no more than the station's."""
    budget = _prevailing(station, _of(station, ProfilePurpose.STATION_MAX), None, now)
    flowing = {n: desired(station, n) for n in station.connectors if desired(station, n).permit_charging}
    total = 0.0
    for number, wanted in flowing.items():
        connector = station.connectors[number]
        if not (connector.can(Capability.LIMIT) or connector.can(Capability.WITHHOLD)):
            continue
        assert wanted.current_limit_ma is not None
        ampere = wanted.current_limit_ma / 1000
        assert ampere >= (connector.layout.min_current_ma / 1000), "less than the charger can go down to"
        own = own_limit_a(station, connector, now)
        assert own is None or ampere <= own + 0.001, f"{ampere} A on {number}, its profiles allow {own}"
        if budget is not None:
            watts = connector.layout.voltage_v * connector.layout.phases
            total += ampere * (1.0 if budget[1] is RateUnit.AMPERES else watts)
    assert budget is None or total <= budget[0] + 0.01, f"{total} of a budget of {budget[0]}"


def own_limit_a(station: Station, connector: Connector, now: Now) -> float | None:
    """What a connector's own profiles allow in amperes a phase; None: they say nothing."""
    running = station.running(connector.number)
    places = (
        [p for p in _of(station, ProfilePurpose.TX) if running is not None and p.transaction_id == running.id],
        [p for p in _of(station, ProfilePurpose.TX_DEFAULT) if p.evse_id == connector.layout.evse_id],
        [p for p in _of(station, ProfilePurpose.TX_DEFAULT) if p.evse_id == 0],
    )
    started = station.true_time(running.started) if running is not None else now.utc
    for profiles in places:
        found = _prevailing(station, profiles, started, now)
        if found is not None:
            limit, unit = found
            return limit if unit is RateUnit.AMPERES else limit / (connector.layout.voltage_v * connector.layout.phases)
    return None


def _of(station: Station, purpose: ProfilePurpose) -> list[InstalledProfile]:
    return [one for one in station.charging_profiles.values() if one.profile.purpose is purpose]


def _prevailing(
    station: Station, profiles: list[InstalledProfile], started: datetime | None, now: Now
) -> tuple[float, RateUnit] | None:
    at = now.utc.replace(microsecond=0)
    for one in sorted(profiles, key=lambda p: -p.profile.stack_level):
        limit = _says(one.profile, started, at)
        if limit is not None:
            return limit, one.profile.schedule.unit
    return None


def _says(profile: ChargingProfile, started: datetime | None, at: datetime) -> float | None:
    """The limit of one profile at a whole second."""
    schedule = profile.schedule
    if profile.valid_from is not None and at < profile.valid_from.replace(microsecond=0):
        return None
    if profile.valid_to is not None and at >= profile.valid_to.replace(microsecond=0):
        return None
    origin = (started if profile.kind is ProfileKind.RELATIVE else schedule.start) or at
    offset = at - origin.replace(microsecond=0)
    if offset < timedelta(0):
        if profile.kind is not ProfileKind.RELATIVE:
            return None
        offset = timedelta(0)
    if profile.recurrency is not None:
        offset %= timedelta(days=1 if profile.recurrency.value == "Daily" else 7)
    if schedule.duration_s is not None and offset >= timedelta(seconds=schedule.duration_s):
        return None
    return [p.limit for p in schedule.periods if timedelta(seconds=p.start_s) <= offset][-1]


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
        check_limits(after, now)
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


__all__ = ["NEXT", "NEXT_UNSIGNED", "Orders", "check_beside_the_core", "check_limits", "own_limit_a"]
