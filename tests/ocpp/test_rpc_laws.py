"""What holds of the OCPP-J session whatever arrives."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.ocpp.rpc import CallReceived, CodeTable, ErrorCode, ErrorReceived, Request, ResultReceived, Session, TimedOut

TABLES = [
    CodeTable(wire={ErrorCode.FORMAT: "FormationViolation"}),
    CodeTable(unreadable_id="-1", answers_unknown_type=True),
]
IDS = st.sampled_from(["a", "b", "own-1", "own-2", "own-3", "", "-1", "x" * 37])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | IDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
MESSAGES = (
    st.tuples(st.just(2), IDS, st.sampled_from(["Reset", "X"]), st.just({}) | VALUES)
    | st.tuples(st.just(3), IDS, st.just({}) | VALUES)
    | st.tuples(st.just(4), IDS, st.text(max_size=5), VALUES, VALUES)
    | st.lists(st.integers(-1, 9) | VALUES, max_size=6)
    | VALUES
)
FRAMES = MESSAGES.map(json.dumps) | st.text(max_size=30) | st.binary(max_size=30)
STEPS = st.lists(
    st.tuples(st.just("receive"), FRAMES)
    | st.tuples(st.sampled_from(["call", "poll", "answer", "refuse", "ignore", "lost"]), st.integers(0, 3)),
    max_size=40,
)


@given(st.sampled_from(TABLES), FRAMES)
@settings(max_examples=200, deadline=None)
def test_no_frame_raises_and_what_goes_out_is_a_callerror_of_five_elements(
    codes: CodeTable, frame: str | bytes
) -> None:
    session = Session(codes, new_id=lambda: "own-1", call_timeout_s=lambda: 1.0)
    session.receive(frame, 0.0)
    for out in session.take_outgoing():
        message = json.loads(out)
        assert message[0] == 4 and len(message) == 5 and len(message[3]) <= 255


@given(st.sampled_from(TABLES), STEPS)
@settings(max_examples=150, deadline=None)
def test_every_call_either_way_ends_exactly_once(codes: CodeTable, steps: list[tuple[str, Any]]) -> None:
    numbers = iter(range(1, 1000))
    session = Session(codes, new_id=lambda: f"own-{next(numbers)}", call_timeout_s=lambda: 2.0, max_pending_in=3)
    begun: list[int] = []
    ended: list[int] = []
    open_in: list[str] = []
    answers = 0
    for now_s, (step, argument) in enumerate(steps):
        match step:
            case "receive":
                for event in session.receive(argument, float(now_s)):
                    if isinstance(event, CallReceived):
                        assert event.id not in open_in
                        open_in.append(event.id)
                    elif isinstance(event, ResultReceived | ErrorReceived):
                        ended.append(event.ref)
            case "call" if session.idle:
                begun.append(now_s)
                session.call(Request("Heartbeat", {}), now_s, float(now_s))
            case "poll":
                for timed_out in session.poll(float(now_s)):
                    assert isinstance(timed_out, TimedOut)
                    ended.append(timed_out.ref)
            case "answer" if open_in:
                session.reply(open_in.pop(argument % len(open_in)), {})
                answers += 1
            case "refuse" if open_in:
                session.reply_error(open_in.pop(argument % len(open_in)), ErrorCode.INTERNAL, "no")
            case "ignore" if open_in:
                session.ignore(open_in.pop(argument % len(open_in)))
            case "lost":
                ref = session.lost()
                if ref is not None:
                    ended.append(ref)
        assert session.pending_in == len(open_in) <= 3
        assert len(begun) - len(ended) == (0 if session.idle else 1)
    assert ended == begun[: len(ended)]
