"""The scene of OCPP 2.0.1: its moves and what is expected of a station that speaks it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from edged.simulator.csms import CsmsTimeout
from edged.simulator.csms_record import Direction, Frame, Kind
from tests.conformance.stage import (
    BOARD,
    KEBA,
    LOCKING,
    PATIENCE_S,
    SOCKET,
    STATION,
    TETHERED,
    TOKENS,
    TWO_SOCKETS,
    Box,
    Stage,
    moment,
)

__all__ = [
    "BOARD",
    "KEBA",
    "LOCKING",
    "PATIENCE_S",
    "SOCKET",
    "STATION",
    "TETHERED",
    "TOKENS",
    "TWO_SOCKETS",
    "Box",
    "OpenScene201",
    "Scene201",
    "moment",
]

Json = dict[str, Any]
NAME = re.compile(r"(?P<component>\w+)(\[(?P<instance>[^]]+)\])?(\.(?P<variable>\w+)(\[(?P<kind>[^]]+)\])?)?")
"""A component, or a variable of it: `TxCtrlr`, `TxCtrlr.TxStartPoint`, `OCPPCommCtrlr.MessageTimeout[Default]`."""
EMPTY = ("EmptyResultSet", "NoProfiles", "Unknown")
"""How a station says that a report would be empty."""


@dataclass(slots=True)
class Scene201(Stage):
    """A station of 2.0.1: its EVSEs are numbered as the connectors of `Stage`, each with a connector 1.

    `keys`: first values of variables, by names as in `NAME`. `remote_start_id`: the last that was used.
    """

    versions = ("ocpp2.0.1",)
    remote_start_id: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def ready(self, *, after: int = 0) -> None:
        for evse in self.connectors:
            try:
                await self.csms.record.wait(partial(_tells, evse=evse), after=after, timeout_s=PATIENCE_S)
            except TimeoutError as error:
                raise CsmsTimeout(f"no status of EVSE {evse}; what came: {self.calls(after=after)}") from error
        await self.answered()

    def named(self, frame: Frame) -> str:
        """A status as `Status 1 Occupied`, an event of a transaction as `Updated Authorized`."""
        if frame.action == "TransactionEvent" and isinstance(frame.payload, dict):
            return f"{frame.payload.get('eventType')} {frame.payload.get('triggerReason')}"
        statuses = [(evse, _status(frame, evse)) for evse in self.connectors]
        return next((f"Status {evse} {status}" for evse, status in statuses if status is not None), frame.action)

    async def charging(self, tag: str = "ALICE", evse: int = 1) -> str:
        """A driver plugs in, shows a token and charges. Returns the transactionId."""
        self.plug(evse)
        await self.expect_status("Occupied", evse)
        self.swipe(tag, evse)
        event = await self.expect_event(evse=evse, charging_state="Charging")
        return str(event["transactionInfo"]["transactionId"])

    def transaction_id(self) -> str:
        """The transaction that was heard of last."""
        return list(self.csms.transactions)[-1]

    # --- variables

    async def set_variable(
        self,
        component: str,
        variable: str,
        value: object,
        *,
        instance: str | None = None,
        variable_instance: str | None = None,
        evse: int | None = None,
        attribute: str | None = None,
    ) -> str:
        """The attributeStatus of one variable that is set."""
        where = _place(component, variable, instance=instance, variable_instance=variable_instance, evse=evse)
        data = {**where, "attributeValue": _text(value), **_given(attributeType=attribute)}
        (result,) = (await self.call("SetVariables", setVariableData=[data]))["setVariableResult"]
        assert {name: result[name] for name in where} == where
        return str(result["attributeStatus"])

    async def get_variable(
        self,
        component: str,
        variable: str,
        *,
        instance: str | None = None,
        variable_instance: str | None = None,
        evse: int | None = None,
        attribute: str | None = None,
    ) -> str:
        """The value of a variable, or the attributeStatus where that is not Accepted."""
        where = _place(component, variable, instance=instance, variable_instance=variable_instance, evse=evse)
        data = {**where, **_given(attributeType=attribute)}
        (result,) = (await self.call("GetVariables", getVariableData=[data]))["getVariableResult"]
        assert {name: result[name] for name in where} == where
        status = str(result["attributeStatus"])
        return str(result["attributeValue"]) if status == "Accepted" else status

    async def configure(self, name: str, value: object) -> None:
        """Set a variable by its name, which must be Accepted."""
        found = _parts(name)
        status = await self.set_variable(
            found["component"],
            found["variable"],
            value,
            instance=found["instance"],
            variable_instance=found["kind"],
        )
        assert status == "Accepted", f"{name} = {value}: {status}"

    async def value_of(self, name: str) -> str:
        """A variable by its name, as `get_variable`."""
        found = _parts(name)
        return await self.get_variable(
            found["component"], found["variable"], instance=found["instance"], variable_instance=found["kind"]
        )

    # --- reports

    async def base_report(self, base: str = "FullInventory") -> list[Json]:
        """The reportData of all parts."""
        return await self._report("GetBaseReport", "NotifyReport", "reportData", reportBase=base)

    async def report(self, *wanted: str | Json, criteria: tuple[str, ...] = ()) -> list[Json]:
        """The reportData of all parts. `wanted`: names as in `NAME`, or whole componentVariables."""
        more = _given(componentVariable=_wanted(wanted), componentCriteria=list(criteria) or None)
        return await self._report("GetReport", "NotifyReport", "reportData", **more)

    async def monitoring_report(self, *wanted: str | Json, criteria: tuple[str, ...] = ()) -> list[Json]:
        """The monitors of all parts."""
        more = _given(componentVariable=_wanted(wanted), monitoringCriteria=list(criteria) or None)
        return await self._report("GetMonitoringReport", "NotifyMonitoringReport", "monitor", **more)

    async def charging_profiles(self, evse: int | None = None, **criterion: object) -> list[Json]:
        """The profiles of all parts; each with the `evseId` and `chargingLimitSource` of its part.

        `criterion`: chargingProfilePurpose, stackLevel, chargingProfileId, chargingLimitSource.
        """
        pages = await self.pages(
            "GetChargingProfiles", "ReportChargingProfiles", **_given(evseId=evse), chargingProfile=criterion
        )
        return [
            {**profile, "evseId": page["evseId"], "chargingLimitSource": page["chargingLimitSource"]}
            for page in pages
            for profile in page["chargingProfile"]
        ]

    async def _report(self, action: str, page_action: str, part: str, **payload: object) -> list[Json]:
        return [entry for page in await self.pages(action, page_action, **payload) for entry in page.get(part, ())]

    async def pages(self, action: str, page_action: str, **payload: object) -> list[Json]:
        """Ask for a report; all its parts, none where there is nothing to report. It must not be refused."""
        number = next(self._numbers)
        status = await self.status_of(action, requestId=number, **payload)
        if status in EMPTY:
            return []
        assert status == "Accepted", f"{action}: {status}"
        await self.csms.wait_for(
            page_action,
            lambda page: page["requestId"] == number and not page.get("tbc", False),
            after=self.since,
            timeout_s=PATIENCE_S,
        )
        return [page for page in self.messages(page_action) if page["requestId"] == number]

    # --- what the CSMS asks

    async def request_start(
        self,
        token: str,
        evse: int | None = 1,
        *,
        type: str = "ISO14443",
        remote_start_id: int | None = None,
        group: str | None = None,
        profile: Json | None = None,
    ) -> str:
        """The status of a RequestStartTransaction; `remote_start_id` None: a new one."""
        self.remote_start_id = next(self._numbers) if remote_start_id is None else remote_start_id
        more = _given(evseId=evse, groupIdToken=_group(group), chargingProfile=profile)
        return await self.status_of(
            "RequestStartTransaction",
            idToken={"idToken": token, "type": type},
            remoteStartId=self.remote_start_id,
            **more,
        )

    async def request_stop(self, transaction_id: str) -> str:
        return await self.status_of("RequestStopTransaction", transactionId=transaction_id)

    async def reserve(
        self,
        token: str,
        evse: int | None = 1,
        *,
        id: int = 1,
        lasts_s: float = 600.0,
        connector_type: str | None = None,
        group: str | None = None,
        type: str = "ISO14443",
    ) -> str:
        """The status of a ReserveNow."""
        expiry = (datetime.now(UTC) + timedelta(seconds=lasts_s)).isoformat(timespec="milliseconds")
        more = _given(evseId=evse, connectorType=connector_type, groupIdToken=_group(group))
        return await self.status_of(
            "ReserveNow",
            id=id,
            expiryDateTime=expiry.replace("+00:00", "Z"),
            idToken={"idToken": token, "type": type},
            **more,
        )

    async def cancel_reservation(self, id: int = 1) -> str:
        return await self.status_of("CancelReservation", reservationId=id)

    # --- what is expected

    async def expect_status(self, status: str, evse: int = 1, *, within_s: float = PATIENCE_S) -> Json:
        """The first StatusNotification with this status since the last move, or the NotifyEvent that says the same."""
        try:
            frame = await self.csms.record.wait(
                lambda frame: _status(frame, evse, status) is not None, after=self.since, timeout_s=within_s
            )
        except TimeoutError as error:
            raise CsmsTimeout(f"EVSE {evse} is not {status}; what came: {self.calls()}") from error
        assert isinstance(frame.payload, dict)
        return frame.payload

    async def expect_event(
        self,
        event_type: str | None = None,
        trigger: str | None = None,
        evse: int | None = None,
        charging_state: str | None = None,
        *,
        within_s: float = PATIENCE_S,
        **fields: object,
    ) -> Json:
        """The first TransactionEvent like this since the last move. `evse`: of its transaction, whichever event told
        it; `fields`: of the event or of its transactionInfo."""
        wanted = _given(eventType=event_type, triggerReason=trigger, chargingState=charging_state) | fields

        def fits(payload: Mapping[str, object]) -> bool:
            info = payload["transactionInfo"]
            assert isinstance(info, dict)
            here = evse is None or self._evse_of(payload) == evse
            return here and all({**info, **payload}.get(name) == value for name, value in wanted.items())

        try:
            return await self.csms.wait_for("TransactionEvent", fits, after=self.since, timeout_s=within_s)
        except CsmsTimeout as error:
            raise CsmsTimeout(f"no event of EVSE {evse} with {wanted}; what came: {self.calls()}") from error

    def _evse_of(self, event: Mapping[str, Any]) -> int | None:
        told = event.get("evse")
        known = self.csms.transactions.get(event["transactionInfo"]["transactionId"])
        return int(told["id"]) if told is not None else known.evse if known is not None else None

    def events(self, transaction_id: str | None = None, *, after: int | None = None) -> list[Json]:
        """The TransactionEvents since the last move, each once however often it was sent."""
        return [
            event
            for event in self.messages("TransactionEvent", after=after)
            if transaction_id in (None, event["transactionInfo"]["transactionId"])
        ]


OpenScene201 = Callable[..., Awaitable[Scene201]]
"""The fixture `open_scene201`: the boxes, then `Scene201`'s options and those of `Scene201.open`."""


