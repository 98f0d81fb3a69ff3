"""What an operator asks of a station in 2.0.1, by way of the CSMS: sound requests and odd ones.

`core` is what every site sees each day, `move` what stands beside it. One move at a time, from a seed of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.fakes.central201 import token

if TYPE_CHECKING:
    from tests.fakes.central import Central
    from tests.fakes.world import World

TOKENS = ("ALICE", "BOB", "CARLA", "DAN")
STATUSES = ("Accepted", "Accepted", "Accepted", "Blocked", "Expired")
START_POINTS = ("PowerPathClosed", "EVConnected", "Authorized", "EVConnected,Authorized", "Authorized,PowerPathClosed")
STOP_POINTS = (
    *("Authorized,EVConnected", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"),
    *("EnergyTransfer,EVConnected", "PowerPathClosed,Authorized"),
)
SETTINGS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("TxCtrlr", "TxStartPoint", START_POINTS),
    ("TxCtrlr", "TxStopPoint", STOP_POINTS),
    ("TxCtrlr", "EVConnectionTimeOut", ("20", "60")),
    ("TxCtrlr", "StopTxOnEVSideDisconnect", ("true", "false")),
    ("TxCtrlr", "StopTxOnInvalidId", ("true", "false")),
    ("SampledDataCtrlr", "TxUpdatedInterval", ("30", "45", "0")),
    ("SampledDataCtrlr", "TxEndedInterval", ("0", "20")),
    ("AlignedDataCtrlr", "Interval", ("0", "120")),
    ("AlignedDataCtrlr", "SendDuringIdle", ("true", "false")),
    ("AuthCtrlr", "LocalPreAuthorize", ("true", "false")),
    ("AuthCtrlr", "MasterPassGroupId", ("", "MASTERS")),
    ("OCPPCommCtrlr", "OfflineThreshold", ("0", "30")),
)
WATCHED: tuple[tuple[dict[str, Any], str, str, float], ...] = (
    ({"name": "EVSE", "evse": {"id": 1}}, "AvailabilityState", "Delta", 1.0),
    ({"name": "Connector", "evse": {"id": 2, "connectorId": 1}}, "AvailabilityState", "Periodic", 20.0),
    ({"name": "EVSE", "evse": {"id": 1}}, "Power", "UpperThreshold", 5000.0),
    ({"name": "EVSE", "evse": {"id": 2}}, "Power", "LowerThreshold", 100.0),
    ({"name": "EVSE", "evse": {"id": 2}}, "Power", "PeriodicClockAligned", 60.0),
    ({"name": "TxCtrlr"}, "EVConnectionTimeOut", "Delta", 5.0),
)


class Operator201:
    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(f"operator 2.0.1 {world.seed}")
        self.version = 0
        self.requests = 0
        self.daily: tuple[Callable[[], None], ...] = (
            *(self.reserve, self.reserve, self.reserve, self.reserve, self.cancel),
            *(self.start, self.start, self.stop, self.availability, self.unlock),
            *(self.set_variable, self.set_variable, self.trigger, self.ask_status, self.reset),
        )
        self.moves: tuple[Callable[[], None], ...] = (
            *(self.send_list, self.set_profile, self.set_profile, self.clear_profile, self.compose),
            *(self.report_profiles, self.monitor, self.monitor, self.clear_monitor, self.monitoring),
            *(self.message, self.message, self.messages, self.cost, self.customer, self.report, self.get_variables),
            *(self.update_firmware, self.get_log, self.install, self.delete, self.sign, self.signed),
            *(self.transfer, self.password, self.network, self.network, self.clear_cache),
        )

    @property
    def central(self) -> Central:
        return self.world.central

    def core(self) -> None:
        self.random.choice(self.daily)()

    def move(self) -> None:
        self.random.choice(self.moves)()

    def ask(self, action: str, **payload: Any) -> None:
        self.central.ask(action, payload)

    def some(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def at(self, low_s: float, high_s: float) -> str:
        moment: datetime = self.world.true_utc() + timedelta(seconds=self.random.uniform(low_s, high_s))
        return moment.isoformat()

    def number(self) -> int:
        self.requests += 1
        return self.requests

    def place(self) -> int:
        """A connector of the site, or 0."""
        return self.random.choice([0, *self.world.boxes])

    def running(self) -> list[str]:
        return [one.id for one in self.central.books.courses.values() if not one.ended]

    # --- every day

    def reserve(self) -> None:
        """Any place, any with a connector type, or one EVSE, with a type or without."""
        number = self.place()
        kinds = {one.number: one.connector_type for one in self.world.plan.layouts}
        kind = self.some(None, None, None, kinds.get(number), kinds.get(number, "cType2"), "cCCS2")
        seconds = self.random.uniform(-5, 600)
        self.central.reserve(self.random.randrange(1, 5), number, self.some(*TOKENS), seconds, kind=kind)

    def cancel(self) -> None:
        self.ask("CancelReservation", reservationId=self.random.randrange(1, 5))

    def start(self) -> None:
        number, name = self.place(), self.some(*TOKENS)
        where: dict[str, Any] = {"evseId": self.world.evse_of(number)} if number else {}
        if name in ("ALICE", "BOB") and self.random.random() < 0.5:
            where["groupIdToken"] = token("FAMILY", "Central")
        if self.random.random() < 0.3:
            profile = self.profile("TxProfile")
            where["chargingProfile"] = profile
        kind = self.some("ISO14443", "ISO14443", "Central")
        self.ask("RequestStartTransaction", idToken=token(name, kind), remoteStartId=self.number(), **where)

    def stop(self) -> None:
        self.ask("RequestStopTransaction", transactionId=self.some("no such", *self.running()))

    def availability(self) -> None:
        """The station, an EVSE, or a connector."""
        number = self.random.choice(list(self.world.boxes))
        evse: dict[str, Any] = {"id": self.world.evse_of(number)}
        if self.random.random() < 0.5:
            layout = next(one for one in self.world.plan.layouts if one.number == number)
            evse["connectorId"] = layout.connector_id
        where = self.some({}, {"evse": evse}, {"evse": evse})
        self.ask("ChangeAvailability", operationalStatus=self.some("Operative", "Operative", "Inoperative"), **where)

    def unlock(self) -> None:
        layout = self.random.choice(self.world.plan.layouts)
        self.ask("UnlockConnector", evseId=layout.evse_id, connectorId=layout.connector_id)

    def set_variable(self) -> None:
        component, variable, values = self.random.choice(SETTINGS)
        self.set(component, variable, self.random.choice(values))

    def set(self, component: str, variable: str, value: str, instance: str | None = None) -> None:
        named = {"name": variable, **({} if instance is None else {"instance": instance})}
        change = {"component": {"name": component}, "variable": named, "attributeValue": value}
        self.ask("SetVariables", setVariableData=[change])

    def trigger(self) -> None:
        wanted = self.some(
            *("StatusNotification", "MeterValues", "Heartbeat", "BootNotification", "TransactionEvent"),
            *("FirmwareStatusNotification", "LogStatusNotification", "SignChargingStationCertificate"),
        )
        layout = self.random.choice(self.world.plan.layouts)
        places: tuple[dict[str, Any], ...] = ({}, {"evse": {"id": layout.evse_id, "connectorId": layout.connector_id}})
        if wanted == "SignChargingStationCertificate":
            self.central.triggered.add("SignCertificate")
        self.ask("TriggerMessage", requestedMessage=wanted, **self.random.choice(places))

    def ask_status(self) -> None:
        named = self.some({}, {"transactionId": self.some("no such", *self.running())})
        self.ask("GetTransactionStatus", **named)

    def reset(self) -> None:
        evse = {"evseId": self.some(1, 2, 3)} if self.random.random() < 0.6 else {}
        if self.random.random() < 0.6:
            self.ask("Reset", type=self.some("Immediate", "OnIdle", "OnIdle"), **evse)

    # --- lists, profiles

    def send_list(self) -> None:
        if self.random.random() < 0.3:
            self.ask("GetLocalListVersion")
            return
        full = self.random.random() < 0.4
        self.version += self.some(1, 1, 1, 0)
        entries: list[dict[str, Any]] = []
        for name in self.random.sample(TOKENS, self.random.randrange(len(TOKENS))):
            info: dict[str, Any] = {"status": self.some(*STATUSES)}
            if name in ("ALICE", "BOB"):
                info["groupIdToken"] = token("FAMILY", "Central")
            if self.random.random() < 0.2:
                info["cacheExpiryDateTime"] = self.at(-100, 900)
            entry: dict[str, Any] = {"idToken": token(name)}
            entries.append({**entry, "idTokenInfo": info} if full or self.random.random() < 0.7 else entry)
        listed = {"localAuthorizationList": entries} if entries else {}
        self.ask(
            "SendLocalList", versionNumber=max(1, self.version), updateType="Full" if full else "Differential", **listed
        )

    def profile(self, purpose: str) -> dict[str, Any]:
        kind = self.some("Absolute", "Absolute", "Recurring", "Relative")
        starts = [0, *sorted(self.random.sample(range(5, 400), self.random.randrange(4)))]
        unit = self.some("A", "A", "W")
        factor = 690.0 if unit == "W" else 1.0
        limits = (0.0, 5.0, 6.0, 8.5, 10.0, 16.0, 24.0, 32.0, 40.0)
        schedule: dict[str, Any] = {
            "id": 1,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [
                {"startPeriod": start, "limit": round(self.random.choice(limits) * factor, 1)} for start in starts
            ],
        }
        if self.random.random() < 0.4:
            schedule["duration"] = self.some(60, 300, 900)
        if kind != "Relative":
            schedule["startSchedule"] = self.at(-86_400 if kind == "Recurring" else -300, 60)
        profile: dict[str, Any] = {
            "id": self.random.randrange(1, 9),
            "stackLevel": self.some(0, 0, 1, 2, 500),
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": kind,
            "chargingSchedule": [schedule],
        }
        if kind == "Recurring":
            profile["recurrencyKind"] = self.some("Daily", "Weekly")
        if self.random.random() < 0.3:
            profile["validTo"] = self.at(-20, 400)
        return profile

    def set_profile(self) -> None:
        purpose = self.some("ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile", "TxProfile")
        profile, number = self.profile(purpose), self.place()
        evse = self.world.evse_of(number) if number and purpose != "ChargingStationMaxProfile" else 0
        running = [one for one in self.central.books.courses.values() if not one.ended and one.evse is not None]
        if purpose == "TxProfile" and running:
            course = self.random.choice(running)
            profile["transactionId"], evse = course.id, course.evse or 0
        self.ask("SetChargingProfile", evseId=evse, chargingProfile=profile)

    def clear_profile(self) -> None:
        criteria: dict[str, Any] = {}
        if self.random.random() < 0.4:
            criteria["chargingProfilePurpose"] = self.some("TxDefaultProfile", "TxProfile")
        if self.random.random() < 0.3:
            criteria["stackLevel"] = self.some(0, 1)
        if criteria:
            self.ask("ClearChargingProfile", chargingProfileCriteria=criteria)
        else:
            self.ask("ClearChargingProfile", chargingProfileId=self.random.randrange(1, 9))

    def compose(self) -> None:
        unit = self.some({}, {"chargingRateUnit": "A"}, {"chargingRateUnit": "W"})
        self.ask("GetCompositeSchedule", evseId=self.some(0, 1, 2), duration=self.some(60, 3600, 10**6), **unit)

    def report_profiles(self) -> None:
        criterion = self.some({"chargingProfilePurpose": "TxDefaultProfile"}, {"stackLevel": 0})
        self.ask("GetChargingProfiles", requestId=self.number(), chargingProfile=criterion)

    # --- monitors, messages, reports

    def monitor(self) -> None:
        component, variable, kind, value = self.random.choice(WATCHED)
        order = {
            "value": value,
            "type": kind,
            "severity": self.some(0, 5, 9),
            "component": component,
            "variable": {"name": variable},
            "transaction": self.random.random() < 0.3,
        }
        self.ask("SetVariableMonitoring", setMonitoringData=[order])

    def clear_monitor(self) -> None:
        self.ask("ClearVariableMonitoring", id=[self.some(1, 1001, 10_000, 10_001, 10_002, 10_003)])

    def monitoring(self) -> None:
        choice = self.random.randrange(3)
        if choice == 0:
            self.ask("SetMonitoringBase", monitoringBase=self.some("All", "FactoryDefault", "HardWiredOnly"))
        elif choice == 1:
            self.ask("SetMonitoringLevel", severity=self.some(0, 4, 9, 9))
        else:
            self.ask("GetMonitoringReport", requestId=self.number())

    def message(self) -> None:
        told: dict[str, Any] = {
            "id": self.random.randrange(1, 5),
            "priority": self.some("AlwaysFront", "InFront", "NormalCycle"),
            "message": {"format": "UTF8", "content": "welcome"},
        }
        if self.random.random() < 0.4:
            told["endDateTime"] = self.at(-20, 200)
        if self.random.random() < 0.3:
            told["transactionId"] = self.some("no such", *self.running())
        self.ask("SetDisplayMessage", message=told)

    def messages(self) -> None:
        if self.random.random() < 0.5:
            self.ask("GetDisplayMessages", requestId=self.number())
        else:
            self.ask("ClearDisplayMessage", id=self.random.randrange(1, 5))

    def cost(self) -> None:
        self.ask("CostUpdated", totalCost=2.5, transactionId=self.some("no such", *self.running()))

    def customer(self) -> None:
        named = {"idToken": token(self.some(*TOKENS))}
        self.ask("CustomerInformation", requestId=self.number(), report=True, clear=self.random.random() < 0.3, **named)

    def report(self) -> None:
        if self.random.random() < 0.4:
            base = self.some("FullInventory", "SummaryInventory", "ConfigurationInventory")
            self.ask("GetBaseReport", requestId=self.number(), reportBase=base)
            return
        self.ask("GetReport", requestId=self.number(), componentVariable=[{"component": {"name": "EVSE"}}])

    def get_variables(self) -> None:
        component, variable, _ = self.random.choice(SETTINGS)
        self.ask("GetVariables", getVariableData=[{"component": {"name": component}, "variable": {"name": variable}}])

    # --- files, certificates

    def update_firmware(self) -> None:
        firmware: dict[str, Any] = {
            "location": self.some("http://files.example/f.bin", "ftp://files.example/f", "gopher://odd"),
            "retrieveDateTime": self.at(-60, 60),
        }
        if self.random.random() < 0.6:
            firmware["signingCertificate"] = f"signer {self.some('good', 'good', 'good', 'bad', 'revoked', 'broken')}"
            firmware["signature"] = self.some("good", "good", "good", "bad", "broken")
        if self.random.random() < 0.3:
            firmware["installDateTime"] = self.at(-60, 120)
        retries = self.some({}, {"retries": 3, "retryInterval": 5})
        self.ask("UpdateFirmware", requestId=self.number(), firmware=firmware, **retries)

    def get_log(self) -> None:
        log = {"remoteLocation": self.some("ftp://files.example/logs/", "http://files.example/logs/", "nowhere")}
        self.ask("GetLog", logType=self.some("DiagnosticsLog", "SecurityLog"), requestId=self.number(), log=log)

    def install(self) -> None:
        use = self.some("CSMSRootCertificate", "ManufacturerRootCertificate", "ManufacturerRootCertificate")
        name = self.some("one", "two", "three")
        pem = f"root {name} {self.some('good', 'good', 'good', 'bad', 'broken')} {self.some('signed', '')}"
        self.ask("InstallCertificate", certificateType=use, certificate=pem)

    def delete(self) -> None:
        self.ask("GetInstalledCertificateIds", certificateType=["CSMSRootCertificate"])
        if self.central.installed:
            self.ask("DeleteCertificate", certificateHashData=self.random.choice(self.central.installed))

    def sign(self) -> None:
        self.set("SecurityCtrlr", "OrganizationName", self.some("Operator", "Operator", ""))
        self.central.triggered.add("SignCertificate")
        self.ask("TriggerMessage", requestedMessage="SignChargingStationCertificate")

    def signed(self) -> None:
        keys = [*self.central.requests[-2:], "key-0"]
        chain = f"chain {self.random.choice(keys)} {self.some('good', 'good', 'bad')}"
        self.ask("CertificateSigned", certificateChain=chain, certificateType="ChargingStationCertificate")

    # --- data, the way to the CSMS

    def transfer(self) -> None:
        data = self.some({"a": 1}, "x" * 6000, [1, 2], None)
        self.ask("DataTransfer", vendorId=self.some("vendor", "nobody"), **({} if data is None else {"data": data}))

    def password(self) -> None:
        """Only in words that 2.0.1 allows; one that is not promised is told and then not kept to."""
        password = f"password-{self.random.randrange(10**9):012d}"
        if self.random.random() < 0.5:
            self.world.door.promised.add(password.encode())
        self.set("SecurityCtrlr", "BasicAuthPassword", password)

    def network(self) -> None:
        """Another address of this CSMS, one that is nobody's, or another order of those that there are."""
        if self.random.random() < 0.5:
            self.set("OCPPCommCtrlr", "NetworkConfigurationPriority", self.some("1", "2,1", "1,2", "3,2", "2"))
            return
        profile = self.world.door.profile
        scheme = "wss" if profile >= 2 else "ws"
        data = {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": f"{scheme}://{self.some('second.example', 'second.example', 'nobody.example')}",
            "messageTimeout": 30,
            "securityProfile": profile,
            "ocppInterface": "Wired0",
        }
        self.ask("SetNetworkProfile", configurationSlot=self.some(2, 2, 3), connectionData=data)

    def clear_cache(self) -> None:
        self.ask("ClearCache")


__all__ = ["Operator201"]
