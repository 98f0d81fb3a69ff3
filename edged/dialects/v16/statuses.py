"""What a 1.6 CSMS should know of each connector and of the station: StatusNotification, computed from facts.

1.6 cannot express: several faults at once (the one that matters most is told), the fault of a single phase, why a
connector is unavailable, that a change is scheduled. Connector 0 is only Available or Unavailable; faults belong to
connectors, and the one error that is the station's own is a local list that the CSMS contradicts (16-AUTH-09).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from edged.dialects.times import format_time
from edged.domain.hardware import Fault, FaultCode
from edged.domain.station import Connector, Station
from edged.domain.status import FAULTED, connector_status, station_status
from edged.ocpp.dialect import Payload, StatusReport
from edged.ocpp.rpc import Request

LIST_CONFLICT: Final = "LocalListConflict"
MAX_INFO_CHARS: Final = 50
MAX_VENDOR_CHARS: Final = 255
_WITH_EV: Final = frozenset({"Preparing", "SuspendedEV", "SuspendedEVSE", "Finishing"})
"""The statuses that may come with EVCommunicationError (16-ST-02)."""


def statuses(station: Station) -> Mapping[int, StatusReport]:
    """A report for each connector, and under 0 for the station.

    A connector whose charger was not heard yet since the start is left out: nothing is known of it, and a status made
    up would be corrected a moment later. It is told once its charger answers, or was silent for too long (Faulted).
    `at` is the station's clock: whoever keeps the first of a run of equal reports has the moment of the change. None
    while the clock is not trusted: no time is better than a wrong one.
    """
    at = station.clock.utc if station.clock.synchronized else None
    reports = {0: _station_report(station, at)}
    for number, connector in sorted(station.connectors.items()):
        if connector.observed_at_s is None and not connector.blocked and station.running(number) is None:
            continue
        reports[number] = _report(connector, connector_status(station, number), at)
    return reports


def _station_report(station: Station, at: datetime | None) -> StatusReport:
    status = station_status(station)
    if station.list_conflict and station.configuration.flag("LocalAuthListEnabled"):
        return StatusReport(status, error_code=LIST_CONFLICT, at=at)
    return StatusReport(status, at=at)


def _report(connector: Connector, status: str, at: datetime | None) -> StatusReport:
    fault = _told(connector, status)
    if fault is None:
        return StatusReport(status, info=connector.note[:MAX_INFO_CHARS], at=at)
    return StatusReport(
        status,
        error_code=_error_code(fault, status),
        info=(fault.info or connector.note)[:MAX_INFO_CHARS],
        vendor_error_code=fault.vendor_code[:MAX_INFO_CHARS],
        at=at,
    )


def _told(connector: Connector, status: str) -> Fault | None:
    """The first fault of the kind that the status is about; one that has a code of its own goes first."""
    faults = [fault for fault in connector.faults if fault.blocking == (status == FAULTED)]
    plain = (fault for fault in faults if _with_code(fault, status))
    return next(plain, faults[0] if faults and status == FAULTED else None)


def _with_code(fault: Fault, status: str) -> bool:
    return fault.code is not FaultCode.EV_COMMUNICATION or status in _WITH_EV


def _error_code(fault: Fault, status: str) -> str:
    return fault.code.value if _with_code(fault, status) else FaultCode.OTHER.value


def encode_status(connector: int, report: StatusReport, station: Station) -> Request:
    """StatusNotification. Without a moment of its own the report is at least true now, if now is known."""
    payload: Payload = {"connectorId": connector, "errorCode": report.error_code, "status": report.status}
    if report.info:
        payload["info"] = report.info[:MAX_INFO_CHARS]
    at = report.at
    if at is None and station.clock.synchronized:
        at = station.clock.utc
    if at is not None:
        payload["timestamp"] = format_time(at)
    if report.vendor_error_code:
        payload["vendorId"] = station.identity.vendor[:MAX_VENDOR_CHARS]
        payload["vendorErrorCode"] = report.vendor_error_code[:MAX_INFO_CHARS]
    return Request("StatusNotification", payload)
