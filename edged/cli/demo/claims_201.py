"""Claims about what an OCPP 2.0.1 station tells its CSMS. Each reads the CSMS's own record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edged.cli.demo import claims
from edged.cli.demo.places import STATION, Place
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Claim, Seen

REGISTER = "Energy.Active.Import.Register"


def status(place: Place, word: str) -> Claim:
    """StatusNotification of an EVSE's connector."""
    return claims.called("StatusNotification", evseId=place.evse, connectorStatus=word)


def status_now(place: Place, word: str) -> Claim:
    """What the CSMS was told last, whenever that was."""

    def look(stage: Stage) -> Seen:
        last = last_status(stage, place)
        return Seen(last == word, f"EVSE {place.evse} {last}")

    return claims.csms(f"EVSE {place.evse} {word}", look)


def last_status(stage: Stage, place: Place) -> str | None:
    """The last status of an EVSE that the CSMS was told in 2.0.1."""
    reports = stage.csms.received("StatusNotification", station=STATION)
    return next((str(one["connectorStatus"]) for one in reversed(reports) if one.get("evseId") == place.evse), None)


def event(
    place: Place,
    *,
    then: Callable[[Stage, Mapping[str, Any]], bool | str] | None = None,
    **members: Any,
) -> Claim:
    """A TransactionEvent of a place since the step began, with these members, its transactionInfo's among them."""
    name = f"TransactionEvent {place.evse} {' '.join(str(value) for value in members.values())}".strip()

    def look(stage: Stage) -> Seen:
        came: list[str] = []
        for payload in stage.csms.received("TransactionEvent", station=STATION, after=stage.mark):
            told = _flat(payload)
            if evse_of(stage, told) == place.evse and all(told.get(key) == value for key, value in members.items()):
                more = then(stage, told) if then is not None else True
                if more is not False:
                    return Seen(True, name if more is True else f"{name}: {more}")
            came.append(f"{told['eventType']} {told['triggerReason']} seqNo {told['seqNo']}")
        return Seen(False, f"TransactionEvent: {'; '.join(came[-claims.MAX_WORDS :]) or 'none'}")

    return claims.csms(name, look)


def _flat(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**payload["transactionInfo"], **payload}


def evse_of(stage: Stage, event: Mapping[str, Any]) -> int | None:
    """Where the transaction of an event is: not every event says it."""
    view = stage.csms.transactions.get(event["transactionId"])
    return None if view is None else view.evse


def running_transaction(stage: Stage, place: Place) -> str | None:
    """The transaction that runs at a place, as the CSMS knows it."""
    views = stage.csms.transactions.values()
    running = [view.transaction_id for view in views if view.evse == place.evse and not view.ended]
    return running[-1] if running else None


def registers_wh(event: Mapping[str, Any]) -> list[float]:
    """The energy register in an event, Wh, in the order of its values."""
    return [
        float(sample["value"])
        for values in event.get("meterValue", ())
        for sample in values["sampledValue"]
        if sample.get("measurand", REGISTER) == REGISTER
    ]


def pages(stage: Stage, action: str, request_id: int) -> list[Mapping[str, Any]]:
    """The parts of a report that have come, in their order."""
    came = stage.csms.received(action, station=STATION, after=stage.mark)
    return [page for page in came if page["requestId"] == request_id]


def set_as_wanted(member: str, status: str = "attributeStatus") -> Claim:
    """The one result of a SetVariables or SetVariableMonitoring is Accepted."""

    def look(stage: Stage) -> Seen:
        results = stage.answer.get(member, [])
        words = ", ".join(str(one[status]) for one in results) or "no result"
        return Seen(words == "Accepted", f"{member} {words}")

    return claims.csms(f"{member} Accepted", look)
