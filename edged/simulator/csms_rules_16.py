"""What OCPP 1.6 asks of a station beyond the wire: it names no transaction that nobody gave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from edged.simulator.csms_rules import Payload, StationView
from edged.simulator.ocpp_schemas import SCHEMAS_16


class Conduct16:
    """Keeps the transaction ids that were given out."""

    name = "1.6"
    schemas = SCHEMAS_16
    malformed_code = "FormationViolation"
    early_code: str | None = None
    triggers: Mapping[str, str] = {"SignChargePointCertificate": "SignCertificate"}
    repeated: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._given: set[int] = set()

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
        return

    def answered(self, station: str, action: str, asked: Payload, answer: Payload | None) -> Iterable[str]:
        return ()
