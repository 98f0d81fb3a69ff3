"""What the station has promised with an answer that arrived: it must be on the disk, whatever happens after.

A request whose answer never arrived may have been carried out or not; then both are allowed until a later request
about the same thing is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edged.domain.configuration import REGISTRY
from edged.store import loading
from edged.store.row_texts import from_text

if TYPE_CHECKING:
    from tests.fakes.world import World

Payload = Mapping[str, Any]
KEYS = {
    ("TxCtrlr", "EVConnectionTimeOut"): "ConnectionTimeOut",
    ("TxCtrlr", "TxStartPoint"): "TxStartPoint",
    ("TxCtrlr", "TxStopPoint"): "TxStopPoint",
    ("TxCtrlr", "StopTxOnEVSideDisconnect"): "StopTransactionOnEVSideDisconnect",
    ("SampledDataCtrlr", "TxUpdatedInterval"): "MeterValueSampleInterval",
    ("AlignedDataCtrlr", "Interval"): "ClockAlignedDataInterval",
    ("AuthCtrlr", "LocalPreAuthorize"): "LocalPreAuthorize",
    ("SecurityCtrlr", "OrganizationName"): "CpoName",
    ("OCPPCommCtrlr", "NetworkConfigurationPriority"): "NetworkConfigurationPriority",
}
"""The configuration keys behind the variables that the operator changes."""


@dataclass
class Promises:
    """`open`: requests of each kind that were not answered yet, by number."""

    world: World
    reservations: dict[int, Payload] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    asked_when: dict[int, dict[int, int]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    operative: dict[int, tuple[int, bool | None]] = field(default_factory=dict)
    flags: dict[tuple[int, ...], tuple[int, bool | None]] = field(default_factory=dict)
    stopped: set[int | str] = field(default_factory=set)
    open: dict[int, tuple[str, Payload]] = field(default_factory=dict)
    endings: int = 0

    def asked(self, number: int, action: str, payload: Payload) -> None:
        action, payload, _ = neutral(action, payload, {})
        self.open[number] = (action, payload)

    def reservation_ended(self, reservation_id: int) -> None:
        """With a cause that was announced: the promise is kept."""
        self.endings += 1
        self.ended[reservation_id] = self.ended.get(reservation_id, 0) + 1
        self.reservations.pop(reservation_id, None)

    def acknowledged(self, number: int, action: str, asked: Payload, answer: Payload) -> None:
        action, asked, answer = neutral(action, asked, answer)
        self.open.pop(number, None)
        self._forget_older(number, action, asked)
        status = answer.get("status")
        match action:
            case "ReserveNow" if status == "Accepted":
                self._reserved(asked)
            case "ChangeConfiguration" if asked["key"] in ("AuthorizationKey", "SecurityProfile"):
                pass  # no rows of the configuration: the way to the CSMS has its own laws
            case "ChangeConfiguration" if status in ("Accepted", "RebootRequired"):
                self.values[asked["key"]] = asked["value"]
            case "ChangeAvailability":
                for connector in self._touched(asked):
                    kept = asked["type"] == "Operative" if status in ("Accepted", "Scheduled") else None
                    self.operative[connector] = max(
                        self.operative.get(connector, (0, None)), (number, kept), key=_first
                    )
            case "ChangePlace":
                kept = asked["operative"] if status in ("Accepted", "Scheduled") else None
                flag = asked["flag"]
                self.flags[flag] = max(self.flags.get(flag, (0, None)), (number, kept), key=_first)
            case "RemoteStopTransaction" if status == "Accepted":
                self.stopped.add(asked["transactionId"])
            case _:
                pass

    def _forget_older(self, number: int, action: str, asked: Payload) -> None:
        """Requests come in order: what was asked before about the same has been carried out by now, or never will."""
        for older, (its_action, its_payload) in list(self.open.items()):
            if older < number and action == its_action and _about(action, its_payload) == _about(action, asked):
                del self.open[older]

    def _reserved(self, asked: Payload) -> None:
        """On the disk, or ended since it was made, which the announcements tell."""
        made = self.world.watch.held.get(asked["reservationId"])  # type: ignore[attr-defined]
        if made is None:
            assert self.ended.get(asked["reservationId"]), "an accepted reservation was never made"
            return
        self.reservations[asked["reservationId"]] = asked

    def _touched(self, asked: Payload) -> list[int]:
        return list(self.world.boxes) if asked["connectorId"] == 0 else [asked["connectorId"]]

    # --- against the disk

    def check(self) -> None:
        facts = self.world.store.load("TEST").facts
        self._check_reservations(facts)
        for key, value in self.values.items():
            allowed = {value, *self._asked_values(key)}
            row = facts.get("configuration", {}).get(key)
            default = self.world.plan.configuration.get(key, REGISTRY[key.casefold()].default or "")
            there = from_text(row)["value"] if row else default
            assert there in allowed, f"{key} was promised to be {value}, on the disk it is {there}"
        self._check_operative(facts)
        for text in facts.get("transaction", {}).values():
            row = from_text(text)
            if self.stopped & {row.get("external_ref"), row["id"]}:
                over = row.get("ending") is not None or row.get("halted") is not None
                assert over, "a transaction runs on that was promised to be stopped"

    def _check_reservations(self, facts: Mapping[str, Mapping[str, str]]) -> None:
        maybe = {payload["reservationId"] for action, payload in self.open.values() if action == "ReserveNow"}
        for number, asked in self.reservations.items():
            text = facts.get("reservation", {}).get(str(number))
            assert text is not None, f"reservation {number} was promised and is not on the disk"
            row = from_text(text)
            if number not in maybe:
                assert row["id_token"]["value"] == asked["idTag"], f"reservation {number} is somebody else's"
                assert _moment(row["expires_at"]) == datetime.fromisoformat(asked["expiryDate"])
                wanted = asked.get("target") or {"connector": asked["connectorId"] or None}
                there = {name: value for name, value in row["target"].items() if value is not None}
                assert there == {name: value for name, value in wanted.items() if value is not None}

    def _asked_values(self, key: str) -> list[str]:
        return [p["value"] for action, p in self.open.values() if action == "ChangeConfiguration" and p["key"] == key]

    def _check_operative(self, facts: Mapping[str, Mapping[str, str]]) -> None:
        if self.world.plan.switches:
            return  # 1.6's numbers and 2.0.1's levels set each other's flags
        self._check_flags(facts)
        maybe = {
            connector
            for action, payload in self.open.values()
            if action == "ChangeAvailability"
            for connector in self._touched(payload)
        }
        for connector, (_, wanted) in self.operative.items():
            if wanted is None or connector in maybe:
                continue
            row = from_text(facts.get("connector", {}).get(str(connector), "{}"))
            there = row.get("scheduled")
            there = row.get("operative", True) if there is None else there
            assert there is wanted, f"connector {connector} was promised to be {wanted}, the disk says {there}"

    def _check_flags(self, facts: Mapping[str, Mapping[str, str]]) -> None:
        """2.0.1's three levels, each a flag of its own."""
        maybe = {payload["flag"] for action, payload in self.open.values() if action == "ChangePlace"}
        for flag, (_, wanted) in self.flags.items():
            if wanted is None or flag in maybe:
                continue
            if flag == ():
                there = [from_text(facts.get("station", {}).get("", "{}")).get("operative", True)]
            else:
                numbers = [n for n in self.world.boxes if self.world.evse_of(n) == flag[0]]
                if len(flag) == 2:
                    numbers = [n for n in numbers if n == self.world.number_of(*flag)]
                rows = [from_text(facts.get("connector", {}).get(str(number), "{}")) for number in numbers]
                there = [_own_flag(row) if len(flag) == 2 else row.get("evse_operative", True) for row in rows]
            assert there and all(one is wanted for one in there), f"{flag} was promised to be {wanted}: {there}"


