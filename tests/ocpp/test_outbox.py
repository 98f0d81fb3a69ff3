"""The durable queue's rules, one at a time; `Disk` is the table that the store will be."""

from __future__ import annotations

import pytest

from edged.ocpp.outbox import Outbox, OutboxRow, Parked, RetryAt
from edged.ocpp.rpc import LocalProtocolError

TX, NOTICE = "transaction", "notice"


class Disk:
    """Rows by number, and how they are read."""

    def __init__(self, *rows: OutboxRow) -> None:
        self.rows = {row.seq: row for row in rows}
        self.reads: list[tuple[str, int, int]] = []

    def refill(self, *, lane: str, after_seq: int, limit: int) -> list[OutboxRow]:
        self.reads.append((lane, after_seq, limit))
        return [r for _, r in sorted(self.rows.items()) if r.lane == lane and r.seq > after_seq][:limit]


def row(seq: int, lane: str = TX, attempts: int = 0) -> OutboxRow:
    return OutboxRow(seq, lane, f"record {seq}", attempts)


def outbox(disk: Disk, *, attempts: int = 3, interval_s: float = 60.0, window: int = 4) -> Outbox:
    return Outbox(lambda: attempts, lambda: interval_s, disk.refill, window=window)


def put(box: Outbox, disk: Disk, new: OutboxRow) -> None:
    disk.rows[new.seq] = new
    box.add(new)


def drain(box: Outbox, lane: str = TX) -> list[int]:
    seqs = []
    while (head := box.next(0.0, lane)) is not None:
        box.sending(head.seq)
        seqs.append(box.gone(head.seq).seq)
    return seqs


@pytest.mark.req("16-J-31", "16-TX-05")
def test_rows_leave_in_order_and_one_at_a_time() -> None:
    box = outbox(Disk(row(1), row(2)))
    assert box.next(0.0, TX) == row(1)
    box.sending(1)
    assert box.next(0.0, TX) is None
    box.gone(1)
    assert box.next(0.0, TX) == row(2)


@pytest.mark.req("16-TX-07")
def test_three_attempts_sixty_seconds_apart_wait_sixty_then_a_hundred_and_twenty_and_then_park() -> None:
    box = outbox(Disk(row(1), row(2)), attempts=3, interval_s=60.0)
    box.next(0.0, TX)
    box.sending(1)
    assert box.failed(1, 0.0) == RetryAt(row(1, attempts=1), 60.0)
    assert box.next(59.9, TX) is None
    assert box.next(60.0, TX) == row(1, attempts=1)
    box.sending(1)
    assert box.failed(1, 60.0) == RetryAt(row(1, attempts=2), 180.0)
    assert box.next(179.9, TX) is None
    assert box.next(180.0, TX) == row(1, attempts=2)
    box.sending(1)
    assert box.failed(1, 180.0) == Parked(row(1, attempts=3))
    box.gone(1)
    assert box.next(180.0, TX) == row(2)


def test_nothing_passes_a_parked_row_until_the_disk_has_forgotten_it() -> None:
    box = outbox(Disk(row(1), row(2)), attempts=1)
    box.next(0.0, TX)
    box.sending(1)
    box.failed(1, 0.0)
    assert box.next(1000.0, TX) is None
    box.gone(1)
    assert box.next(1000.0, TX) == row(2)


@pytest.mark.parametrize("attempts", [0, -1, 1])
def test_fewer_than_one_attempt_counts_as_one(attempts: int) -> None:
    box = outbox(Disk(row(1)), attempts=attempts)
    box.next(0.0, TX)
    box.sending(1)
    assert box.failed(1, 0.0) == Parked(row(1, attempts=1))


def test_attempts_of_an_earlier_life_count() -> None:
    box = outbox(Disk(row(1, attempts=2)), attempts=3)
    assert box.next(0.0, TX) == row(1, attempts=2)
    box.sending(1)
    assert isinstance(box.failed(1, 0.0), Parked)


def test_a_negative_interval_is_no_wait() -> None:
    box = outbox(Disk(row(1)), interval_s=-5.0)
    box.next(7.0, TX)
    box.sending(1)
    assert box.failed(1, 7.0) == RetryAt(row(1, attempts=1), 7.0)


@pytest.mark.req("16-J-28")
def test_a_lost_line_counts_no_attempt_and_the_row_may_go_at_once() -> None:
    box = outbox(Disk(row(1), row(2)), attempts=2)
    for _ in range(5):
        assert box.next(0.0, TX) == row(1)
        box.sending(1)
        box.unsent(1)
    box.sending(1)
    assert isinstance(box.failed(1, 0.0), RetryAt)


@pytest.mark.req("16-J-33")
def test_a_lane_that_waits_holds_no_other_lane_up() -> None:
    box = outbox(Disk(row(1), row(2, NOTICE), row(3)))
    box.next(0.0, TX)
    box.sending(1)
    box.failed(1, 0.0)
    assert box.next(0.0, TX) is None
    assert box.next(0.0, NOTICE) == row(2, NOTICE)


