"""Answers that are remembered, and who asks too often."""

from __future__ import annotations

from edged.mqtt.ledger import KEEP_S, MAX_ACTORS, MAX_REPLIES, MemoryReplies, RateLimit


def test_an_answer_is_found_again_for_a_day_and_no_longer() -> None:
    replies = MemoryReplies()
    replies.keep(("a", "ping", "1"), {"ok": True}, 0.0)
    assert replies.find(("a", "ping", "1"), KEEP_S - 1) == {"ok": True}
    assert replies.find(("a", "ping", "1"), KEEP_S) is None


def test_another_actor_command_or_id_finds_nothing() -> None:
    replies = MemoryReplies()
    replies.keep(("a", "ping", "1"), {}, 0.0)
    assert [replies.find(key, 0.0) for key in (("b", "ping", "1"), ("a", "x", "1"), ("a", "ping", "2"))] == [None] * 3


def test_the_oldest_answer_goes_when_there_are_too_many_and_is_named() -> None:
    replies = MemoryReplies()
    for n in range(MAX_REPLIES):
        assert list(replies.keep(("a", "x", str(n)), {"n": n}, 0.0)) == []
    assert list(replies.keep(("a", "x", "new"), {}, 0.0)) == [("a", "x", "0")]
    assert replies.find(("a", "x", "0"), 0.0) is None


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    limit = RateLimit(rate_per_s=5.0, burst=20)
    assert sum(limit.allow("a", 0.0) for _ in range(100)) == 20
    assert sum(limit.allow("a", 1.0) for _ in range(100)) == 5
    assert sum(limit.allow("a", 1000.0) for _ in range(100)) == 20


def test_one_actor_does_not_take_from_another() -> None:
    limit = RateLimit(rate_per_s=1.0, burst=1)
    assert limit.allow("a", 0.0)
    assert limit.allow("b", 0.0)
    assert not limit.allow("a", 0.0)


def test_any_number_of_strangers_needs_bounded_memory() -> None:
    limit = RateLimit(rate_per_s=1.0, burst=1)
    allowed = sum(limit.allow(f"stranger-{n}", 0.0) for n in range(10_000))
    assert allowed == MAX_ACTORS + 1


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    limit = RateLimit(rate_per_s=5.0, burst=1)
    assert limit.allow("a", 10.0)
    assert not limit.allow("a", 9.0)


def test_strangers_with_a_thousand_names_take_nothing_from_whoever_is_known() -> None:
    limit = RateLimit(rate_per_s=1.0, burst=1, known=["bms", ""])
    for n in range(1_000):
        limit.allow(f"stranger-{n}", 0.0)
    assert limit.allow("bms", 0.0)
    assert not limit.allow("bms", 0.0)


def test_long_names_of_strangers_fill_no_memory() -> None:
    limit = RateLimit(rate_per_s=1.0, burst=1)
    for n in range(100):
        limit.allow(f"{n}" * 30_000, 0.0)
    assert max(map(len, limit._buckets)) <= 65
