"""What an operator asks of a station beside the core, by way of the CSMS: sound requests and odd ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.fakes.door import CLOSED, ODD

if TYPE_CHECKING:
    from tests.fakes.central import Central
    from tests.fakes.world import World

TOKENS = ("ALICE", "BOB", "CARLA", "DAN", "EVE")
STATUSES = ("Accepted", "Accepted", "Accepted", "Blocked", "Expired")
REFUSED = ("PropertyConstraintViolation", "NotSupported", "TypeConstraintViolation", "FormationViolation")


class Operator:
    """One move at a time, from a seed of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(f"operator {world.seed}")
        self.version = 0
        self.moves: tuple[Callable[[], None], ...] = (
            self.send_list,
            self.send_list,
            self.set_profile,
            self.set_profile,
            self.set_profile,
            self.clear_profile,
            self.compose,
            self.start_with_profile,
            self.update_firmware,
            self.update_firmware,
            self.get_log,
            self.get_log,
            self.install,
            self.delete,
            self.sign,
            self.signed,
            self.transfer,
            self.trigger,
            self.access,
            self.access,
        )

    @property
    def central(self) -> Central:
        return self.world.central

    def move(self) -> None:
        self.random.choice(self.moves)()

    def ask(self, action: str, **payload: Any) -> None:
        self.central.ask(action, payload)

    def at(self, low_s: float, high_s: float) -> str:
        moment: datetime = self.world.true_utc() + timedelta(seconds=self.random.uniform(low_s, high_s))
        return moment.isoformat()

    def place(self) -> int:
        return self.random.choice([0, *self.world.boxes])

    def some(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    # --- lists

    def send_list(self) -> None:
        if self.random.random() < 0.3:
            self.ask("GetLocalListVersion")
            return
        full = self.random.random() < 0.4
        self.version += self.some(1, 1, 1, 0, -1)
        entries: list[dict[str, Any]] = []
        for token in self.random.sample(TOKENS, self.random.randrange(len(TOKENS))):
            info: dict[str, Any] = {"status": self.some(*STATUSES)}
            if token in ("ALICE", "BOB"):
                info["parentIdTag"] = "FAMILY"
            if self.random.random() < 0.2:
                info["expiryDate"] = self.at(-100, 900)
            entries.append(
                {"idTag": token, "idTagInfo": info} if full or self.random.random() < 0.7 else {"idTag": token}
            )
        self.ask(
            "SendLocalList",
            listVersion=self.version,
            updateType="Full" if full else "Differential",
            localAuthorizationList=entries,
        )

    # --- profiles

    def profile(self, purpose: str) -> dict[str, Any]:
        kind = self.some("Absolute", "Absolute", "Recurring", "Relative")
        starts = [0, *sorted(self.random.sample(range(5, 400), self.random.randrange(4)))]
        if self.random.random() < 0.05:
            starts.reverse()
        unit = self.some("A", "A", "W")
        limits = (0.0, 5.0, 6.0, 8.5, 10.0, 16.0, 24.0, 32.0, 40.0)
        factor = 690.0 if unit == "W" else 1.0
        schedule: dict[str, Any] = {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [
                {"startPeriod": start, "limit": round(self.random.choice(limits) * factor, 1)} for start in starts
            ],
        }
        if self.random.random() < 0.5:
            schedule["duration"] = self.some(0, 60, 300, 900)
        if kind != "Relative" and self.random.random() < 0.95:
            schedule["startSchedule"] = self.at(-86_400 * 1.02 if kind == "Recurring" else -300, 60)
        profile: dict[str, Any] = {
            "chargingProfileId": self.random.randrange(1, 9),
            "stackLevel": self.some(0, 0, 1, 2, 500),
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": kind,
            "chargingSchedule": schedule,
        }
        if kind == "Recurring" or self.random.random() < 0.03:
            profile["recurrencyKind"] = self.some("Daily", "Weekly")
        if self.random.random() < 0.2:
            profile["validFrom"] = self.at(-200, 100)
        if self.random.random() < 0.3:
            profile["validTo"] = self.at(-20, 400)
        return profile

    def set_profile(self) -> None:
        purpose = self.some("ChargePointMaxProfile", "TxDefaultProfile", "TxDefaultProfile", "TxProfile", "TxProfile")
        place = 0 if purpose == "ChargePointMaxProfile" and self.random.random() < 0.9 else self.place()
        profile = self.profile(purpose)
        running = [s for s in self.central.sessions.values() if s.stop is None]
        if purpose == "TxProfile" and running:
            session = self.random.choice(running)
            place = session.start["connectorId"] if self.random.random() < 0.8 else place
            if self.random.random() < 0.6:
                profile["transactionId"] = session.id
        self.ask("SetChargingProfile", connectorId=place, csChargingProfiles=profile)

    def clear_profile(self) -> None:
        payload: dict[str, Any] = {}
        if self.random.random() < 0.5:
            payload["id"] = self.random.randrange(1, 9)
        if self.random.random() < 0.3:
            payload["connectorId"] = self.place()
        if self.random.random() < 0.3:
            payload["chargingProfilePurpose"] = self.some("TxDefaultProfile", "TxProfile")
        if self.random.random() < 0.3:
            payload["stackLevel"] = self.some(0, 1)
        self.ask("ClearChargingProfile", **payload)

    def compose(self) -> None:
        unit = self.some({}, {"chargingRateUnit": "A"}, {"chargingRateUnit": "W"})
        self.ask("GetCompositeSchedule", connectorId=self.place(), duration=self.some(0, 60, 3600, 10**6), **unit)

    def start_with_profile(self) -> None:
        purpose = self.some("TxProfile", "TxProfile", "TxProfile", "TxDefaultProfile")
        place = self.place()
        where = {"connectorId": place} if place else {}
        profile = self.profile(purpose)
        self.ask("RemoteStartTransaction", idTag=self.some(*TOKENS[:4]), chargingProfile=profile, **where)

    # --- files

    def update_firmware(self) -> None:
        location = self.some("http://files.example/f.bin", "ftp://files.example/f", "gopher://odd")
        retries = self.some({}, {"retries": 3, "retryInterval": 5})
        if self.random.random() < 0.4:
            self.ask("UpdateFirmware", location=location, retrieveDate=self.at(-60, 60), **retries)
            return
        firmware = {
            "location": location,
            "retrieveDateTime": self.at(-60, 60),
            "signingCertificate": f"signer {self.some('good', 'good', 'good', 'bad', 'revoked', 'broken')}",
            "signature": self.some("good", "good", "good", "bad", "broken"),
        }
        if self.random.random() < 0.3:
            firmware["installDateTime"] = self.at(-60, 120)
        self.ask("SignedUpdateFirmware", requestId=self.random.randrange(1, 50), firmware=firmware, **retries)

    def get_log(self) -> None:
        location = self.some("ftp://files.example/logs/", "http://files.example/logs/", "nowhere")
        if self.random.random() < 0.5:
            times = self.some({}, {"startTime": self.at(-900, -10)})
            self.ask("GetDiagnostics", location=location, **times)
            return
        kind = self.some("DiagnosticsLog", "SecurityLog")
        log = {"remoteLocation": location}
        self.ask("GetLog", logType=kind, requestId=self.random.randrange(1, 50), log=log)

    # --- certificates

    def install(self) -> None:
        use = self.some("CentralSystemRootCertificate", "ManufacturerRootCertificate", "ManufacturerRootCertificate")
        name = self.some("one", "two", "three")
        pem = f"root {name} {self.some('good', 'good', 'good', 'bad', 'broken')} {self.some('signed', '')}"
        self.ask("InstallCertificate", certificateType=use, certificate=pem)

    def delete(self) -> None:
        use = self.some("CentralSystemRootCertificate", "ManufacturerRootCertificate")
        self.ask("GetInstalledCertificateIds", certificateType=use)
        if self.central.installed:
            self.ask("DeleteCertificate", certificateHashData=self.random.choice(self.central.installed))

    def sign(self) -> None:
        self.ask("ChangeConfiguration", key="CpoName", value=self.some("Operator", "Operator", ""))
        self.central.triggered.add("SignCertificate")
        self.ask("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")

    def signed(self) -> None:
        keys = [*self.central.requests[-2:], "key-0"]
        self.ask(
            "CertificateSigned", certificateChain=f"chain {self.random.choice(keys)} {self.some('good', 'good', 'bad')}"
        )

    # --- data, triggers

    def transfer(self) -> None:
        self.ask("DataTransfer", vendorId=self.some("vendor", "Vendor", "nobody"), data="x" * self.some(1, 100, 6000))

    def trigger(self) -> None:
        wanted = self.some(
            "FirmwareStatusNotification", "LogStatusNotification", "Heartbeat", "MeterValues", "StatusNotification"
        )
        message = {"FirmwareStatusNotification": "SignedFirmwareStatusNotification"}.get(wanted, wanted)
        self.central.triggered.add(message)
        self.ask("ExtendedTriggerMessage", requestedMessage=wanted)

    # --- the way to the CSMS

    def access(self) -> None:
        """Passwords in any number, profiles one after the other; a dishonest order is told and then not kept to."""
        door = self.world.door
        honest = self.random.random() < 0.5
        if self.random.random() < 0.7:
            for _ in range(self.some(1, 1, 2)):
                password = f"password {self.random.randrange(10**9):012d}"
                if self.random.random() < 0.5:
                    door.promised.add(password.encode())
                self.ask("ChangeConfiguration", key="AuthorizationKey", value=password)
            return
        if door.ordered:
            return
        profile = door.profile + 1
        if self.central.ask("ChangeConfiguration", {"key": "SecurityProfile", "value": str(profile)}):
            door.ordered = True
            if honest:
                door.failures.pop(profile, None)
            else:
                door.failures[profile] = self.some(CLOSED, ODD)
