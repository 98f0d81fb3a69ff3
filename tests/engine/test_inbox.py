"""The bounded inbox: order, what coalesces, what is refused, and that nothing told is lost by it."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from edged.domain.commands import GetConfiguration
from edged.domain.events import ChargerLost, ConnectorObserved, Event, LinkDown, LinkUp, PresentToken, Tick
from edged.domain.hardware import ChargerState, Meter, Observation
from edged.domain.types import IdToken, Now, RequestRef
from edged.inbox import MAX_REQUESTS, Inbox
from tests.fakes.site import START

NOW = Now(START, 0.0, True)


def seen(number: int = 1, energy_wh: float = 0.0, *, token: str | None = None, booted: bool = False) -> Event:
    observation = Observation(
        read_at=NOW,
        state=ChargerState.AVAILABLE,
        meter=Meter(energy_wh=energy_wh),
        token=IdToken(token) if token else None,
        booted=booted,
    )
    return ConnectorObserved(number, observation)


def request(ident: str = "1") -> GetConfiguration:
    return GetConfiguration(RequestRef("csms", ident, ""), ())


async def drain(inbox: Inbox) -> list[Event]:
    return [await inbox.get() for _ in range(len(inbox))]


async def after(*events: Event) -> list[Event]:
    """What comes out, of what was put in."""
    inbox = Inbox()
    for event in events:
        assert inbox.put(event)
    return await drain(inbox)


async def test_events_come_out_in_the_order_in_which_they_happened():
    events = [LinkUp(), request("a"), ChargerLost(1, "x"), request("b"), LinkDown("cut")]
    assert await after(*events) == events


async def test_get_waits_for_an_event():
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(LinkUp())
    assert await asyncio.wait_for(waiting, 30) == LinkUp()
    assert len(inbox) == 0


async def test_only_the_newest_poll_of_a_connector_counts():
    assert await after(seen(1, 1), seen(1, 2), seen(1, 3)) == [seen(1, 3)]


async def test_polls_of_other_connectors_are_other_news():
    assert await after(seen(1, 1), seen(2, 1), seen(1, 2), seen(2, 2)) == [seen(1, 2), seen(2, 2)]


async def test_a_poll_keeps_the_place_of_the_one_that_it_replaces():
    assert await after(seen(1, 1), LinkUp(), seen(1, 2)) == [seen(1, 2), LinkUp()]


async def test_a_token_of_an_older_poll_is_kept():
    assert await after(seen(1, 1, token="ALICE"), seen(1, 2)) == [seen(1, 2, token="ALICE")]


async def test_a_restart_of_an_older_poll_is_kept():
    assert await after(seen(1, 1, booted=True), seen(1, 2)) == [seen(1, 2, booted=True)]


async def test_two_tokens_are_two_events():
    events = [seen(1, 1, token="ALICE"), seen(1, 2, token="BOB")]
    assert await after(*events) == events


async def test_a_poll_after_the_charger_was_lost_is_not_put_before_it():
    events = [seen(1, 1), ChargerLost(1, "no answer"), seen(1, 2)]
    assert await after(*events) == events


async def test_the_loss_of_another_charger_is_no_hindrance():
    assert await after(seen(1, 1), ChargerLost(2, "x"), seen(1, 2)) == [seen(1, 2), ChargerLost(2, "x")]


async def test_ticks_do_not_pile_up():
    assert await after(Tick(), LinkUp(), Tick(), Tick()) == [Tick(), LinkUp()]


async def test_a_flood_of_local_requests_leaves_room_for_the_csms_s_and_the_other_way_round():
    local = GetConfiguration(RequestRef("mqtt:bms", "1", ""), ())
    for first, second in ((local, request()), (request(), local)):
        inbox = Inbox()
        assert [inbox.put(first) for _ in range(MAX_REQUESTS + 1)] == [True] * MAX_REQUESTS + [False]
        assert inbox.put(second)
        await drain(inbox)
        assert [inbox.put(first) for _ in range(MAX_REQUESTS + 1)] == [True] * MAX_REQUESTS + [False]


async def test_requests_beyond_the_bound_are_refused_and_counted():
    inbox = Inbox()
    taken = [inbox.put(request(str(n))) for n in range(MAX_REQUESTS + 3)]
    assert taken == [True] * MAX_REQUESTS + [False] * 3
    assert inbox.refused == 3
    assert len(inbox) == MAX_REQUESTS


async def test_there_is_room_again_once_a_request_was_taken_out():
    inbox = Inbox(max_requests=1)
    assert inbox.put(request("a"))
    assert not inbox.put(request("b"))
    await inbox.get()
    assert inbox.put(request("c"))


async def test_a_token_that_somebody_asks_about_counts_as_a_request_and_one_from_a_reader_does_not():
    inbox = Inbox(max_requests=0)
    assert not inbox.put(PresentToken(IdToken("A"), 1, RequestRef("local", "1", "")))
    assert inbox.put(PresentToken(IdToken("A"), 1))


async def test_what_our_own_shells_report_is_always_taken():
    inbox = Inbox(max_requests=0)
    for event in (seen(), ChargerLost(1, "x"), LinkUp(), LinkDown("cut"), Tick()):
        assert inbox.put(event)


@given(
    st.lists(
        st.one_of(
            st.builds(
                seen,
                st.integers(1, 2),
                st.floats(0, 10),
                token=st.sampled_from([None, "A", "B"]),
                booted=st.booleans(),
            ),
            st.builds(ChargerLost, st.integers(1, 2), st.just("x")),
            st.just(Tick()),
        )
    )
)
def test_no_token_no_restart_and_no_last_word_of_a_connector_is_ever_lost(events: list[Event]):
    out = asyncio.run(after(*events))
    for number in (1, 2):
        told, left = ([e for e in some if getattr(e, "connector", None) == number] for some in (events, out))
        polls_told, polls_left = ([e for e in some if isinstance(e, ConnectorObserved)] for some in (told, left))
        tokens = [e.observation.token for e in polls_told if e.observation.token]
        assert [e.observation.token for e in polls_left if e.observation.token] == tokens
        assert any(e.observation.booted for e in polls_left) == any(e.observation.booted for e in polls_told)
        if told:
            assert type(left[-1]) is type(told[-1])
        if polls_told:
            assert polls_left[-1].observation.meter == polls_told[-1].observation.meter
