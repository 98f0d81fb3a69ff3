"""How the simulated CSMS answers stations of OCPP 2.0.1 when no script says otherwise.

Knows tokens by value and type; remembers nothing. Answers to actions it has no word for are empty.
"""

from __future__ import annotations

from edged.simulator.csms_answers import CallFromStation, Token, utc_now

UNASKED_TYPES = frozenset({"NoAuthorization", "Central"})
"""Tokens that no driver holds: nobody asks whether they are good (C02, C05.FR.01)."""


class Answers201:
    """The usual answers. `tokens` may be changed by tests."""

    def __init__(self, *, tokens: dict[str, Token], heartbeat_interval_s: int) -> None:
        self.tokens = tokens
        self.heartbeat_interval_s = heartbeat_interval_s

    def default(self, call: CallFromStation) -> dict[str, object]:
        """The usual answer."""
        payload = call.payload
        match call.action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": utc_now(), "interval": self.heartbeat_interval_s}
            case "Heartbeat":
                return {"currentTime": utc_now()}
            case "Authorize":
                return {"idTokenInfo": self.token(payload.get("idToken")).info_201()}
            case "TransactionEvent" if "idToken" in payload:
                return {"idTokenInfo": self.token(payload["idToken"]).info_201()}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case "SignCertificate" | "NotifyEVChargingNeeds" | "NotifyEVChargingSchedule":
                return {"status": "Accepted"}
            case "GetCertificateStatus":
                return {"status": "Failed"}
            case "Get15118EVCertificate":
                return {"status": "Failed", "exiResponse": ""}
            case _:
                return {}

    def token(self, shown: object) -> Token:
        """What is known of an idToken: values are compared whatever their case, types exactly (C01.FR.25)."""
        if not isinstance(shown, dict):
            return Token("Invalid")
        if shown.get("type") in UNASKED_TYPES:
            return Token()
        wanted = str(shown.get("idToken")).casefold()
        fits = (
            token
            for value, token in self.tokens.items()
            if value.casefold() == wanted and token.type in (None, shown.get("type"))
        )
        return next(fits, Token("Unknown"))
