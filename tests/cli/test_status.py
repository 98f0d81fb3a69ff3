"""`edged status`: what it makes of the daemon's starts and of faults. The rest is shown by the tests of the daemon."""

from __future__ import annotations

from typing import Any

import pytest

from edged.cli.status import STARTS_SHOWN, lines, lines_of_history


def run(start: int, **changes: Any) -> dict[str, Any]:
    known = {
        "start": start,
        "at": "2026-05-04T12:00:00+00:00",
        "clock_known": True,
        "why": "stopped",
        "detail": None,
        "rebooted": False,
        "version": "1",
        "updated_from": None,
        "ran_s": 5025.0,
        "ended": "in order",
    }
    return {**known, **changes}


def shown(*runs: dict[str, Any]) -> str:
    return "\n".join(lines_of_history({"starts": 17, "reboots": 3, "ran_s": 266_400, "runs": list(runs)}))


def test_the_starts_are_summed_up() -> None:
    assert shown(run(17)).startswith("starts: 17, 3 of them with the computer; it had run for 3 d 2 h before this one")


def test_a_start_says_when_why_and_how_long_it_ran() -> None:
    text = shown(
        run(17, why="reset", detail="Hard reset of CP-1, ordered by its CSMS", rebooted=True, ended=None, ran_s=None),
        run(16, why="power lost", rebooted=True, ended="without a word", ran_s=None, clock_known=False),
        run(15, updated_from="0.9"),
    )
    first, second, third = text.splitlines()[2:]
    assert "reset, with the computer" in first and "Hard reset of CP-1, ordered by its CSMS" in first
    assert " runs " in first
    assert "(not known)" in second and "not known" in second.split("power lost")[1]
    assert "with the computer" not in second
    assert "1 h 23 min" in third and "updated from 0.9" in third


def test_only_the_last_few_are_shown() -> None:
    assert len(shown(*(run(n) for n in range(20, 0, -1))).splitlines()) == STARTS_SHOWN + 2


def test_a_connectors_last_fault_is_one_cell_of_its_table() -> None:
    fault = {"code": "GroundFailure", "vendor_code": "F7", "since": "12:00", "cleared": None}
    connectors = [
        {"connector": 1, "last_fault": fault},
        {"connector": 2, "last_fault": {**fault, "cleared": "12:30"}},
        {"connector": 3, "last_fault": None},
    ]
    text = "\n".join(lines({"buses": {}, "history": None, "stations": [{"id": "CP-1", "connectors": connectors}]}))
    assert "1          GroundFailure F7 since 12:00 and still there" in text
    assert "2          GroundFailure F7 since 12:00 until 12:30" in text


@pytest.mark.parametrize("history", [None, {}, 7, {"runs": None}, {"runs": [1]}, {"runs": []}, {"runs": [{}]}])
def test_a_history_of_another_shape_is_shown_as_it_comes(history: Any) -> None:
    assert isinstance("\n".join(lines({"gateway": "g", "history": history, "buses": {}, "stations": []})), str)
