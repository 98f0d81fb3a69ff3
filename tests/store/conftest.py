"""A small site, an eventful one, and the two stores that must behave alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edged.domain.commands import Target
from edged.domain.configuration import Configuration
from edged.domain.effects import RecordKind, Sample, SampleContext, SampledValue, StopReason, TransactionRecord
from edged.domain.hardware import Measurand
from edged.domain.policy import Policy, ReservationUse, StartPoint, Trigger
from edged.domain.station import (
    Boot,
    CachedToken,
    Connector,
    ConnectorLayout,
    Ending,
    Identity,
    Reservation,
    SiteRules,
    Station,
    Transaction,
)
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now, Phase, Stamp
from edged.store.memory import MemoryStore
from edged.store.opening import open_store
from edged.store.port import Store

WALL = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def wall() -> datetime:
    return WALL


@pytest.fixture
def fresh() -> Station:
    """A site of two connectors as its settings describe it, with nothing stored."""
    connectors = {
        number: Connector(
            layout=ConnectorLayout(
                number=number,
                evse_id=number,
                connector_id=1,
                charger=f"wallbox-{number}",
                connector_type="cType2",
                capabilities=frozenset(),
                measurands=frozenset({Measurand.ENERGY}),
            ),
            capabilities=frozenset(),
        )
        for number in (1, 2)
    }
    return Station(
        identity=Identity(id="CP1", vendor="V", model="M"),
        policy=Policy(
            reservation_used=ReservationUse.TRANSACTION_STARTED,
            start_points=frozenset({StartPoint.POWER_PATH_CLOSED}),
            update_triggers=frozenset(),
            reservation_records=False,
            csms_names_transactions=True,
        ),
        rules=SiteRules(),
        boot=Boot(id="b2", floor=WALL, started_s=5.0),
        configuration=Configuration(changed={}, site={}, computed={}),
        connectors=connectors,
        wall_kept=WALL,
        clock=Now(WALL, 5.0, True),
    )


def _stamp(minutes: int) -> Stamp:
    return Stamp(WALL + timedelta(minutes=minutes), True, "b1")


def _sample(minutes: int) -> Sample:
    return Sample(_stamp(minutes), SampleContext.PERIODIC, (SampledValue(Measurand.ENERGY, 1000.0 + minutes),))


@pytest.fixture
def sample_at() -> Callable[[int], Sample]:
    return _sample


@pytest.fixture
def record_of() -> Callable[..., TransactionRecord]:
    def build(transaction_id: str, seq_no: int = 0) -> TransactionRecord:
        return TransactionRecord(
            kind=RecordKind.UPDATED,
            transaction_id=transaction_id,
            connector=1,
            trigger=Trigger.METER_VALUE_PERIODIC,
            seq_no=seq_no,
            at=_stamp(seq_no),
            offline=False,
            phase=Phase.CHARGING,
            samples=(_sample(seq_no),),
        )

    return build


@pytest.fixture
def busy(fresh: Station) -> Station:
    """The same site in the middle of its day: something in every map."""
    ann, ben = IdToken("ANN-1", "ISO14443"), IdToken("ben-2")
    running = Transaction(
        id="tx-run",
        connector=1,
        id_token=ann,
        group=None,
        started=_stamp(0),
        meter_start_wh=10.5,
        seq_no=3,
        kept_meter_wh=11.25,
        kept_at=_stamp(1),
        samples=(_sample(0), _sample(1), _sample(2)),
        next_sample_at_s=77.0,
    )
    over = Transaction(
        id="tx-over",
        connector=2,
        id_token=ben,
        group=ann,
        started=_stamp(-60),
        meter_start_wh=0.0,
        external_ref=17,
        ending=Ending(at=_stamp(-5), meter_wh=900.0, reason=StopReason.LOCAL, id_token=ben),
        kept_at=_stamp(-5),
        queued=1,
    )
    reservation = Reservation(
        id=4,
        target=Target(connector=2),
        id_token=ben,
        group=None,
        expires_at=WALL + timedelta(minutes=30),
        created=_stamp(-1),
        source="csms",
        held_until_s=5.0 + 1800.0,
    )
    token = CachedToken(ann, IdTokenInfo(AuthorizationStatus.ACCEPTED, ben, WALL), WALL)
    return replace(
        fresh,
        configuration=replace(fresh.configuration, changed={"HeartbeatInterval": "300"}),
        connectors={
            1: replace(fresh.connectors[1], transaction_id="tx-run", energy_offset_wh=3.5, energy_kept_wh=11.25),
            2: replace(fresh.connectors[2], operative=False, scheduled=True, spent=True, held_for=ben),
        },
        reservations={4: reservation},
        transactions={"tx-over": over, "tx-run": running},
        cache={ann.key: token},
        corrections={"b1": 12.5},
        operative=False,
        next_boot_reason="RemoteReset",
        next_seq=9,
        queued=1,
        wall_kept=WALL + timedelta(minutes=3),
    )


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each test that asks for it runs against the real store and against the one without a disk."""
    one: Store = MemoryStore()
    if request.param == "sqlite":
        one = open_store(tmp_path / "edged.db", wall=WALL).store
    yield one
    one.close()
