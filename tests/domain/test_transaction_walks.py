"""Whatever people, cars, chargers and the CSMS do in any order: what a 2.0.1 CSMS is told makes sense to it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from edged.dialects.v201 import POLICY, Ocpp201
from edged.dialects.v201.schemas import call_violation
from edged.domain.commands import RequestStop, ResetKind, ResetStation, TriggerMessage
from edged.domain.desired import desired
from edged.domain.effects import AskAuthorization, NoticeKind, TransactionRecord
from edged.domain.events import BootAnswered, LinkUp, RecordDelivered, Registration
from edged.domain.hardware import Capability, ChargerState
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo
from edged.ocpp.rpc import Request
from edged.simulator.csms_transactions import Transactions
from tests.fakes.site import FULL, Site, layout

STARTS = ("Authorized", "EVConnected", "PowerPathClosed", "EVConnected,Authorized")
STOPS = ("Authorized", "EVConnected", "PowerPathClosed", "EnergyTransfer", "Authorized,EVConnected")
FLAGS = ("StopTransactionOnEVSideDisconnect", "StopTransactionOnInvalidId", "UnlockConnectorOnEVSideDisconnect")
CAPABILITIES = (FULL, FULL | {Capability.LOCK_CONTROL}, FULL - {Capability.DETACHABLE})
CASES = list(itertools.product(STARTS, STOPS))
MOVES = 100
WORDS = (*AuthorizationStatus, *(AuthorizationStatus.ACCEPTED,) * 8)
DIALECT = Ocpp201()


class Walk:
    """One site whose every record is worded as it is written, and judged by the simulated CSMS."""

    def __init__(self, start: str, stop: str, seed: int) -> None:
        self.rng = random.Random(f"{start} {stop} {seed}")
        energy = "Energy.Active.Import.Register"
        keys = {"TxStartPoint": start, "TxStopPoint": stop, "StopTxnSampledData": energy, "ConnectionTimeOut": "4"}
        keys |= {name: self.rng.choice(("true", "false")) for name in FLAGS}
        keys |= {"MeterValueSampleInterval": self.rng.choice(("0", "7")), "MaxEnergyOnInvalidId": "100"}
        keys |= {"TxEndedSampleInterval": self.rng.choice(("0", "5"))}
        shapes = tuple(layout(n, capabilities=self.rng.choice(CAPABILITIES)) for n in (1, 2))
        self.site = Site.build(layouts=shapes, policy=POLICY, configuration=keys)
        self.csms = Transactions()
        self.told = 0

    def go(self) -> None:
        moves: tuple[Callable[[], object], ...] = (
            *(self._look, self._look, self._look, self._show, self._deliver, self._answer, self._wait),
            *(self._line, self._stop, self._start, self._restart, self._trigger, self._silence, self._rest),
        )
        weights = (9, 9, 9, 9, 25, 9, 9, *(2, 2, 2, 1, 1, 1, 1))
        for _ in range(MOVES):
            self.rng.choices(moves, weights)[0]()
            self._judge()

    def _judge(self) -> None:
        records = self.site.records()
        for record in records[self.told :]:
            request = DIALECT.encode_record(record, self.site.station)
            assert isinstance(request, Request) and call_violation(request.action, request.payload) is None
            assert list(self.csms.take("CP-1", request.payload)) == []
        self.told = len(records)
        for number in self.site.station.connectors:
            running = self.site.station.running(number)
            view = self.csms.views[running.id] if running is not None else None
            if view is not None and view.charging_state == "Charging":
                assert self.site.connector(number).plugged
            if desired(self.site.station, number).permit_charging:
                assert view is not None and view.id_token is not None and not view.ended

    # --- moves

    def _number(self) -> int:
        return self.rng.choice((1, 2))

    def _token(self) -> str:
        return self.rng.choice(("ALICE", "BOB", "DAD"))

    def _look(self) -> None:
        number = self._number()
        self.site.energy_wh[number] = self.site.energy_wh.get(number, 1000.0) + self.rng.choice((0, 0, 40, 300))
        self.site.advance(self.rng.choice((0, 1, 2)))
        self.site.look(number, self.rng.choice(tuple(ChargerState)))

    def _show(self) -> None:
        self.site.show(self._token(), self._number())

    def _answer(self) -> None:
        if any(isinstance(effect, AskAuthorization) for effect in self.site.effects):
            self.site.accept(self.rng.choice((None, "FAMILY")))

    def _deliver(self) -> None:
        self.site.tell_security_events()
        if self.site.outbox and self.site.station.link.serving:
            seq = min(self.site.outbox)
            record = self.site.outbox[seq]
            named = isinstance(record, TransactionRecord) and record.id_token is not None
            info = IdTokenInfo(self.rng.choice(WORDS), IdToken("FAMILY")) if named else None
            self.site.do(RecordDelivered(seq, record, info=info))

    def _wait(self) -> None:
        self.site.wait(self.rng.choice((1, 5, 25)))

    def _line(self) -> None:
        if self.site.station.link.online:
            self.site.offline()
        else:
            self.site.do(LinkUp())
            self.site.do(BootAnswered(Registration.ACCEPTED, self.site.now.utc, 300))

    def _stop(self) -> None:
        running = self.site.station.running(self._number())
        if running is not None:
            self.site.do(RequestStop(request=self.site.ref("RequestStopTransaction"), transaction_id=running.id))

    def _start(self) -> None:
        self.site.remote_start(self._token(), self._number(), remote_start_id=self.rng.randrange(1000))

    def _restart(self) -> None:
        self.site.restart(continued=self.rng.choice((True, False)))

    def _trigger(self) -> None:
        self.site.do(TriggerMessage(self.site.ref("TriggerMessage"), NoticeKind.TRANSACTION))

    def _silence(self) -> None:
        self.site.lose(self._number())

    def _rest(self) -> None:
        if self.rng.random() < 0.2:
            self.site.do(ResetStation(self.site.ref("Reset"), ResetKind.HARD))
            self.site.restart()


@pytest.mark.req("E01.FR.07", "E01.FR.14", "E01.FR.18", "E02.FR.15", "E06.FR.08", "J02.FR.16")
@pytest.mark.parametrize(("start", "stop"), CASES)
@pytest.mark.parametrize("seed", range(2))
def test_no_order_of_events_tells_the_csms_nonsense(start: str, stop: str, seed: int) -> None:
    Walk(start, stop, seed).go()


def test_the_walks_come_everywhere() -> None:
    kinds: set[str] = set()
    for start, stop in CASES:
        walk = Walk(start, stop, 0)
        walk.go()
        kinds |= {record.trigger.value for record in walk.site.records()}
    assert kinds >= {
        *("Authorized", "RemoteStart", "CablePluggedIn", "ChargingStateChanged", "StopAuthorized", "RemoteStop"),
        *("Deauthorized", "EVCommunicationLost", "EVConnectTimeout", "AbnormalCondition", "MeterValuePeriodic"),
        *("Trigger", "ResetCommand"),
    }
