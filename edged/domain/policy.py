"""What differs between OCPP versions, as data. A dialect supplies one `Policy`; the core never asks for a version."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edged.domain.files import FirmwareStatus, UploadStatus


class ReservationUse(StrEnum):
    """When a reservation is used up."""

    TRANSACTION_STARTED = "transaction_started"  # 1.6 §5.13
    TOKEN_AUTHORIZED = "token_authorized"  # 2.0.1 H03.FR.09


class StartPoint(StrEnum):
    """What starts a transaction; the first that is reached does (2.x TxStartPoint). Energy never flows before."""

    AUTHORIZED = "Authorized"
    EV_CONNECTED = "EVConnected"
    POWER_PATH_CLOSED = "PowerPathClosed"  # authorized and connected


class StopPoint(StrEnum):
    """What ends a transaction when it is no longer so; the first of the chosen ones does (2.x TxStopPoint)."""

    AUTHORIZED = "Authorized"
    EV_CONNECTED = "EVConnected"
    POWER_PATH_CLOSED = "PowerPathClosed"
    ENERGY_TRANSFER = "EnergyTransfer"


class Trigger(StrEnum):
    """Why a transaction record is written, in 2.x's words; a version that knows no reasons leaves them out."""

    AUTHORIZED = "Authorized"
    CABLE_PLUGGED_IN = "CablePluggedIn"
    CHARGING_RATE_CHANGED = "ChargingRateChanged"
    CHARGING_STATE_CHANGED = "ChargingStateChanged"
    DEAUTHORIZED = "Deauthorized"
    EV_COMMUNICATION_LOST = "EVCommunicationLost"
    EV_CONNECT_TIMEOUT = "EVConnectTimeout"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    METER_VALUE_CLOCK = "MeterValueClock"
    METER_VALUE_PERIODIC = "MeterValuePeriodic"
    REMOTE_START = "RemoteStart"
    REMOTE_STOP = "RemoteStop"
    RESET_COMMAND = "ResetCommand"
    STOP_AUTHORIZED = "StopAuthorized"
    TRIGGER = "Trigger"
    UNLOCK_COMMAND = "UnlockCommand"
    ABNORMAL_CONDITION = "AbnormalCondition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version's rules.

    `start_points`, `stop_points`: what starts and ends a transaction; None: as the configuration says (TxStartPoint,
    TxStopPoint). `begin_in_start`: a start and an end have no register beside their samples: those of the begin go with
    the start too. `times_out_unplugged`: a fixed cable that was pulled must be back within the time that a driver has
    to plug in (2.x E10.FR.02).
    `update_triggers`: the updates of a transaction that are worth a durable record in this version.
    `reservation_records`: the CSMS is told why a reservation ended (2.0.1 H04.FR.01).
    `csms_names_transactions`: the CSMS answers a start with its own reference (1.6's integer transactionId).
    `id_token_max_chars`: a longer token cannot be told to the CSMS; cut, it could be another driver's.
    `unasked_kinds`: tokens that the CSMS is never asked about and that are never cached (2.0.1 C02, C03, C05).
    `known_group_stops`: a valid token that is known here to be of the starter's group stops unasked (2.0.1 C01.FR.03).
    `keeps_lapsed`: an answer whose date has passed is remembered as a no, and not forgotten (2.0.1 C10.FR.10).
    `replaces_profiles`: a charging profile takes the place of one with its purpose, level and place; else it is refused
    (2.0.1 K01.FR.06). `profiles_name_transactions`: a TxProfile without its transaction's id is refused (K01.FR.03).
    `phases_binding`: so is one whose number of phases cannot be promised (K01.FR.44). `limit_records`: the CSMS is told
    of the site's own limits (K11 to K13), `event_records`: of what its monitors find (N07, N08).
    `triggered_values`: the key that names the values of a triggered meter report. `daily_heartbeat`: no interval means
    one a day, not none. `refuses_when_rejected`: the calls of a CSMS that has rejected the station are refused, not
    ignored.
    `nameless_firmware_statuses`: what can be told of a firmware update without a request id, `upload_statuses` of the
    upload of a log.
    `critical_events`: the security events that the CSMS must hear of beside those of `security_event.TOLD`.
    `renews_at_once`: a new chain of our own must be valid now and is used at once, and those that are not in use go
    when a line has come about (2.x A02); otherwise it may begin later, and the former one stays a month.
    `all_after_outage`: after an outage longer than OfflineThreshold the CSMS is told every connector's status, and not
    only what has changed (2.x B04.FR.01).
    """

    reservation_used: ReservationUse
    start_points: frozenset[StartPoint] | None
    update_triggers: frozenset[Trigger]
    reservation_records: bool
    csms_names_transactions: bool
    stop_points: frozenset[StopPoint] | None = frozenset({StopPoint.AUTHORIZED})
    begin_in_start: bool = False
    times_out_unplugged: bool = False
    id_token_max_chars: int = 36
    triggered_values: str = "MeterValuesSampledData"
    daily_heartbeat: bool = False
    refuses_when_rejected: bool = False
    unasked_kinds: frozenset[str] = frozenset()
    known_group_stops: bool = False
    keeps_lapsed: bool = True
    nameless_firmware_statuses: frozenset[FirmwareStatus] = frozenset(FirmwareStatus)
    upload_statuses: frozenset[UploadStatus] = frozenset(UploadStatus)
    replaces_profiles: bool = True
    profiles_name_transactions: bool = False
    phases_binding: bool = False
    limit_records: bool = False
    event_records: bool = False
    critical_events: frozenset[str] = frozenset()
    renews_at_once: bool = False
    all_after_outage: bool = False
