"""What a charger can do, what it reports and what it is told: the words between the core and the field bus.

Knows no register, no protocol and no vendor. A charger's driver produces `Observation`, receives `Desired` and
performs `Action`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from edged.domain.types import Now


class Capability(StrEnum):
    """What a charger can really do; declared by its profile, narrowed at run time by what it reports."""

    WITHHOLD = "withhold"  # energy can be refused: a reservation is enforceable
    LIMIT = "limit"  # a current limit can be set
    UNLOCK = "unlock"  # the connector lock can be released by command
    LOCK_SENSE = "lock_sense"  # the lock's position is reported
    LOCK_CONTROL = "lock_control"  # the lock can be closed and kept closed by command
    DETACHABLE = "detachable"  # a socket: the cable is not fixed to the charger
    AVAILABILITY = "availability"  # out of service can be set in the charger (natively or emulated)
    AVAILABILITY_SENSE = "availability_sense"  # and is read back
    PERMIT_SENSE = "permit_sense"  # the permission to charge is read back
    LIMIT_SENSE = "limit_sense"  # the current limit is read back
    RESET_SOFT = "reset_soft"
    RESET_HARD = "reset_hard"
    POWER_CYCLE = "power_cycle"  # its power can be cut, also while it does not answer
    TOKEN_READER = "token_reader"


class Measurand(StrEnum):
    """Measured quantities, in OCPP's names. Units: Wh, W, A, V, Hz, degree Celsius, percent."""

    ENERGY = "Energy.Active.Import.Register"
    ENERGY_INTERVAL = "Energy.Active.Import.Interval"
    POWER = "Power.Active.Import"
    CURRENT = "Current.Import"
    CURRENT_OFFERED = "Current.Offered"
    VOLTAGE = "Voltage"
    FREQUENCY = "Frequency"
    TEMPERATURE = "Temperature"
    SOC = "SoC"


class ChargerState(StrEnum):
    """The normalised state of a charger."""

    AVAILABLE = "available"  # no vehicle
    CONNECTED = "connected"  # vehicle there, charger does not offer energy
    CONNECTED_READY = "connected_ready"  # vehicle there, energy offered, not taken
    REQUESTING = "requesting"  # vehicle asks, contactor open
    CHARGING = "charging"  # contactor closed
    SUSPENDED_EV = "suspended_ev"
    SUSPENDED_EVSE = "suspended_evse"
    FINISHING = "finishing"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"
    UNKNOWN = "unknown"


WITHOUT_VEHICLE = frozenset({ChargerState.AVAILABLE, ChargerState.RESERVED})
"""States that say that no vehicle is plugged in; UNAVAILABLE, FAULTED and UNKNOWN say nothing about it."""
WITHOUT_WORD = frozenset({ChargerState.UNAVAILABLE, ChargerState.FAULTED, ChargerState.UNKNOWN})


class LockState(StrEnum):
    UNKNOWN = "unknown"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    JAMMED = "jammed"


class Quality(StrEnum):
    GOOD = "good"
    STALE = "stale"  # read once, not read again in time
    BAD = "bad"  # read, but not to be believed


class FaultCode(StrEnum):
    """Faults in OCPP 1.6's wording, which 2.x keeps for its components."""

    CONNECTOR_LOCK = "ConnectorLockFailure"
    EV_COMMUNICATION = "EVCommunicationError"
    GROUND = "GroundFailure"
    HIGH_TEMPERATURE = "HighTemperature"
    INTERNAL = "InternalError"
    OTHER = "OtherError"
    OVER_CURRENT = "OverCurrentFailure"
    OVER_VOLTAGE = "OverVoltage"
    POWER_METER = "PowerMeterFailure"
    POWER_SWITCH = "PowerSwitchFailure"
    READER = "ReaderFailure"
    RESET = "ResetFailure"
    UNDER_VOLTAGE = "UnderVoltage"
    WEAK_SIGNAL = "WeakSignal"


@dataclass(frozen=True, slots=True)
class Fault:
    """One active fault. `blocking`: charging is impossible (status Faulted); otherwise it is a warning."""

    code: FaultCode
    vendor_code: str = ""
    info: str = ""
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class Phases:
    """One value a phase; None where unknown or not wired."""

    l1: float | None = None
    l2: float | None = None
    l3: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One reading of a charger's meter. `energy_wh` is the lifetime register; None = unknown, never 0.

    `energy_ends_wh`: where the register begins at 0 again, None where that is not known.
    """

    energy_wh: float | None = None
    energy_ends_wh: float | None = None
    power_w: float | None = None
    current_a: Phases = field(default_factory=Phases)
    voltage_v: Phases = field(default_factory=Phases)
    frequency_hz: float | None = None
    temperature_c: float | None = None
    soc_pct: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One poll's snapshot of one charging point, with the time of the *successful* read.

    `plugged`, `operative`, `permit_charging` and `current_limit_ma` are None where the charger cannot tell.
    `token` is a token that a reader has seen since the last observation. `booted`: the charger has restarted since,
    or may have: what was written to it is not sure.
    `capabilities` is None while the profile's declaration stands; otherwise what this very charger can do.
    """

    read_at: Now
    quality: Quality = Quality.GOOD
    state: ChargerState = ChargerState.UNKNOWN
    plugged: bool | None = None
    faults: tuple[Fault, ...] = ()
    lock: LockState = LockState.UNKNOWN
    operative: bool | None = None
    permit_charging: bool | None = None
    current_limit_ma: int | None = None
    meter: Meter = field(default_factory=Meter)
    token: str | None = None
    booted: bool = False
    capabilities: frozenset[Capability] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What a charging point should be; derived from the station, idempotent, reconciled by the driver.

    `current_limit_ma` None = no limit beyond the installation's own. `locked` None = the charger decides.
    """

    permit_charging: bool
    current_limit_ma: int | None = None
    locked: bool | None = None
    operative: bool = True


class Action(StrEnum):
    """One-shot actions: never retried by themselves, their outcome comes back as an event."""

    UNLOCK = "unlock"
    RESET_SOFT = "reset_soft"
    RESET_HARD = "reset_hard"


class ActionOutcome(StrEnum):
    DONE = "done"  # read back
    FAILED = "failed"  # the charger says that it did not work (a jammed lock)
    UNSUPPORTED = "unsupported"
    TIMEOUT = "timeout"  # no word from the charger in time