def _status(frame: Frame, evse: int, wanted: str | None = None) -> str | None:
    """The status of an EVSE's connector that a frame tells: None where it tells none, or not the one that is
    wanted."""
    if frame.direction is not Direction.RECEIVED or frame.kind is not Kind.CALL or frame.station != STATION:
        return None
    told = [status for place, status in _statuses(frame) if place == evse and wanted in (None, status)]
    return told[-1] if told else None


def _tells(frame: Frame, evse: int) -> bool:
    return _status(frame, evse) is not None


def _statuses(frame: Frame) -> Iterator[tuple[int, str]]:
    match frame.action, frame.payload:
        case "StatusNotification", {"evseId": int(evse), "connectorStatus": str(status)}:
            yield evse, status
        case "NotifyEvent", {"eventData": list(entries)}:
            yield from (told for told in map(_availability, entries) if told is not None)
        case _:
            return


def _availability(entry: object) -> tuple[int, str] | None:
    match entry:
        case {
            "component": {"name": "Connector", "evse": {"id": int(evse)}},
            "variable": {"name": "AvailabilityState"},
            "actualValue": str(status),
        }:
            return evse, status
        case _:
            return None


def _place(
    component: str,
    variable: str | None = None,
    *,
    instance: str | None = None,
    variable_instance: str | None = None,
    evse: int | None = None,
) -> Json:
    place: Json = {
        "component": {"name": component, **_given(instance=instance, evse=None if evse is None else {"id": evse})}
    }
    if variable is not None:
        place["variable"] = {"name": variable, **_given(instance=variable_instance)}
    return place


def _parts(name: str) -> dict[str, Any]:
    found = NAME.fullmatch(name)
    assert found is not None, f"no name of a variable: {name}"
    return found.groupdict()


def _wanted(wanted: tuple[str | Json, ...]) -> list[Json] | None:
    entries = []
    for one in wanted:
        if isinstance(one, str):
            parts = _parts(one)
            one = _place(
                parts["component"], parts["variable"], instance=parts["instance"], variable_instance=parts["kind"]
            )
        entries.append(one)
    return entries or None


def _group(group: str | None) -> Json | None:
    return None if group is None else {"idToken": group, "type": "Central"}


def _given(**fields: object) -> Json:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
