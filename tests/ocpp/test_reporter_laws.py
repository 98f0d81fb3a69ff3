"""What holds of the reporter through any history, against a CSMS that loses, refuses and keeps what it is told."""

from __future__ import annotations

from collections import deque
from operator import eq
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.ocpp.reporter import MAX_UNACKNOWLEDGED, RETRY_S, Reporter

STEPS = st.lists(
    st.tuples(st.just("change"), st.integers(1, 2), st.sampled_from("ABC"))
    | st.tuples(
        st.sampled_from(["arrive", "vanish", "refuse", "cut", "connect", "reset", "tick"]), st.none(), st.none()
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([0.0, 2.0]))
@settings(max_examples=200, deadline=None)
def test_once_the_line_is_quiet_the_csms_sees_what_we_see(steps: list[Any], minimum_s: float) -> None:
    reporter: Reporter[int, str] = Reporter()
    ours = {1: "A", 2: "A"}
    theirs: dict[int, str] = {}
    wire: deque[tuple[int, str]] = deque()
    connected = False
    now_s = 0.0

    def look() -> None:
        due = reporter.observe(ours, now_s, minimum_s, eq)
        assert connected or not due
        wire.extend(due)
        assert all(sum(key == k for k, _ in wire) <= MAX_UNACKNOWLEDGED for key in ours)

    for step, key, value in steps:
        now_s += 1.0
        match step:
            case "change":
                ours[key] = value
            case "arrive" | "vanish" | "refuse" if wire:
                reported, told = wire.popleft()
                if step == "arrive":
                    theirs[reported] = told
                    reporter.acknowledged(reported)
                else:
                    if step == "vanish":  # processed, but the answer is lost
                        theirs[reported] = told
                    reporter.failed(reported)
            case "cut":
                if wire:
                    theirs[wire[0][0]] = wire[0][1]  # the first one was on the wire and arrived
                wire.clear()
                reporter.disconnected()
                connected = False
            case "connect":
                reporter.connected()
                connected = True
            case "reset":
                theirs.clear()
                reporter.reset()
        look()
    reporter.disconnected()  # a report that was given up is told again with the next line
    wire.clear()
    reporter.connected()
    connected = True
    for _ in range(3):
        now_s += RETRY_S
        look()
        while wire:
            reported, told = wire.popleft()
            theirs[reported] = told
            reporter.acknowledged(reported)
    assert theirs == ours
    look()
    assert not wire


@settings(deadline=None)
@given(st.lists(st.sampled_from("ABC"), max_size=MAX_UNACKNOWLEDGED))
def test_while_connected_the_reports_are_the_changes(values: list[str]) -> None:
    reporter: Reporter[int, str] = Reporter()
    reporter.connected()
    reports = [v for n, value in enumerate(values) for _, v in reporter.observe({1: value}, float(n), 0.0, eq)]
    assert reports == [value for n, value in enumerate(values) if n == 0 or value != values[n - 1]]
