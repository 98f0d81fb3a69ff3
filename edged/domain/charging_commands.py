"""What a station can be told of charging profiles and limits. Part of `commands`; data only."""

from __future__ import annotations

from dataclasses import dataclass

from edged.domain.charging import ChargingProfile, LimitSource, ProfilePurpose, RateUnit
from edged.domain.types import RequestRef


@dataclass(frozen=True, slots=True, kw_only=True)
class SetChargingProfile:
    """The place by its EVSE, or by a connector's number where the version knows no EVSEs: one of the two is given, and
    0 is the station. A TxProfile's transaction by the CSMS's reference or by our id, where it is named."""

    request: RequestRef
    evse: int | None = None
    connector: int | None = None
    profile: ChargingProfile
    external_ref: int | None = None
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearChargingProfile:
    """By id alone, or all that match what is given; nothing given: all. `evse` or `connector` as in
    SetChargingProfile."""

    request: RequestRef
    profile_id: int | None = None
    evse: int | None = None
    connector: int | None = None
    purpose: ProfilePurpose | None = None
    stack_level: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCompositeSchedule:
    """`evse` or `connector`, as in SetChargingProfile. `unit` None: the station chooses."""

    request: RequestRef
    evse: int | None = None
    connector: int | None = None
    duration_s: int
    unit: RateUnit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetChargingProfiles:
    """Those that fit everything that is given, told in pages under `request_id`. `evse` 0: the station's own. `ids`,
    `sources` empty: any."""

    request: RequestRef
    request_id: int
    evse: int | None = None
    purpose: ProfilePurpose | None = None
    stack_level: int | None = None
    ids: tuple[int, ...] = ()
    sources: tuple[LimitSource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLocalLimit:
    """The site limits an EVSE, or the station (0): `limit_ma` a phase; None: no longer. `evse` or `connector`, as in
    SetChargingProfile."""

    request: RequestRef
    evse: int | None = None
    connector: int | None = None
    limit_ma: int | None


ChargingCommand = SetChargingProfile | ClearChargingProfile | GetCompositeSchedule | GetChargingProfiles | SetLocalLimit
