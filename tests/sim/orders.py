"""Laws of what stands beside the core: orders and jobs, limits at the charger, security events, the way to the CSMS.

Judged from outside: by what the CSMS was told, what the hook and the crew have had to do, what a charger offers its car
and with which password the station knocks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edged.csms.endpoint import ConnectionSettings
from edged.domain.answers import (
    CertificateStatus,
    DisplayStatus,
    FileStatus,
    ListStatus,
    NetworkProfileStatus,
    ProfileStatus,
)
from edged.domain.charging import ProfilePurpose
from edged.domain.charging_commands import SetChargingProfile
from edged.domain.commands import (
    AcceptSignedChain,
    Command,
    GetLog,
    InstallCertificate,
    SendLocalList,
    SetConfiguration,
    SetDisplayMessage,
    SetNetworkProfile,
    UpdateFirmware,
)
from edged.domain.configuration import ConfigurationStatus
from edged.domain.credentials import Way
from edged.domain.effects import Effect, FirmwareRecord, LogRecord, Record, Reply, SecurityRecord
from edged.domain.events import Event, LinkProven, RecordGivenUp
from edged.domain.journal import Journal
from edged.domain.monitors import MonitorStatus, SetMonitors
from edged.domain.pending import PendingCertificate, PendingOrder, PendingSigning
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.domain.variables import SetVariables
from edged.store.port import JOURNAL_MAX
from tests.fakes.central import NOTICES, V201
from tests.fakes.door import OWN_PASSWORD, Key, key_of
from tests.fakes.profile_invariants import ampere, own_limit
from tests.fakes.world import IDENTITY

if TYPE_CHECKING:
    from tests.sim.laws import Laws

FOLLOW_S = 5.0
"""A poll, the driver's own time, and a second for the tick."""
OWED_S = 45.0


@dataclass
class Orders:
    """`dead`: ways that a proven one has replaced, until they are ordered anew. `roaming`: the CSMS has written other
    ways to go, and with them none is dead."""

    laws: Laws
    asked: dict[RequestRef, Command] = field(default_factory=dict)
    dead: set[Key] = field(default_factory=set)
    roaming: bool = False
    kept_within_s: dict[int, float] = field(default_factory=dict)
    looked: int = 0

    # --- steps

    def kept(self, before: Station, event: Event, after: Station, effects: tuple[Effect, ...]) -> None:
        if isinstance(event, Command):
            self.asked[event.request] = event
        for effect in effects:
            if isinstance(effect, Reply):
                asked = self.asked.pop(effect.request, None)
                if asked is not None:
                    what_is_accepted_is_there(asked, effect, after)
        if isinstance(event, RecordGivenUp) and isinstance(event.record, SecurityRecord):
            assert self.laws.world.central.deaf, f"a security event was given up: {event.reason}"
        self._follow_the_way(before, event, after)

    def _follow_the_way(self, before: Station, event: Event, after: Station) -> None:
        self.roaming = self.roaming or bool(after.network)
        if before.access is after.access:
            return
        if isinstance(event, SetConfiguration | SetVariables):
            self.dead -= {_key(after, way) for way in after.access.ways}
        if isinstance(event, LinkProven) and before.access.former is not None and after.access.former is None:
            self.dead |= {_key(after, way) for way in before.access.ways}
            self.dead.discard(_key(after, after.access.way))

    def died(self) -> None:
        self.asked.clear()

    def attempted(self, settings: ConnectionSettings) -> None:
        assert self.roaming or key_of(settings) not in self.dead, "a way that a proven one has replaced is used again"

    # --- seconds

    def second(self) -> None:
        world = self.laws.world
        assert not world.hook.sins, world.hook.sins
        if not world.alive():
            self.kept_within_s.clear()
            return
        energy_keeps_to_the_profiles(self)
        if world.seconds % 7 == 0:
            no_job_without_an_owner_and_no_owner_without_a_job(self)

    # --- the end

    def judge(self) -> None:
        laws = self.laws
        world, station = laws.world, laws.world.engine.station
        assert not world.crew.running, f"jobs go on: {world.crew.running}"
        timeless = not station.clock.synchronized  # then nothing is due by date
        update = station.firmware
        assert update is None or update.over or timeless, f"an update never ended: {update}"
        assert station.upload is None or station.upload.status.value != "Uploading", "an upload never ended"
        every_security_event_has_been_told(laws)
        notices_are_told_in_order(laws)
        for journal in Journal:
            assert len(world.store.journal_load(IDENTITY, journal, limit=10 * JOURNAL_MAX)) <= JOURNAL_MAX


