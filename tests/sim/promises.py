"""What the station has promised with an answer that arrived: it must be on the disk, whatever happens after.

A request whose answer never arrived may have been carried out or not; then both are allowed until a later request
about the same thing is answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edged.store import loading

if TYPE_CHECKING:
    from tests.fakes.world import World

Payload = Mapping[str, Any]


@dataclass
class Promises:
    """`open`: requests of each kind that were not answered yet, by number."""

    world: World
    reservations: dict[int, Payload] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    asked_when: dict[int, dict[int, int]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    operative: dict[int, tuple[int, bool | None]] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    open: dict[int, tuple[str, Payload]] = field(default_factory=dict)
    endings: int = 0

    def asked(self, number: int, action: str, payload: Payload) -> None:
        self.open[number] = (action, payload)

    def reservation_ended(self, reservation_id: int) -> None:
        """With a cause that was announced: the promise is kept."""
        self.endings += 1
        self.ended[reservation_id] = self.ended.get(reservation_id, 0) + 1
        self.reservations.pop(reservation_id, None)

    def acknowledged(self, number: int, action: str, asked: Payload, answer: Payload) -> None:
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
            default = self.world.plan.configuration.get(key, "")
            there = json.loads(row)["value"] if row else default
            assert there in allowed, f"{key} was promised to be {value}, on the disk it is {there}"
        self._check_operative(facts)
        for text in facts.get("transaction", {}).values():
            row = json.loads(text)
            if row.get("external_ref") in self.stopped:
                assert row.get("ending") is not None, "a transaction runs on that was promised to be stopped"

    def _check_reservations(self, facts: Mapping[str, Mapping[str, str]]) -> None:
        maybe = {payload["reservationId"] for action, payload in self.open.values() if action == "ReserveNow"}
        for number, asked in self.reservations.items():
            text = facts.get("reservation", {}).get(str(number))
            assert text is not None, f"reservation {number} was promised and is not on the disk"
            row = json.loads(text)
            if number not in maybe:
                assert row["id_token"]["value"] == asked["idTag"], f"reservation {number} is somebody else's"
                assert _moment(row["expires_at"]) == datetime.fromisoformat(asked["expiryDate"])
                assert row["target"].get("connector") == (asked["connectorId"] or None)

    def _asked_values(self, key: str) -> list[str]:
        return [p["value"] for action, p in self.open.values() if action == "ChangeConfiguration" and p["key"] == key]

    def _check_operative(self, facts: Mapping[str, Mapping[str, str]]) -> None:
        maybe = {
            connector
            for action, payload in self.open.values()
            if action == "ChangeAvailability"
            for connector in self._touched(payload)
        }
        for connector, (_, wanted) in self.operative.items():
            if wanted is None or connector in maybe:
                continue
            row = json.loads(facts.get("connector", {}).get(str(connector), "{}"))
            there = row.get("scheduled")
            there = row.get("operative", True) if there is None else there
            assert there is wanted, f"connector {connector} was promised to be {wanted}, the disk says {there}"


def _about(action: str, payload: Payload) -> Any:
    names = {"ReserveNow": "reservationId", "ChangeConfiguration": "key", "ChangeAvailability": "connectorId"}
    return payload.get(names.get(action, ""), None)


def _first(numbered: tuple[int, bool | None]) -> int:
    """The last request wins, whichever was answered last."""
    return numbered[0]


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(text)


__all__ = ["Promises", "loading"]
