"""The station: every fact that the core keeps, immutable. Rules live in the functional blocks.

What is marked *kept* is stored (store.records) and survives a power cut; everything else is true for this boot only.
Deadlines are monotonic seconds of this boot (`_at_s`), never wall clock, and never stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edged.domain.charging import ChargingProfile, InstalledProfile, LimitsBasis
from edged.domain.commands import Target
from edged.domain.configuration import Configuration
from edged.domain.credentials import (
    Access,
    ClientCertificate,
    InstalledCertificate,
    LinkFailure,
    NetworkProfile,
)
from edged.domain.displays import Bill, DisplayMessage
from edged.domain.doubt import Doubt
from edged.domain.effects import EventRecord, Sample, SecurityRecord, StopReason
from edged.domain.events import Registration
from edged.domain.files import FirmwareUpdate, LogUpload
from edged.domain.hardware import Capability, ChargerState, Fault, LockState, Meter
from edged.domain.monitors import Monitor, Monitoring, Watch
from edged.domain.past import LastFault, PastReset, PastResets
from edged.domain.pending import Pending, PendingEvseReset, PendingReset, PendingUnlock
from edged.domain.policy import Policy
from edged.domain.site_rules import ConnectorLayout as ConnectorLayout
from edged.domain.site_rules import Identity as Identity
from edged.domain.site_rules import SiteRules as SiteRules
from edged.domain.site_rules import Vendor as Vendor
from edged.domain.station_parts import CachedToken as CachedToken
from edged.domain.station_parts import Isolation as Isolation
from edged.domain.station_parts import ListedToken as ListedToken
from edged.domain.station_parts import SecurityTally as SecurityTally
from edged.domain.station_parts import WrongCodes as WrongCodes
from edged.domain.types import IdToken, Now, Phase, Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A driver who is let in and whose transaction has not started. `reservation_id`: the reservation that is used."""

    id_token: IdToken
    group: IdToken | None
    since_s: float
    reservation_id: int | None = None
    remote: bool = False
    remote_start_id: int | None = None
    profile: ChargingProfile | None = None


