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
    """What starts a transaction; any satisfied point of the policy does (2.x TxStartPoint)."""

    AUTHORIZED = "Authorized"
    EV_CONNECTED = "EVConnected"
    POWER_PATH_CLOSED = "PowerPathClosed"  # authorized and connected
    ENERGY_TRANSFER = "EnergyTransfer"


class StopPoint(StrEnum):
    """What ends a transaction when it is no longer so; any of the chosen ones does (2.x TxStopPoint)."""

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
    TxStopPoint). `begin_in_start`: the values of its begin go with the start, and not with the end alone.
    `update_triggers`: the updates of a transaction that are worth a durable record in this version.
    `reservation_records`: the CSMS is told why a reservation ended (2.0.1 H04.FR.01).
    `csms_names_transactions`: the CSMS answers a start with its own reference (1.6's integer transactionId).
    `id_token_max_chars`: a longer token cannot be told to the CSMS; cut, it could be another driver's.
    `nameless_firmware_statuses`: what can be told of a firmware update without a request id, `upload_statuses` of the
    upload of a log.
    """

    reservation_used: ReservationUse
    start_points: frozenset[StartPoint] | None
    update_triggers: frozenset[Trigger]
    reservation_records: bool
    csms_names_transactions: bool
    stop_points: frozenset[StopPoint] | None = frozenset({StopPoint.AUTHORIZED})
    begin_in_start: bool = False
    id_token_max_chars: int = 36
    nameless_firmware_statuses: frozenset[FirmwareStatus] = frozenset(FirmwareStatus)
    upload_statuses: frozenset[UploadStatus] = frozenset(UploadStatus)
