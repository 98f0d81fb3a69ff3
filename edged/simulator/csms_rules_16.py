"""What OCPP 1.6 asks of a station beyond the wire: it names no transaction that nobody gave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from edged.simulator.csms_rules import Payload, StationView
from edged.simulator.ocpp_schemas import SCHEMAS_16

IDS = {
    "ReserveNow": ("ReserveNow", "reservationId"),
    "GetLog": ("GetLog", "requestId"),
    "SignedUpdateFirmware": ("UpdateFirmware", "requestId"),
}
"""The ids that the CSMS gives out and that a later version may name: what that calls the order, and our field."""


class Conduct16:
    """Keeps the transaction ids that were given out. `ids`: what the CSMS ordered, in all versions, by station and
    order."""

    name = "1.6"
    schemas = SCHEMAS_16
    malformed_code = "FormationViolation"
    early_code: str | None = None
    triggers: Mapping[str, str] = {"SignChargePointCertificate": "SignCertificate"}
    repeated: frozenset[str] = frozenset()

    def __init__(self, ids: dict[tuple[str, str], set[object]] | None = None) -> None:
        self._given: set[int] = set()
        self._ids = {} if ids is None else ids

    def may_be_early(self, station: StationView, action: str, payload: Payload) -> bool:
        return False

    def line(self, station: str, *, up: bool, at: datetime) -> None:
        return

    def called(self, station: str, message_id: str, action: str, payload: Payload) -> Iterable[str]:
        transaction_id = payload.get("transactionId")
        if isinstance(transaction_id, int) and transaction_id >= 0 and transaction_id not in self._given:
            yield f"{action} names the transaction {transaction_id}, which nobody gave out"

    def told(self, station: str, action: str, payload: Payload) -> None:
        transaction_id = payload.get("transactionId")
        if action == "StartTransaction" and isinstance(transaction_id, int):
            self._given.add(transaction_id)

    def asked(self, station: str, action: str, payload: Payload) -> None:
        if action in IDS:
            order, member = IDS[action]
            self._ids.setdefault((station, order), set()).add(payload.get(member))

    def answered(self, station: str, action: str, asked: Payload, answer: Payload | None) -> Iterable[str]:
        return ()