def test_a_full_window_of_one_lane_hides_nothing_of_another() -> None:
    box = outbox(Disk(*(row(n) for n in range(1, 100)), row(100, NOTICE)), window=2)
    assert box.next(0.0, TX) == row(1)
    assert box.next(0.0, NOTICE) == row(100, NOTICE)


def test_a_long_queue_is_read_a_window_at_a_time() -> None:
    disk = Disk(*(row(n) for n in range(1, 11)))
    box = outbox(disk, window=4)
    assert drain(box) == list(range(1, 11))
    assert [limit for _, _, limit in disk.reads] == [4, 4, 4]


def test_an_empty_lane_is_read_once_and_not_at_every_tick() -> None:
    disk = Disk()
    box = outbox(disk)
    for tick in range(10):
        assert box.next(float(tick), TX) is None
    assert len(disk.reads) == 1


def test_rows_added_behind_a_full_window_keep_their_place() -> None:
    disk = Disk()
    box = outbox(disk, window=2)
    box.next(0.0, TX)
    for n in range(1, 8):
        put(box, disk, row(n))
    assert drain(box) == list(range(1, 8))


def test_a_row_that_a_refill_has_brought_in_is_not_taken_twice() -> None:
    disk = Disk(row(1), row(2))
    box = outbox(disk)
    assert box.next(0.0, TX) == row(1)
    box.add(row(2))
    assert drain(box) == [1, 2]


def test_a_delivered_row_that_the_disk_still_holds_does_not_come_back() -> None:
    disk = Disk(*(row(n) for n in range(1, 6)))
    box = outbox(disk, window=2)
    assert drain(box) == [1, 2, 3, 4, 5]
    assert len(disk.rows) == 5


def test_loaded_rows_are_sent_and_what_does_not_fit_is_read_later() -> None:
    disk = Disk(*(row(n) for n in range(1, 6)), row(6, NOTICE))
    box = outbox(disk, window=2)
    box.load(disk.rows.values())
    assert disk.reads == []
    assert drain(box) == [1, 2, 3, 4, 5]
    assert drain(box, NOTICE) == [6]


def test_loading_starts_again() -> None:
    disk = Disk(row(1), row(2))
    box = outbox(disk)
    box.next(0.0, TX)
    box.sending(1)
    box.load(disk.rows.values())
    assert box.next(0.0, TX) == row(1)


def test_misuse_is_told_at_once() -> None:
    box = outbox(Disk(row(1), row(2)))
    box.next(0.0, TX)
    for misuse in (
        lambda: box.sending(2),
        lambda: box.sending(9),
        lambda: box.gone(1),
        lambda: box.failed(1, 0.0),
        lambda: box.unsent(1),
        lambda: box.load([row(2), row(1)]),
        lambda: outbox(Disk(), window=0),
    ):
        with pytest.raises(LocalProtocolError):
            misuse()


def test_a_row_cannot_be_sent_twice_at_the_same_time() -> None:
    box = outbox(Disk(row(1)))
    box.next(0.0, TX)
    box.sending(1)
    with pytest.raises(LocalProtocolError):
        box.sending(1)


def test_a_disk_that_gives_rows_out_of_order_is_not_believed() -> None:
    box = Outbox(lambda: 1, lambda: 1.0, lambda *, lane, after_seq, limit: [row(2), row(1)])
    with pytest.raises(LocalProtocolError):
        box.next(0.0, TX)


@pytest.mark.req("16-J-33")
def test_a_row_with_guaranteed_delivery_is_tried_for_ever_at_growing_intervals_up_to_an_hour() -> None:
    disk = Disk(row(1, NOTICE))
    box = Outbox(lambda: 1, lambda: 0.0, disk.refill, guaranteed=(NOTICE,))
    waits: list[float] = []
    now_s = 0.0
    for _ in range(12):
        assert box.next(now_s, NOTICE) is not None
        box.sending(1)
        outcome = box.failed(1, now_s)
        assert isinstance(outcome, RetryAt)
        assert box.next(outcome.at_s - 0.1, NOTICE) is None
        waits.append(outcome.at_s - now_s)
        now_s = outcome.at_s
    assert waits[:3] == [30.0, 60.0, 120.0]
    assert waits[-3:] == [3600.0] * 3


def test_other_lanes_are_parked_all_the_same() -> None:
    box = Outbox(lambda: 1, lambda: 0.0, Disk(row(1)).refill, guaranteed=(NOTICE,))
    box.next(0.0, TX)
    box.sending(1)
    assert isinstance(box.failed(1, 0.0), Parked)


def test_a_row_that_the_disk_has_forgotten_is_not_sent_any_more() -> None:
    box = outbox(Disk(row(1), row(2), row(3)))
    assert box.next(0.0, TX) == row(1)
    box.forget(2)
    box.forget(9)
    assert drain(box) == [1, 3]
    assert box.next(0.0, TX) is None