def _key(station: Station, way: Way | None) -> Key:
    """What a way looks like from outside."""
    way = way or Way()
    own = station.rules.security_profile
    profile = own if way.security_profile is None else way.security_profile
    password = OWN_PASSWORD if way.password is None else way.password.value
    return profile, password.encode() if profile in (1, 2) else None


# --- one law, one function


def what_is_accepted_is_there(asked: Command, reply: Reply, after: Station) -> None:
    """In the very commit that the answer follows; that commits outlive the process is judged at every boot."""
    match asked:
        case SendLocalList() if reply.status is ListStatus.ACCEPTED:
            assert after.local_list_version == asked.version
            for change in asked.changes:
                entry = after.local_list.get(change.id_token.key)
                assert (None if entry is None else entry.info) == change.info, "the list differs from what was sent"
            assert not asked.full or len(after.local_list) == len(asked.changes)
        case SetChargingProfile() if reply.status is ProfileStatus.ACCEPTED:
            installed = after.charging_profiles.get(asked.profile.id)
            expired = asked.profile.valid_to is not None and asked.profile.valid_to <= after.clock.utc
            there = [n for n, c in after.connectors.items() if asked.connector == n or asked.evse == c.layout.evse_id]
            running = any(after.running(number) is not None for number in there)
            ended = asked.profile.purpose is ProfilePurpose.TX and not running  # in this very step, and it with it
            assert expired or ended or (installed is not None and installed.profile == asked.profile)
        case UpdateFirmware() if reply.status in (FileStatus.ACCEPTED, FileStatus.ACCEPTED_CANCELED):
            assert after.firmware is not None and after.firmware.order.location == asked.order.location
        case GetLog() if reply.status in (FileStatus.ACCEPTED, FileStatus.ACCEPTED_CANCELED):
            assert after.upload is not None and after.upload.order.location == asked.order.location
        case InstallCertificate() if reply.status is CertificateStatus.ACCEPTED:
            assert any(one.pem == asked.pem and one.use is asked.use for one in after.certificates.values())
        case AcceptSignedChain() if reply.status is CertificateStatus.ACCEPTED:
            assert any(one.chain == asked.chain for one in after.client_certificates.values())
        case SetConfiguration(key="AuthorizationKey") if reply.status is ConfigurationStatus.ACCEPTED:
            assert after.access.way.password is not None and after.access.way.password.value == asked.value
        case SetNetworkProfile() if reply.status is NetworkProfileStatus.ACCEPTED:
            assert after.network[asked.slot] == asked.profile
        case SetDisplayMessage() if reply.status is DisplayStatus.ACCEPTED:
            over = asked.message.ends_at is not None and asked.message.ends_at <= after.clock.utc
            assert over or after.display_messages[asked.message.id] == asked.message
        case SetMonitors() if reply.data is not None:
            numbers = [one.id for one in reply.data if one.status is MonitorStatus.ACCEPTED]
            assert all(number in after.monitors for number in numbers), "an accepted monitor is not there"
        case SetConfiguration(key="SecurityProfile") if reply.status is ConfigurationStatus.ACCEPTED:
            assert after.access.way.security_profile == int(asked.value)
        case _:
            pass


