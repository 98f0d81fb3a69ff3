"""The outbox: lanes, window, coalescing. The laws are checked against a broker that only keeps the last payload."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edged.mqtt.documents import Document
from edged.mqtt.outbox import (
    CONGESTED_CHARS,
    CONGESTED_REPLIES,
    MAX_EVENTS,
    MAX_REPLIES,
    MAX_REPLY_CHARS,
    RESERVED,
    WINDOW,
    EventParcel,
    Lane,
    Outbox,
    Parcel,
)

TOPICS = [f"t/{n}" for n in range(30)]


def doc(value: int) -> Document:
    return Document(body={"value": value})


def connected(receive_maximum: int = 20) -> Outbox:
    outbox = Outbox()
    outbox.connected(receive_maximum)
    return outbox


def drain(outbox: Outbox) -> list[Parcel]:
    sent: list[Parcel] = []
    while parcels := outbox.due(0.0):
        sent += parcels
        for parcel in parcels:
            outbox.settled(parcel.ticket)
    return sent


def test_nothing_is_due_without_a_connection() -> None:
    outbox = Outbox()
    outbox.show("t", doc(1))
    outbox.reply("r", doc(1))
    outbox.live("s", doc(1))
    assert outbox.due(0.0) == []


def test_only_the_newest_content_of_a_topic_is_sent() -> None:
    outbox = connected()
    for value in range(1000):
        outbox.show("t", doc(value))
    assert [p.document.body for p in drain(outbox)] == [{"value": 999}]
    assert outbox.counters.coalesced == 999


def test_what_the_broker_has_acknowledged_is_not_sent_again() -> None:
    outbox = connected()
    outbox.show("t", doc(1))
    drain(outbox)
    outbox.show("t", doc(1))
    assert drain(outbox) == []


def test_a_refresh_is_sent_although_it_says_nothing_new() -> None:
    outbox = connected()
    outbox.show("t", doc(1))
    drain(outbox)
    outbox.show("t", doc(1), refresh=True)
    assert len(drain(outbox)) == 1


def test_a_content_that_returns_to_what_is_under_way_is_not_sent_twice() -> None:
    outbox = connected()
    outbox.show("t", doc(1))
    (parcel,) = outbox.due(0.0)
    outbox.show("t", doc(2))
    outbox.show("t", doc(1))
    outbox.settled(parcel.ticket)
    assert drain(outbox) == []


def test_a_topic_has_one_message_under_way_at_a_time() -> None:
    outbox = connected()
    outbox.show("t", doc(1))
    (first,) = outbox.due(0.0)
    outbox.show("t", doc(2))
    assert outbox.due(0.0) == []
    outbox.settled(first.ticket)
    assert [p.document.body for p in outbox.due(0.0)] == [{"value": 2}]


def test_everything_is_sent_again_on_a_new_connection() -> None:
    outbox = connected()
    for topic in TOPICS:
        outbox.show(topic, doc(1))
    drain(outbox)
    outbox.disconnected()
    outbox.connected(20)
    assert not outbox.dumped
    assert sorted(p.topic for p in drain(outbox)) == sorted(TOPICS)
    assert outbox.dumped


def test_the_dump_ends_although_a_topic_keeps_changing() -> None:
    outbox = Outbox()
    for topic in TOPICS:
        outbox.show(topic, doc(0))
    outbox.connected(6)
    for value in range(1, 100):
        outbox.show(TOPICS[0], doc(value))
        for parcel in outbox.due(0.0):
            outbox.settled(parcel.ticket)
        if outbox.dumped:
            return
    raise AssertionError("a busy topic starved the dump")


def test_replies_find_room_while_the_state_lane_is_full() -> None:
    outbox = connected(20)
    for topic in TOPICS:
        outbox.show(topic, doc(1))
    assert len(outbox.due(0.0)) == WINDOW - RESERVED
    for n in range(RESERVED):
        outbox.reply(f"r/{n}", doc(n))
    assert [p.lane for p in outbox.due(0.0)] == [Lane.REPLY] * RESERVED


def test_heartbeats_do_not_pile_up_before_a_broker_that_takes_nothing() -> None:
    outbox = connected(1)
    outbox.live("status", doc(0))
    outbox.due(0.0)
    for n in range(100):
        outbox.live("heartbeat", doc(n))
    assert outbox.depth == 1


def test_life_goes_before_replies_and_replies_before_state() -> None:
    outbox = connected()
    outbox.show("t", doc(1))
    outbox.reply("r", doc(1))
    outbox.live("s", doc(1))
    assert [p.lane for p in outbox.due(0.0)] == [Lane.LIFE, Lane.REPLY, Lane.STATE]


def test_a_broker_that_takes_one_message_at_a_time_still_gets_all() -> None:
    outbox = connected(1)
    for topic in TOPICS:
        outbox.show(topic, doc(1))
    outbox.reply("r", doc(1))
    assert len(drain(outbox)) == len(TOPICS) + 1


def test_a_reply_that_came_too_late_is_dropped_and_counted() -> None:
    outbox = connected()
    outbox.reply("r", doc(1), until_s=10.0)
    assert outbox.due(10.0) == []
    assert outbox.counters.dropped == 1


def test_replies_under_way_are_sent_again_in_order_after_a_lost_connection() -> None:
    outbox = connected()
    for n in range(3):
        outbox.reply(f"r/{n}", doc(n), until_s=100.0)
    outbox.due(0.0)
    outbox.disconnected()
    outbox.connected(20)
    assert [p.topic for p in outbox.due(1.0)] == ["r/0", "r/1", "r/2"]


def test_the_reply_lane_is_bounded_and_drops_the_oldest() -> None:
    outbox = Outbox()
    for n in range(MAX_REPLIES + 5):
        outbox.reply(f"r/{n}", doc(n))
    assert outbox.depth == MAX_REPLIES
    assert outbox.counters.dropped == 5
    outbox.connected(20)
    assert outbox.due(0.0)[0].topic == "r/5"


def test_large_answers_are_bounded_by_their_size_too() -> None:
    outbox = Outbox()
    for n in range(40):
        outbox.reply(f"r/{n}", Document(body={"n": "x" * 200_000}))
    assert outbox.depth == MAX_REPLY_CHARS // 200_000
    assert outbox.counters.dropped == 40 - outbox.depth
    echoed = Outbox()
    for n in range(200):
        echoed.reply(f"r/{n}", Document(body={"n": n}, correlation=b"x" * 60_000))
    assert echoed.depth == MAX_REPLY_CHARS // 60_011


def test_whoever_waits_for_too_many_answers_is_asked_to_wait_until_they_have_gone() -> None:
    outbox = connected()
    for n in range(CONGESTED_REPLIES):
        assert not outbox.congested
        outbox.reply(f"r/{n}", doc(n))
    assert outbox.congested
    outbox.due(0.0)
    assert not outbox.congested
    outbox.reply("large", Document(body={"n": "x" * CONGESTED_CHARS}))
    assert outbox.congested


def test_the_size_of_what_waits_is_right_again_when_all_has_gone() -> None:
    outbox = connected()
    for n in range(50):
        outbox.reply(f"r/{n}", Document(body={"n": "x" * 1000}))
    outbox.due(0.0)
    outbox.disconnected()
    outbox.connected(20)
    while parcels := outbox.due(0.0):
        for parcel in parcels:
            outbox.settled(parcel.ticket)
    assert (outbox.depth, outbox._reply_chars) == (0, 0)


def test_a_refused_content_is_not_sent_again_before_it_changes() -> None:
    outbox = connected()
    outbox.show("t", doc(1))
    (parcel,) = outbox.due(0.0)
    outbox.settled(parcel.ticket, accepted=False)
    outbox.show("t", doc(1))
    assert outbox.due(0.0) == []
    outbox.show("t", doc(2))
    assert len(outbox.due(0.0)) == 1
    assert outbox.counters.refused == 1


def test_an_acknowledgement_of_a_former_connection_means_nothing() -> None:
    outbox = connected()
    outbox.show("t", doc(1))
    (old,) = outbox.due(0.0)
    outbox.disconnected()
    outbox.connected(20)
    (new,) = outbox.due(0.0)
    outbox.settled(old.ticket)
    assert outbox.under_way == 1
    outbox.settled(new.ticket)
    assert outbox.under_way == 0


@given(st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(0, 3)), max_size=80), st.integers(1, 65535))
@settings(max_examples=60, deadline=None)
def test_the_broker_ends_with_what_was_shown_last(shown: list[tuple[str, int]], receive_maximum: int) -> None:
    outbox, broker = connected(receive_maximum), {}
    for topic, value in shown:
        outbox.show(topic, doc(value))
        for parcel in outbox.due(0.0)[:1]:
            broker[parcel.topic] = parcel.document.body
            outbox.settled(parcel.ticket)
    outbox.disconnected()
    outbox.connected(receive_maximum)
    for parcel in drain(outbox):
        broker[parcel.topic] = parcel.document.body
    assert broker == {topic: {"value": value} for topic, value in shown}


class OutboxMachine(RuleBasedStateMachine):
    """Shows, replies, acknowledgements and lost connections in any order."""

    @initialize(maximum=st.integers(1, 40))
    def begin(self, maximum: int) -> None:
        self.outbox = Outbox()
        self.maximum = maximum
        self.up = False
        self.shown: dict[str, int] = {}
        self.broker: dict[str, object] = {}
        self.sent: dict[int, Parcel] = {}

    @rule(topic=st.sampled_from(TOPICS), value=st.integers(0, 2))
    def show(self, topic: str, value: int) -> None:
        self.shown[topic] = value
        self.outbox.show(topic, doc(value))

    @rule()
    def reply(self) -> None:
        self.outbox.reply("r", doc(0))

    @rule()
    def send(self) -> None:
        for parcel in self.outbox.due(0.0):
            assert parcel.ticket not in self.sent
            self.sent[parcel.ticket] = parcel
            if parcel.lane is Lane.STATE:
                self.broker[parcel.topic] = parcel.document.body

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.sent)))
        del self.sent[ticket]
        self.outbox.settled(ticket)

    @rule()
    def connect_or_lose(self) -> None:
        self.sent.clear()
        if self.up:
            self.outbox.disconnected()
        else:
            self.outbox.connected(self.maximum)
        self.up = not self.up

    @invariant()
    def the_window_holds(self) -> None:
        window = min(WINDOW, self.maximum)
        state = [p.topic for p in self.sent.values() if p.lane is Lane.STATE]
        assert self.outbox.under_way == len(self.sent) <= window
        assert len(state) <= max(1, window - RESERVED)
        assert len(set(state)) == len(state)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.outbox.depth <= len(TOPICS) + MAX_REPLIES + WINDOW

    def teardown(self) -> None:
        if not hasattr(self, "outbox"):
            return
        if not self.up:
            self.outbox.connected(self.maximum)
        for ticket in self.sent:
            self.outbox.settled(ticket)
        for parcel in drain(self.outbox):
            if parcel.lane is Lane.STATE:
                self.broker[parcel.topic] = parcel.document.body
        assert self.broker == {topic: {"value": value} for topic, value in self.shown.items()}


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


# --- events


def _event(seq: int) -> EventParcel:
    return EventParcel(seq, "edged/v1/gw1/event/connector", Document(body={"seq": seq}, retain=False))


def test_no_event_goes_before_online() -> None:
    outbox = connected()
    assert outbox.event_room == 0
    outbox.tell_events()
    assert outbox.event_room == MAX_EVENTS


def test_events_go_in_order_and_share_the_window_with_states() -> None:
    outbox = connected()
    outbox.tell_events()
    outbox.feed([_event(seq) for seq in range(1, 21)])
    for topic in TOPICS:
        outbox.show(topic, doc(1))
    first = outbox.due(0.0)
    events = [parcel.seq for parcel in first if parcel.lane is Lane.EVENT]
    assert events == list(range(1, len(events) + 1))
    assert len(first) == WINDOW - RESERVED
    assert len(events) == len(first) // 2


def test_what_is_delivered_never_passes_an_event_that_was_not_acknowledged() -> None:
    outbox = connected()
    outbox.tell_events()
    outbox.feed([_event(seq) for seq in (4, 5, 9)])
    tickets = {parcel.seq: parcel.ticket for parcel in outbox.due(0.0)}
    outbox.settled(tickets[9])
    outbox.settled(tickets[5])
    assert outbox.delivered_seq == 0
    outbox.settled(tickets[4])
    assert outbox.delivered_seq == 9


def test_events_are_forgotten_with_their_connection_and_late_acknowledgements_mean_nothing() -> None:
    outbox = connected()
    outbox.tell_events()
    outbox.feed([_event(1), _event(2)])
    tickets = [parcel.ticket for parcel in outbox.due(0.0)]
    outbox.disconnected()
    assert outbox.event_room == 0
    outbox.connected(20)
    assert outbox.settled(tickets[0]) is None
    assert (outbox.delivered_seq, outbox.due(0.0)) == (0, [])


# --- deletion


def _taken(outbox: Outbox) -> list[tuple[str, object]]:
    sent = []
    for parcel in outbox.due(0.0):
        sent.append((parcel.topic, parcel.document.body))
        outbox.settled(parcel.ticket)
    return sent


def test_a_removed_topic_gets_one_empty_payload_and_is_forgotten() -> None:
    outbox = Outbox()
    outbox.connected(20)
    outbox.show("t", Document(body={"n": 1}))
    _taken(outbox)
    outbox.remove("t")
    assert outbox.wanted == frozenset()
    assert _taken(outbox) == [("t", "")]
    assert outbox.shown("t") is None
    outbox.disconnected()
    outbox.connected(20)
    assert _taken(outbox) == []


def test_a_topic_that_is_removed_twice_on_its_way_is_forgotten_once() -> None:
    outbox = Outbox()
    outbox.connected(20)
    outbox.remove("t")
    (parcel,) = outbox.due(0.0)
    outbox.remove("t")
    outbox.settled(parcel.ticket)
    assert _taken(outbox) == []


def test_what_is_shown_again_while_it_is_deleted_is_there_afterwards() -> None:
    outbox = Outbox()
    outbox.connected(20)
    outbox.remove("t")
    (parcel,) = outbox.due(0.0)
    outbox.show("t", Document(body={"n": 2}))
    outbox.settled(parcel.ticket)
    assert _taken(outbox) == [("t", {"n": 2})]
    assert outbox.wanted == {"t"}


def test_a_deletion_without_a_broker_waits_for_one() -> None:
    outbox = Outbox()
    outbox.remove("t")
    outbox.connected(20)
    assert _taken(outbox) == [("t", "")]


def test_every_change_of_the_topics_changes_their_version() -> None:
    outbox = Outbox()
    outbox.connected(20)
    versions = [outbox.topics_version]
    for change in (
        lambda: outbox.show("t", Document(body={"n": 1})),
        lambda: outbox.remove("t"),
        lambda: _taken(outbox),
    ):
        change()
        versions.append(outbox.topics_version)
    assert len(set(versions)) == 4
    outbox.show("t", Document(body={"n": 1}))
    now = outbox.topics_version
    outbox.show("t", Document(body={"n": 2}))
    assert outbox.topics_version == now
