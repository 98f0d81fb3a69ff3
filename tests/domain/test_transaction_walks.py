"""Whatever people, cars, chargers and the CSMS do in any order: what a 2.0.1 CSMS is told makes sense to it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from edged.dialects.v201 import POLICY, Ocpp201
from edged.dialects.v201.schemas import call_violation
from edged.domain.commands import (
    ChangeAvailability,
    RequestStop,
    ReserveNow,
    ResetKind,
    ResetStation,
    Target,
    TriggerMessage,
    UnlockConnector,
)
from edged.domain.desired import desired
from edged.domain.effects import AskAuthorization, NoticeKind, Perform, TransactionRecord
from edged.domain.events import ActionPerformed, BootAnswered, LinkUp, RecordDelivered, Registration, Tick
from edged.domain.hardware import ActionOutcome, Capability, ChargerState, LockState
from edged.domain.status import availability_state
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo
from edged.ocpp.rpc import Request
from edged.simulator.csms_transactions import Transactions
from tests.fakes.site import FULL, Site, layout

STARTS = ("Authorized", "EVConnected", "PowerPathClosed", "EVConnected,Authorized")
STOPS = ("Authorized", "EVConnected", "PowerPathClosed", "EnergyTransfer", "Authorized,EVConnected")
FLAGS = ("StopTransactionOnEVSideDisconnect", "StopTransactionOnInvalidId", "UnlockConnectorOnEVSideDisconnect")
LOCKING = FULL | {Capability.LOCK_CONTROL, Capability.RESET_SOFT}
CAPABILITIES = (FULL, LOCKING, LOCKING - {Capability.LOCK_SENSE}, FULL - {Capability.DETACHABLE})
TARGETS = (Target(), Target(evse=1), Target(evse=2), Target(connector_type="cType2"))
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
            *(self._unlock, self._perform, self._serve, self._reserve, self._reset_one, self._change_points),
        )
        weights = (9, 9, 9, 9, 25, 9, 9, *(2, 2, 2, 1, 1, 1, 1), *(2, 3, 1, 2, 1, 1))
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
        often = (ChargerState.CONNECTED, ChargerState.CHARGING) * 3
        self.see(number, self.rng.choice((*ChargerState, *often)), obeys=self.rng.random() < 0.7)

    def see(self, number: int, state: ChargerState, *, obeys: bool = True) -> None:
        """A poll; a lock that obeys is as it should be."""
        connector, wanted = self.site.connector(number), desired(self.site.station, number)
        lock = connector.lock
        if connector.can(Capability.LOCK_SENSE) and wanted.locked is not None and obeys:
            lock = LockState.LOCKED if wanted.locked else LockState.UNLOCKED
        self.site.look(number, state, lock=lock)

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

    def _unlock(self) -> None:
        self.site.do(UnlockConnector(self.site.ref("U"), evse=self._number(), connector_id=1, ends_transaction=False))

    def _perform(self) -> None:
        for asked in [effect for effect in self.site.history if isinstance(effect, Perform)][-1:]:
            self.site.do(ActionPerformed(asked.ticket, self.rng.choice(tuple(ActionOutcome)), ""))

    def _serve(self) -> None:
        self._put(self.rng.randrange(3), operative=self.rng.random() < 0.6)

    def _put(self, evse: int, *, operative: bool) -> None:
        self.site.do(ChangeAvailability(self.site.ref("ChangeAvailability"), None, operative=operative, evse=evse))

    def _reserve(self) -> None:
        self.site.do(
            ReserveNow(
                request=self.site.ref("ReserveNow"),
                reservation_id=self.rng.randrange(3),
                target=self.rng.choice(TARGETS),
                id_token=IdToken(self._token()),
                group=self.rng.choice((None, IdToken("FAMILY"))),
                expires_at=self.site.now.utc + timedelta(seconds=self.rng.choice((3, 20, 100))),
            )
        )

    def _reset_one(self) -> None:
        kind = self.rng.choice((ResetKind.HARD, ResetKind.ON_IDLE))
        self.site.do(ResetStation(self.site.ref("Reset"), kind, self._number()))

    def _change_points(self) -> None:
        self.site.set("TxStartPoint", self.rng.choice(STARTS))
        self.site.set("TxStopPoint", self.rng.choice(STOPS))

    def calm_down(self) -> None:
        """Everybody leaves, the CSMS answers, all is in service, whose cable is held comes for it; then time passes."""
        if not self.site.station.link.online:
            self._line()
        for evse in (0, 1, 2):
            self._put(evse, operative=True)
        for second in range(320):
            self.site.advance(1)
            self.site.do(Tick())
            for number, connector in self.site.station.connectors.items():
                self.see(number, ChargerState.AVAILABLE)
                running = self.site.station.running(number)
                if second == 2 and running is not None:
                    self.site.do(RequestStop(request=self.site.ref("Stop"), transaction_id=running.id))
                if second % 100 == 99 and connector.held_for is not None:
                    self.site.show(connector.held_for.value, number)
            for seq, record in tuple(self.site.outbox.items()):
                self.site.do(RecordDelivered(seq, record))
        self._judge()

    def serves(self, token: str) -> bool:
        """Whether the next driver gets energy."""
        for state in (ChargerState.CONNECTED, ChargerState.CONNECTED, ChargerState.CHARGING):
            self.see(1, state)
            if self.site.connector(1).authorization is None and self.site.station.charges(1) is None:
                self.site.show(token, 1)
                self._answer()
            self.site.advance(2)
        return desired(self.site.station, 1).permit_charging

    def _rest(self) -> None:
        if self.rng.random() < 0.2:
            self.site.do(ResetStation(self.site.ref("Reset"), ResetKind.HARD))
            self.site.restart()


@pytest.mark.req("E01.FR.07", "E01.FR.14", "E01.FR.18", "E02.FR.15", "E06.FR.08", "J02.FR.16")
@pytest.mark.parametrize(("start", "stop"), CASES)
@pytest.mark.parametrize("seed", range(2))
def test_no_order_of_events_tells_the_csms_nonsense(start: str, stop: str, seed: int) -> None:
    Walk(start, stop, seed).go()


@pytest.mark.req("E01.FR.14", "G01.FR.04", "H04.FR.01", "B12.FR.07")
@pytest.mark.parametrize(("start", "stop"), CASES)
def test_whatever_has_happened_it_comes_to_rest_and_serves_the_next_driver(start: str, stop: str) -> None:
    walk = Walk(start, stop, 7)
    walk.go()
    walk.calm_down()
    station = walk.site.station
    assert not (station.transactions or station.reservations or station.idle_resets or station.pending)
    assert [availability_state(station, number) for number in (1, 2)] == ["Available", "Available"]
    assert walk.serves("ZOE")


def test_the_walks_come_everywhere() -> None:
    kinds: set[str] = set()
    for (start, stop), seed in itertools.product(CASES, range(2)):
        walk = Walk(start, stop, seed)
        walk.go()
        kinds |= {record.trigger.value for record in walk.site.records()}
    assert kinds >= {
        *("Authorized", "RemoteStart", "CablePluggedIn", "ChargingStateChanged", "StopAuthorized", "RemoteStop"),
        *("Deauthorized", "EVCommunicationLost", "EVConnectTimeout", "AbnormalCondition", "MeterValuePeriodic"),
        *("Trigger", "ResetCommand"),
    }