def energy_keeps_to_the_profiles(orders: Orders) -> None:
    """At the contactor: what a car is offered is never more than its profiles allow, for longer than the driver needs
    to follow; a charger that is out of reach keeps what it has, and a station that stands still tells nothing."""
    world = orders.laws.world
    station, now = world.engine.station, world.clock.now()
    for number, box in world.boxes.items():
        offered_a = box.offered_ma / 1000 if box.contactor else 0.0
        connector, running = station.connectors[number], station.running(number)
        started = now.utc if running is None else station.true_time(running.started)
        allowed_a = ampere(connector, own_limit(station, connector, now.utc, started))
        excused = box.unreachable or world.stalled or world.committing
        if excused or offered_a <= allowed_a + 0.001:
            orders.kept_within_s[number] = world.elapsed_s
        late_s = world.elapsed_s - orders.kept_within_s.setdefault(number, world.elapsed_s)
        assert late_s <= FOLLOW_S, f"{offered_a} A on {number} for {late_s:.0f} s, its profiles allow {allowed_a}"


def no_job_without_an_owner_and_no_owner_without_a_job(orders: Orders) -> None:
    """As far as the world can tell: what is being done is wanted, what is waited for is done or has just been."""
    world = orders.laws.world
    if world.engine.degraded or world.stalled or world.committing or len(world.engine.inbox):
        return
    station, crew = world.engine.station, world.crew
    owed = {one.ticket for one in (station.firmware, station.upload) if one is not None and one.ticket is not None}
    owed |= {
        ticket
        for ticket, pending in station.pending.items()
        if isinstance(pending, PendingCertificate | PendingOrder)
        or (isinstance(pending, PendingSigning) and pending.key_id is None)
    }
    assert crew.running.keys() <= owed, f"nobody wants these: {crew.running.keys() - owed}"
    for ticket in owed - crew.running.keys():
        told_at_s = crew.told_at_s.get(ticket)
        late = told_at_s is None or world.elapsed_s - told_at_s > OWED_S
        assert not late, "somebody waits for a job that nobody does"


def every_security_event_has_been_told(laws: Laws) -> None:
    """At least once each, unless the CSMS knows no such message."""
    central = laws.world.central
    if central.deaf:
        return
    owed = Counter((r.event_type, r.info) for r in laws.records.values() if isinstance(r, SecurityRecord))
    told = Counter((one["type"], one.get("techInfo", "")) for one in central.security)
    names = {"InvalidCsmsCertificate": "InvalidCentralSystemCertificate"}
    names["InvalidChargingStationCertificate"] = "InvalidChargePointCertificate"
    for (event_type, info), count in owed.items():
        there = sum(told[name, info] for name in {event_type, names.get(event_type, event_type)})
        assert there >= count, f"{event_type} {info!r} was told {there} times instead of {count}"


def notices_are_told_in_order(laws: Laws) -> None:
    """What the CSMS was told of updates and uploads is the list of records; one may come twice, where its answer was
    lost, and one that was given up may be missing."""
    central = laws.world.central
    if central.mixed:
        return
    told = central.notices
    position, last = 0, None
    for seq, record in sorted(laws.records.items()):
        wanted = _words(record, central.version)
        if wanted is None:
            continue
        while position < len(told) and told[position] == last and told[position] != wanted:
            position += 1
        if position < len(told) and told[position] == wanted:
            position, last = position + 1, wanted
        elif wanted != last:
            assert seq in laws.given_up, f"{wanted} is missing; there is {told[position : position + 2]}"
    while position < len(told) and told[position] == last:
        position += 1
    assert position == len(told), f"invented: {told[position]}"


def _words(record: Record, version: str) -> tuple[str, dict[str, Any]] | None:
    if not isinstance(record, FirmwareRecord | LogRecord):
        return None
    named = record.request_id is not None
    firmware = isinstance(record, FirmwareRecord)
    action = NOTICES[(0 if firmware else 2) + named]
    if version == V201:
        action = NOTICES[0 if firmware else 3]
    if named:
        return action, {"status": record.status.value, "requestId": record.request_id}
    status = record.status.value
    if not firmware and status not in ("Uploading", "Uploaded"):
        status = "UploadFailed"
    return action, {"status": status}


__all__ = ["Orders"]
