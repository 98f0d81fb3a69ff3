"""Whatever happens in whatever order with 2.x's rules: every step is judged by the invariants, and what is kept comes
back from the disk as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from edged.dialects.v201 import POLICY
from edged.domain.commands import (
    CancelReservation,
    ChangeAvailability,
    RequestStart,
    ReserveNow,
    ResetKind,
    ResetStation,
    Target,
    UnlockConnector,
)
from edged.domain.effects import Perform, Restart
from edged.domain.events import ActionPerformed, BootAnswered, LinkUp, Registration, Tick, TokenAnswered
from edged.domain.hardware import ActionOutcome, Capability, ChargerState
from edged.domain.pending import PendingEvseReset, PendingToken
from edged.domain.status import availability_state
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo
from tests.fakes.site import FULL, Site, layout

STEPS = 250
ABLE = FULL | {Capability.RESET_SOFT, Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE}
SHAPES = (
    layout(1, evse_id=1, connector_id=1, charger="a", connector_type="cCCS2", capabilities=ABLE),
    layout(2, evse_id=1, connector_id=2, charger="a", capabilities=ABLE),
    layout(3, evse_id=2, capabilities=FULL | {Capability.RESET_HARD}),
    layout(4, evse_id=3),
)
TOKENS = ("ALICE", "BOB", "MUM")
PLACES = ((None, None), (1, None), (2, None), (3, None), (None, "cType2"), (None, "cCCS2"), (9, None))
STATES = (
    *(ChargerState.AVAILABLE, ChargerState.CONNECTED, ChargerState.CHARGING, ChargerState.SUSPENDED_EV),
    *(ChargerState.FAULTED, ChargerState.UNAVAILABLE),
)


class Walk:
    """A station to which things happen as the dice say."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        start = self.dice.choice(["PowerPathClosed", "EVConnected", "Authorized"])
        self.site = Site.build(layouts=SHAPES, policy=POLICY, configuration={"TxStartPoint": start})

    def step(self) -> None:
        moves = (
            *(self.look, self.look, self.look, self.show, self.show, self.answer, self.wait),
            *(self.reserve, self.cancel, self.request_start, self.availability, self.reset, self.unlock),
            *(self.perform, self.line, self.switch, self.deliver, self.restart),
        )
        self.dice.choice(moves)()
        for number in self.site.station.connectors:
            state = availability_state(self.site.station, number)
            assert state in ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")

    def number(self) -> int:
        return self.dice.choice([1, 2, 3, 4])

    def look(self) -> None:
        number = self.number()
        operative = self.dice.choice([None, True, False]) if number < 3 else None
        self.site.look(number, self.dice.choice(STATES), operative=operative, permit_charging=False)

    def show(self) -> None:
        self.site.show(self.dice.choice(TOKENS), self.dice.choice([None, self.number()]))

    def answer(self) -> None:
        tickets = [p.ticket for p in self.site.station.pending.values() if isinstance(p, PendingToken)]
        if tickets:
            status = self.dice.choice(
                [AuthorizationStatus.ACCEPTED, AuthorizationStatus.ACCEPTED, AuthorizationStatus.INVALID]
            )
            group = self.dice.choice([None, IdToken("FAMILY")])
            info = self.dice.choice([IdTokenInfo(status, group), IdTokenInfo(status, group), None])
            self.site.do(TokenAnswered(self.dice.choice(tickets), info))

    def wait(self) -> None:
        self.site.wait(self.dice.choice([1, 3, 15]), looks=False)

    def reserve(self) -> None:
        evse, kind = self.dice.choice(PLACES)
        self.site.do(
            ReserveNow(
                request=self.site.ref("ReserveNow"),
                reservation_id=self.dice.randint(1, 4),
                target=Target(evse=evse, connector_type=kind),
                id_token=IdToken(self.dice.choice(TOKENS)),
                group=self.dice.choice([None, IdToken("FAMILY")]),
                expires_at=self.site.now.utc + timedelta(seconds=self.dice.choice([5, 60, 600])),
            )
        )

    def cancel(self) -> None:
        self.site.do(CancelReservation(self.site.ref("CancelReservation"), self.dice.randint(1, 4)))

    def request_start(self) -> None:
        token, evse = IdToken(self.dice.choice(TOKENS)), self.dice.choice([None, 1, 2, 3])
        self.site.do(RequestStart(request=self.site.ref("RequestStartTransaction"), id_token=token, evse=evse))

    def availability(self) -> None:
        operative = self.dice.random() < 0.6
        request = self.site.ref("ChangeAvailability")
        if self.dice.random() < 0.3:
            self.site.do(ChangeAvailability(request, self.dice.choice([0, 1, 4]), operative))
        else:
            evse, connector = self.dice.choice([(0, None), (1, None), (1, 2), (2, None), (2, 1), (3, None), (9, None)])
            self.site.do(ChangeAvailability(request, None, operative, evse, connector))

    def reset(self) -> None:
        evse = self.dice.choice([1, 2, 3]) if self.dice.random() < 0.8 else None
        kind = ResetKind.ON_IDLE if evse is None else self.dice.choice([ResetKind.HARD, ResetKind.ON_IDLE])
        self.site.do(ResetStation(self.site.ref("Reset"), kind, evse))

    def unlock(self) -> None:
        evse = self.dice.choice([1, 2, 3])
        self.site.do(
            UnlockConnector(self.site.ref("UnlockConnector"), evse=evse, connector_id=1, ends_transaction=False)
        )

    def perform(self) -> None:
        asked = [e.ticket for e in self.site.history if isinstance(e, Perform)]
        if asked:
            self.site.do(ActionPerformed(self.dice.choice(asked[-3:]), self.dice.choice(list(ActionOutcome))))

    def line(self) -> None:
        if self.site.station.link.online:
            self.site.offline()
        else:
            self.site.do(LinkUp())
            self.site.do(BootAnswered(Registration.ACCEPTED, self.site.now.utc, 300))

    def switch(self) -> None:
        configuration = self.site.station.configuration
        on = configuration.flag("ReservationEnabled")
        changed = {**configuration.changed, "ReservationEnabled": "false" if on else "true"}
        self.site.station = replace(self.site.station, configuration=replace(configuration, changed=changed))
        self.site.do(Tick())

    def deliver(self) -> None:
        while self.site.outbox:
            self.site.deliver()

    def restart(self) -> None:
        restarting = any(isinstance(effect, Restart) for effect in self.site.effects)
        if restarting or self.dice.random() < 0.2:
            self.site.restart(continued=self.dice.random() < 0.7)


@pytest.mark.req("H01.FR.07", "H03.FR.01", "G03.FR.08", "B11.FR.05")
@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_happens_breaks_an_invariant(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(STEPS):
        walk.step()
    walk.site.wait(300, looks=False)
    resets = [p for p in walk.site.station.pending.values() if isinstance(p, PendingEvseReset)]
    assert resets == [], "a charger that is being reset is waited for in bounded time"
