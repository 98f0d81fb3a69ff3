"""Firmware over whatever people, chargers, jobs and power cuts do: the laws that hold in every order of events."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from edged.domain.commands import ResetKind, ResetStation
from edged.domain.desired import desired
from edged.domain.effects import Abandon, Commission, Enqueue, FirmwareRecord, Restart
from edged.domain.events import JobDone, JobStaged
from edged.domain.files import FirmwareStatus
from edged.domain.jobs import (
    Cause,
    CheckSigner,
    Done,
    Failed,
    Fetched,
    FetchFirmware,
    InstallFirmware,
    Outcome,
    Stage,
    VerifyFirmware,
)
from tests.domain.test_firmware import build, order
from tests.fakes.site import Site

S = FirmwareStatus
AFTER = {
    None: {S.DOWNLOAD_SCHEDULED, S.DOWNLOADING},
    S.DOWNLOAD_SCHEDULED: {S.DOWNLOADING},
    S.DOWNLOADING: {S.DOWNLOAD_PAUSED, S.DOWNLOADED, S.DOWNLOAD_FAILED},
    S.DOWNLOAD_PAUSED: {S.DOWNLOADING, S.DOWNLOADED, S.DOWNLOAD_FAILED},
    S.DOWNLOADED: {S.SIGNATURE_VERIFIED, S.INVALID_SIGNATURE, S.INSTALLING, S.INSTALLATION_FAILED},
    S.SIGNATURE_VERIFIED: {S.INSTALL_SCHEDULED, S.INSTALLING},
    S.INSTALL_SCHEDULED: {S.INSTALLING},
    S.INSTALLING: {S.INSTALL_REBOOTING, S.INSTALLED, S.INSTALLATION_FAILED, S.INSTALL_VERIFICATION_FAILED},
    S.INSTALL_REBOOTING: {S.INSTALLED, S.INSTALLATION_FAILED, S.INSTALL_VERIFICATION_FAILED},
}
"""What may be told next of one update."""


class Walk:
    """One random life of a station, with what its shells have under way."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.signed = self.dice.random() < 0.7
        self.quiet = self.dice.random() < 0.5
        self.site = build(2, root=self.signed)
        self.seen = len(self.site.history)
        self.under_way: dict[str, Commission] = {}
        self.told: dict[int | None, list[FirmwareStatus]] = {}
        self.requests = 0
        self.handed: list[tuple[str, bool]] = []
        self.restarting = False

    def run(self, moves: int) -> None:
        for _ in range(moves):
            self.dice.choice(self._moves())()
            self._look()
            self._check()

    def _moves(self) -> list[Any]:
        site, number = self.site, self.dice.choice((1, 2))
        token = self.dice.choice(("ALICE", "BOB"))
        ends = [self._end] * 6 if self.under_way else []
        if self.quiet:
            return [self._order, lambda: site.wait(self.dice.choice((1, 9))), self._reset, self._restart, *ends]
        return [
            self._order,
            lambda: site.plug(number),
            lambda: site.charge(number),
            lambda: site.unplug(number),
            lambda: site.show(token, number),
            lambda: site.accept() if any(True for p in site.station.pending.values() if hasattr(p, "stop")) else None,
            lambda: site.reserve(self.dice.choice((1, 2)), token, self.dice.choice((0, 1, 2)), minutes=1),
            lambda: site.cancel(self.dice.choice((1, 2))),
            lambda: site.wait(self.dice.choice((1, 1, 9))),
            lambda: site.available(number, self.dice.random() < 0.7),
            self._reset,
            self._restart,
            *ends,
        ]

    def _order(self) -> None:
        update = self.site.station.firmware
        if update is not None and not update.over and self.dice.random() < 0.8:
            return
        self.requests += 1
        now = self.site.now.utc
        soon, later = now + timedelta(seconds=self.dice.choice((0, 0, 8))), now + timedelta(seconds=60)
        more: dict[str, Any] = {"retrieve_at": soon}
        if self.signed:
            order(self.site, request_id=self.requests, install_at=self.dice.choice((None, later)), **more)
        else:
            order(self.site, **more)

    def _end(self) -> None:
        ticket = self.dice.choice(list(self.under_way))
        job = self.under_way[ticket].job
        if self.dice.random() < 0.3:
            self.site.do(JobStaged(ticket, self.dice.choice(list(Stage))))
            return
        del self.under_way[ticket]
        good: Outcome = Fetched("firmware-1", 1, "0") if isinstance(job, FetchFirmware) else Done()
        causes = (Cause.OTHER, Cause.VERIFICATION) if isinstance(job, InstallFirmware) else (Cause.OTHER, Cause.INVALID)
        bad = Failed("no", self.dice.choice(causes))
        self.site.do(JobDone(ticket, good if self.dice.random() < 0.8 else bad))

    def _reset(self) -> None:
        if self.dice.random() < 0.3:
            installing = self.site.station.firmware is not None and self.site.station.firmware.installing
            self.site.do(ResetStation(self.site.ref("Reset"), self.dice.choice(list(ResetKind))))
            assert not (installing and self.site.station.reset is not None), "a reset into an installation"

    def _restart(self) -> None:
        if self.dice.random() < 0.4 or self.restarting:
            self.under_way.clear()
            self.restarting = False
            self.site.restart(continued=self.dice.random() < 0.5)

    def _look(self) -> None:
        """What the last move asked the world for."""
        for effect in self.site.history[self.seen :]:
            match effect:
                case Commission(ticket=ticket, job=job):
                    assert isinstance(job, CheckSigner | FetchFirmware | VerifyFirmware | InstallFirmware)
                    self.under_way[ticket] = effect
                    if isinstance(job, InstallFirmware):
                        self._handed(job)
                case Abandon(ticket=ticket):
                    self.under_way.pop(ticket, None)
                case Enqueue(record=FirmwareRecord(status=status, request_id=request_id)):
                    self._told(status, request_id)
                case Restart():
                    self.restarting = True
                case _:
                    pass
        self.seen = len(self.site.history)

    def _handed(self, job: InstallFirmware) -> None:
        update = self.site.station.firmware
        assert update is not None
        if not job.resume:
            assert (update.order.key, False) not in self.handed, "a file is installed twice"
        self.handed.append((update.order.key, job.resume))

    def _told(self, status: FirmwareStatus, request_id: int | None) -> None:
        before = self.told.setdefault(request_id, [])
        last = before[-1] if before else None
        fresh = request_id is None and status in AFTER[None]
        assert fresh or status in AFTER.get(last, set()), f"{status} after {before}"
        before.append(status)

    def _check(self) -> None:
        station = self.site.station
        update = station.firmware
        if update is None:
            return
        wanted = sum(not isinstance(c.job, CheckSigner) for c in self.under_way.values())
        assert wanted <= 1, "two jobs for one update"
        assert update.ticket is None or update.ticket in self.under_way
        assert not (update.over and (update.ticket or update.waiting))
        if update.installing:
            assert not any(transaction.active for transaction in station.transactions.values())
            for number in station.connectors:
                assert not station.effective(number) and not desired(station, number).permit_charging
        waits = (update.waiting or update.installing) and not update.over
        if not waits and not station.idle_resets and station.reset is None:
            assert not any(connector.withdrawn for connector in station.connectors.values())


@pytest.mark.parametrize("seed", range(40))
def test_no_order_of_events_breaks_an_update(seed: int) -> None:
    Walk(seed).run(60)


def test_the_walks_come_everywhere() -> None:
    """A law that is never put to the test holds for nothing."""
    reached: set[FirmwareStatus] = set()
    installed = resumed = 0
    for seed in range(40, 100):
        walk = Walk(seed)
        walk.run(60)
        reached |= {status for told in walk.told.values() for status in told}
        installed += any(not resume for _, resume in walk.handed)
        resumed += any(resume for _, resume in walk.handed)
    missing = set(S) - reached - {S.IDLE}
    assert not missing and installed > 5 and resumed > 0


def test_a_walk_is_the_same_again() -> None:
    first, second = Walk(3), Walk(3)
    first.run(40)
    second.run(40)
    assert first.told == second.told and isinstance(first.site, Site)