def _own_flag(row: Payload) -> bool:
    scheduled = row.get("scheduled")
    return bool(row.get("operative", True) if scheduled is None else scheduled)


def neutral(action: str, asked: Payload, answer: Payload) -> tuple[str, Payload, Payload]:
    """2.0.1's words for what both versions promise in the one form that is looked at here; all others as they are."""
    if action == "ReserveNow" and "id" in asked:
        target = {"evse": asked.get("evseId"), "connector_type": asked.get("connectorType")}
        told = {
            "reservationId": asked["id"],
            "idTag": asked["idToken"]["idToken"],
            "expiryDate": asked["expiryDateTime"],
            "target": target,
            "connectorId": 0,
        }
        return action, told, answer
    if action == "ChangeAvailability" and "operationalStatus" in asked:
        place = asked.get("evse", {})
        flag = tuple(place[name] for name in ("id", "connectorId") if name in place)
        return "ChangePlace", {"flag": flag, "operative": asked["operationalStatus"] == "Operative"}, answer
    if action == "RequestStopTransaction":
        return "RemoteStopTransaction", asked, answer
    if action == "SetVariables":
        one = asked["setVariableData"][0]
        key = KEYS.get((one["component"]["name"], one["variable"]["name"]))
        if key is not None:
            results = answer.get("setVariableResult", [{}])
            status = results[0].get("attributeStatus")
            return "ChangeConfiguration", {"key": key, "value": one["attributeValue"]}, {"status": status}
    return action, asked, answer


def _about(action: str, payload: Payload) -> Any:
    names = {"ReserveNow": "reservationId", "ChangeConfiguration": "key", "ChangeAvailability": "connectorId"}
    names["ChangePlace"] = "flag"
    return payload.get(names.get(action, ""), None)


def _first(numbered: tuple[int, bool | None]) -> int:
    """The last request wins, whichever was answered last."""
    return numbered[0]


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(text)


__all__ = ["Promises", "loading"]
