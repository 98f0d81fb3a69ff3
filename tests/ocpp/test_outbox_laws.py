"""The outbox against a model, through any history: order, nothing lost or invented, exact attempts, bounded memory."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edged.ocpp.outbox import Outbox, OutboxRow, Parked, RetryAt

LANES = ("transaction", "notice")
LANE = st.sampled_from(LANES)
WINDOW = 3


class OutboxHistory(RuleBasedStateMachine):
    """Commits, sends, failures, lost lines, restarts; the disk is a plain list."""

    @initialize(attempts=st.integers(0, 3), interval_s=st.integers(0, 5))
    def begin(self, attempts: int, interval_s: int) -> None:
        self.attempts, self.interval_s = attempts, interval_s
        self.disk: list[OutboxRow] = []
        self.now_s = 0.0
        self.seq = 0
        self.flying: dict[str, int] = {}
        self.due_s: dict[int, float] = {}  # of rows that wait for a retry
        self.left: dict[str, list[int]] = {lane: [] for lane in LANES}
        self.transmissions: dict[int, int] = {}
        self.box = self.fresh()

    def fresh(self) -> Outbox:
        return Outbox(lambda: self.attempts, lambda: self.interval_s, self.refill, window=WINDOW)

    def refill(self, *, lane: str, after_seq: int, limit: int) -> list[OutboxRow]:
        return [row for row in self.disk if row.lane == lane and row.seq > after_seq][:limit]

    def head(self, lane: str) -> OutboxRow | None:
        return next((row for row in self.disk if row.lane == lane), None)

    def forget(self, lane: str) -> None:
        seq = self.flying.pop(lane)
        self.disk = [row for row in self.disk if row.seq != seq]
        self.left[lane].append(seq)

    @rule(lane=LANE, count=st.integers(1, 5))
    def commit(self, lane: str, count: int) -> None:
        for _ in range(count):
            row = OutboxRow(self.seq, lane, self.seq)
            self.seq += 1
            self.disk.append(row)
            self.box.add(row)

    @rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(lane=LANE)
    def send(self, lane: str) -> None:
        row = self.box.next(self.now_s, lane)
        head = self.head(lane)
        if lane in self.flying or head is None or self.now_s < self.due_s.get(head.seq, 0.0):
            assert row is None
            return
        assert row == head
        self.box.sending(row.seq)
        self.flying[lane] = row.seq

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(sorted(self.flying)))
        self.box.gone(self.flying[lane])
        self.forget(lane)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(sorted(self.flying)))
        seq = self.flying[lane]
        count = self.transmissions[seq] = self.transmissions.get(seq, 0) + 1
        match self.box.failed(seq, self.now_s):
            case Parked(row):
                assert (row.seq, row.attempts) == (seq, count) and count == max(1, self.attempts)
                assert self.box.next(self.now_s, lane) is None
                self.box.gone(seq)
                self.forget(lane)
            case RetryAt(row, at_s):
                assert count < max(1, self.attempts) and at_s == self.now_s + self.interval_s * count
                self.disk = [row if old.seq == seq else old for old in self.disk]
                self.due_s[seq] = at_s
                del self.flying[lane]

    @precondition(lambda self: self.flying)
    @rule()
    def lose_the_line(self) -> None:
        for seq in self.flying.values():
            self.box.unsent(seq)
            self.due_s.pop(seq, None)
        self.flying.clear()

    @rule(load=st.booleans())
    def restart(self, load: bool) -> None:
        self.box = self.fresh()
        self.flying.clear()
        self.due_s.clear()
        if load:
            self.box.load(self.disk)

    @invariant()
    def order_holds_and_nothing_is_lost_or_invented(self) -> None:
        if not hasattr(self, "disk"):
            return
        for lane in LANES:
            waiting = [row.seq for row in self.disk if row.lane == lane]
            seen = self.left[lane] + waiting
            assert seen == sorted(set(seen))

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "box"):
            assert all(len(lane.rows) <= WINDOW for lane in self.box._lanes.values())


OutboxHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOutboxHistory = OutboxHistory.TestCase