@dataclass(frozen=True, slots=True)
class ToldLimit:
    """What the CSMS was told of a transaction's limit."""

    transaction_id: str
    limit_ma: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """The facts of one connector.

    `operative` is the commanded availability (*kept*), `evse_operative` that of its EVSE (*kept*, the same for all of
    the EVSE's connectors), `scheduled` a change that waits for the transaction's end or
    for the charger's return (*kept*), `changing` one that waits for the charger's confirmation. `withdrawn`: out of
    service meanwhile, for firmware waits or is being installed (derived in every step). `spent`: this plug-in
    has had its session; the next needs a token again (*kept*). `held_for`: the cable stays locked until this token or
    an unlock command releases it (*kept*). `kept_locked`: local people want it
    locked, session or not (*kept*). `limit_ma` is what the charger says it was set to, `allowed_ma` what the
    charging profiles allow at the step's time (None: they say nothing). `energy_wh` is the register as we report it:
    never runs backwards; `energy_offset_wh` (*kept*) is what is added to the charger's register for that. `energy_at`:
    when it was read last and believed, `energy_moved_at` when it grew last, `energy_doubt` readings not believed yet.
    `relapses`: how often in a row a blocking fault came back soon after it had gone at `recovered_at_s`; then it stays
    until `held_faulty_until_s`. `last_fault`: the last that it had or has; `fault_kept` (*kept*) what the disk knows of
    it, as of `fault_kept_at_s`.
    """

    layout: ConnectorLayout
    capabilities: frozenset[Capability]
    online: bool = False
    offline_since_s: float | None = None
    state: ChargerState = ChargerState.UNKNOWN
    plugged: bool = False
    plugged_at_s: float | None = None
    faults: tuple[Fault, ...] = ()
    lock: LockState = LockState.UNKNOWN
    permitted: bool | None = None
    limit_ma: int | None = None
    allowed_ma: int | None = None
    told_limit: ToldLimit | None = None
    operative: bool = True
    evse_operative: bool = True
    scheduled: bool | None = None
    changing: bool | None = None
    withdrawn: bool = False
    reported_operative: bool | None = None
    spent: bool = False
    held_for: IdToken | None = None
    kept_locked: bool = False
    phase: Phase = Phase.IDLE
    phase_since: datetime | None = None
    note: str = ""
    authorization: Authorization | None = None
    transaction_id: str | None = None
    preparing_until_s: float | None = None
    settling_until_s: float | None = None
    observed_at_s: float | None = None
    observed_at: datetime | None = None
    meter: Meter = field(default_factory=Meter)
    energy_wh: float | None = None
    energy_offset_wh: float = 0.0
    energy_kept_wh: float | None = None
    energy_at: Now | None = None
    energy_moved_at: Now | None = None
    energy_doubt: Doubt | None = None
    relapses: int = 0
    recovered_at_s: float | None = None
    held_faulty_until_s: float | None = None
    last_fault: LastFault | None = None
    fault_kept: LastFault | None = None
    fault_kept_at_s: float | None = None

    @property
    def number(self) -> int:
        return self.layout.number

    @property
    def blocked(self) -> bool:
        """A fault that makes charging impossible."""
        return any(fault.blocking for fault in self.faults)

    @property
    def cable_kept(self) -> bool:
        """A detachable cable is still locked in the socket: somebody has to come for it."""
        if self.held_for is not None:
            return True
        sensed = self.can(Capability.DETACHABLE) and self.can(Capability.LOCK_SENSE)
        return sensed and self.lock is LockState.LOCKED

    def can(self, capability: Capability) -> bool:
        return capability in self.capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Kept as a whole, but for `held_until_s`: the end on the monotonic clock of this boot, used while the wall clock
    is not synchronized."""

    id: int
    target: Target
    id_token: IdToken
    group: IdToken | None
    expires_at: datetime
    created: Stamp
    source: str
    held_until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a transaction ended."""

    at: Stamp
    meter_wh: float
    reason: StopReason
    id_token: IdToken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why a transaction gets no energy any more while it waits for its stop point, and who stopped it."""

    reason: StopReason
    id_token: IdToken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """Kept as a whole, but for the times on the monotonic clock, `queued`, `skipped` and `told_phase`.

    `external_ref`: the CSMS's name for it; None until its start was answered, -1 when that was given up (16-TX-04).
    `start_told`: the CSMS has processed its start, in whatever version.
    `kept_meter_wh`/`kept_at`: the last register value that was worth a write (flash wear); what a power cut leaves.
    `queued`: records of it that the CSMS has not processed; an ended transaction is forgotten at 0. `id_token` None: no
    driver is authorized yet (a version whose transactions begin with the plug). `halted`: its authorization is over.
    `connected`: a vehicle has been plugged in since it began. `energized`: energy has flowed (known only where its end
    is a stop point). `told_at`: when its last record was written, `told_phase`: the phase that the CSMS knows of.
    `skipped`: how many intermediate values were given up since the last that was not. `unheard`: it began while OCPP
    was stopped, and the CSMS is never told of it.
    """

    id: str
    connector: int
    id_token: IdToken | None
    group: IdToken | None
    started: Stamp
    meter_start_wh: float
    reservation_id: int | None = None
    remote_start_id: int | None = None
    external_ref: int | None = None
    start_told: bool = False
    seq_no: int = 0
    ending: Ending | None = None
    deauthorized: bool = False
    deauthorized_at_wh: float | None = None
    kept_meter_wh: float = 0.0
    kept_at: Stamp
    samples: tuple[Sample, ...] = ()
    halted: Halt | None = None
    connected: bool = True
    energized: bool = False
    told_at: Stamp | None = None
    unheard: bool = False
    told_phase: Phase | None = None
    queued: int = 0
    skipped: int = 0
    next_sample_at_s: float | None = None
    next_ended_sample_at_s: float | None = None

    @property
    def active(self) -> bool:
        return self.ending is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The CSMS as the core sees it. `alarms`: what went wrong in this outage and is in the security log already.
    `lost`: when the line went last, in this boot. `boot_place`: where the CSMS is that has answered the last boot."""

    online: bool = False
    registration: Registration = Registration.NONE
    boot_sent: bool = False
    next_boot_at_s: float | None = None
    next_heartbeat_at_s: float | None = None
    alarms: frozenset[LinkFailure] = frozenset()
    lost: Stamp | None = None
    boot_place: tuple[int | None, str | None] | None = None

    @property
    def serving(self) -> bool:
        """Online and accepted: the CSMS may be asked and told."""
        return self.online and self.registration is Registration.ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """This run of the daemon. `id` is new each time and never used again; it seeds transaction ids. Those of later
    runs sort behind those of earlier ones: what is kept of the oldest goes first.

    `floor`: the last wall clock that the store had seen when this run began. `started_s`: monotonic.
    `reason`: why it started, in 1.6's/2.x's words where the last run left one (*kept* for the next run).
    `after_outage`: the computer had not run in between, and no reset was why.
    """

    id: str
    floor: datetime
    started_s: float
    reason: str = "PowerUp"
    after_outage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One OCPP station. `connectors` by number, `reservations` by id, `transactions` by our id, `cache` and
    `local_list` by token key, `charging_profiles` by id, `certificates` by use and fingerprint,
    `client_certificates` by key, `monitors` by id, `security_tally` by type of event, `security_queue` and
    `event_queue` (the security events, and what monitors have told, that wait for the CSMS) by number, `network`
    (network profiles) by slot.

    `operative` is connector 0's commanded availability. `corrections`: for each boot whose clock became known late, the
    seconds to add to its untrusted stamps. `next_seq` numbers durable records, `tickets` pending operations and
    transactions of this boot. `wall_kept`: the wall clock as last stored. `list_conflict`: the CSMS has contradicted
    the local list since it last sent one. `limits`: what the connectors' `allowed_ma` come from. `idle_resets`: the
    EVSEs (0: the station) that are to be reset as soon as they are idle; not kept, for a start is a reset;
    `idle_sources`: the channels that ordered them. `isolation`: OCPP is stopped; true for this run. `monitored_keys`
    (*kept*): configuration keys that local people watch, and who changed each last since then ("": nobody). `resets`
    (*kept*): those of late, `resets_elsewhere` those that the gateway's other stations had before this run;
    `refusal_told_s`: when it was said last that one was refused. `ran_kept_s` (*kept*): for how long the station has
    run in all its runs, as of `ran_kept_at_s`.
    """

    identity: Identity
    policy: Policy
    rules: SiteRules
    boot: Boot
    configuration: Configuration
    connectors: Mapping[int, Connector]
    reservations: Mapping[int, Reservation] = field(default_factory=dict)
    transactions: Mapping[str, Transaction] = field(default_factory=dict)
    cache: Mapping[str, CachedToken] = field(default_factory=dict)
    local_list: Mapping[str, ListedToken] = field(default_factory=dict)
    charging_profiles: Mapping[int, InstalledProfile] = field(default_factory=dict)
    display_messages: Mapping[int, DisplayMessage] = field(default_factory=dict)
    bills: Mapping[int, Bill] = field(default_factory=dict)
    certificates: Mapping[str, InstalledCertificate] = field(default_factory=dict)
    client_certificates: Mapping[str, ClientCertificate] = field(default_factory=dict)
    monitors: Mapping[int, Monitor] = field(default_factory=dict)
    monitoring: Monitoring = field(default_factory=Monitoring)
    watch: Watch = field(default_factory=Watch)
    pending: Mapping[str, Pending] = field(default_factory=dict)
    corrections: Mapping[str, float] = field(default_factory=dict)
    operative: bool = True
    link: Link = field(default_factory=Link)
    access: Access = field(default_factory=Access)
    network: Mapping[int, NetworkProfile] = field(default_factory=dict)
    firmware: FirmwareUpdate | None = None
    upload: LogUpload | None = None
    local_list_version: int = 0
    list_conflict: bool = False
    security_tally: Mapping[str, SecurityTally] = field(default_factory=dict)
    security_queue: Mapping[int, SecurityRecord] = field(default_factory=dict)
    event_queue: Mapping[int, EventRecord] = field(default_factory=dict)
    wrong_codes: WrongCodes = field(default_factory=WrongCodes)
    reset: PendingReset | None = None
    idle_resets: tuple[int, ...] = ()
    idle_sources: Mapping[int, str] = field(default_factory=dict)
    next_boot_reason: str | None = None
    next_seq: int = 1
    queued: int = 0
    tickets: int = 0
    wall_kept: datetime
    clock: Now
    aligned_slot: int | None = None
    ended_slot: int | None = None
    limits: LimitsBasis | None = None
    isolation: Isolation | None = None
    monitored_keys: Mapping[str, str] = field(default_factory=dict)
    resets: PastResets = field(default_factory=PastResets)
    resets_elsewhere: tuple[PastReset, ...] = ()
    refusal_told_s: float | None = None
    ran_kept_s: float = 0.0
    ran_kept_at_s: float | None = None

    # --- queries that several rooms share

    def connector(self, number: int) -> Connector | None:
        return self.connectors.get(number)

    def running(self, number: int) -> Transaction | None:
        """The active transaction on a connector."""
        connector = self.connectors.get(number)
        if connector is None or connector.transaction_id is None:
            return None
        return self.transactions.get(connector.transaction_id)

    def charges(self, number: int) -> Transaction | None:
        """The active transaction on a connector, if it may get energy: it has a driver, and nobody has stopped it."""
        running = self.running(number)
        return None if running is None or running.id_token is None or running.halted is not None else running

    def late(self, stamp: Stamp) -> bool:
        """Whether the line has been away since a moment (2.x E11.FR.07)."""
        lost = self.link.lost
        return stamp.boot != self.boot.id or (lost is not None and self.true_time(stamp) <= self.true_time(lost))

    def effective(self, number: int) -> bool:
        """Whether the connector is in service: itself, its EVSE and the station (2.x G03/G04, 1.6 §5.2), and neither
        firmware (L01.FR.07) nor a reset waits."""
        connector = self.connectors[number]
        return self.operative and connector.evse_operative and connector.operative and not connector.withdrawn

    def unlocking(self, number: int) -> bool:
        """Whether an unlock is under way on the connector."""
        return any(isinstance(p, PendingUnlock) and p.connector == number for p in self.pending.values())

    def seized(self, number: int) -> bool:
        """Whether an unlock or a reset of its EVSE is under way on it: no energy, no start, no new driver."""
        evse = self.connectors[number].layout.evse_id
        resets = any(isinstance(p, PendingEvseReset) and p.evse == evse for p in self.pending.values())
        return resets or self.unlocking(number)

    def siblings(self, number: int) -> tuple[Connector, ...]:
        """The connectors of the same EVSE, this one included: one of them at a time can charge."""
        evse = self.connectors[number].layout.evse_id
        return tuple(c for c in self.connectors.values() if c.layout.evse_id == evse)

    def ran_s(self, now: Now) -> float:
        """For how long the station has run, in all its runs."""
        since_s = self.boot.started_s if self.ran_kept_at_s is None else self.ran_kept_at_s
        return self.ran_kept_s + max(0.0, now.monotonic_s - since_s)

    def stamp(self, now: Now) -> Stamp:
        return Stamp(now.utc, now.synchronized, self.boot.id)

    def true_time(self, stamp: Stamp) -> datetime:
        """The stamp's moment, corrected where the clock of its boot became known after it (13.4)."""
        if stamp.synchronized or stamp.boot not in self.corrections:
            return stamp.utc
        return stamp.utc + timedelta(seconds=self.corrections[stamp.boot])
