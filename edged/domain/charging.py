"""Charging profiles as data: what they say, who set them, and the schedule that several come to. 1.6 §3.13, 2.x K.

Data only; the rules are `charging_profile`'s, the arithmetic `schedule`'s. Limits are in the schedule's own unit,
amperes a phase or watts in total; times in whole seconds from the schedule's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from edged.domain.hardware import Capability


class ProfilePurpose(StrEnum):
    STATION_MAX = "ChargingStationMaxProfile"  # 1.6: ChargePointMaxProfile; shared by all EVSEs
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"
    EXTERNAL = "ChargingStationExternalConstraints"  # a limit of the site itself; no CSMS sets or clears one


class LimitSource(StrEnum):
    """Who set a limit."""

    CSO = "CSO"  # the CSMS
    EMS = "EMS"  # the site: a building management
    OTHER = "Other"
    SO = "SO"  # the grid's operator


class ProfileKind(StrEnum):
    ABSOLUTE = "Absolute"  # from `Schedule.start`
    RECURRING = "Recurring"  # from `Schedule.start`, again every day or week
    RELATIVE = "Relative"  # from the start of the transaction


class Recurrency(StrEnum):
    DAILY = "Daily"
    WEEKLY = "Weekly"


class RateUnit(StrEnum):
    AMPERES = "A"  # a phase
    WATTS = "W"  # of all phases


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePeriod:
    """From `start_s` to the next period's start. `phases` None: all (three). `phase_to_use`: the one that is wanted."""

    start_s: int
    limit: float
    phases: int | None = None
    phase_to_use: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSchedule:
    """Periods in ascending order, the first at 0. `duration_s` None: the last period has no end."""

    unit: RateUnit
    periods: tuple[SchedulePeriod, ...]
    duration_s: int | None = None
    start: datetime | None = None
    min_rate: float | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfile:
    """One profile as the CSMS wrote it. Valid from `valid_from` on and before `valid_to`. `alternatives`: further
    schedules, among which a car could choose; nothing is known of them but their number."""

    id: int
    stack_level: int
    purpose: ProfilePurpose
    kind: ProfileKind
    schedule: ChargingSchedule
    recurrency: Recurrency | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    alternatives: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProfile:
    """A profile and its place (*kept*). `evse_id` 0: the station, or every EVSE. `transaction_id`: of a TxProfile, our
    id of the transaction that it dies with. `told`: of a limit of the site, the one that the CSMS was told last."""

    evse_id: int
    profile: ChargingProfile
    transaction_id: str | None = None
    source: LimitSource = LimitSource.CSO
    told: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileGroup:
    """Profiles of one place and one source, as they are reported."""

    evse_id: int
    source: LimitSource
    profiles: tuple[InstalledProfile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeSchedule:
    """What is expected of an EVSE (0: of the station) from `start` on, for `schedule.duration_s`. `connector`: what was
    asked for, where that was the number of a connector."""

    evse_id: int
    connector: int | None = None
    start: datetime
    schedule: ChargingSchedule


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsBasis:
    """What the connectors' `allowed_ma` were derived from, and for which time that holds: `since_s` up to and without
    `until_s`, in seconds since 1970. `users`: of each connector its transaction, whether that charges, and what its
    charger can do. `shared`: the station has a limit that they share. `enabled`: the CSMS's profiles count. `csms_ma`:
    what each would be allowed by the CSMS alone, where the site has limits of its own. True for this boot only."""

    profiles: Mapping[int, InstalledProfile]
    corrections: Mapping[str, float]
    users: tuple[tuple[str | None, bool, frozenset[Capability]], ...]
    since_s: int
    until_s: int
    shared: bool
    enabled: bool
    csms_ma: Mapping[int, int | None] | None = None
