"""What outlives a reboot of the gateway's own starts: how many, when, why, and how long it had run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from edged import __version__
from edged.domain.commands import ResetKind
from edged.domain.past import PastReset, PastResets
from edged.domain.station import Station
from edged.domain.types import Now, Stamp
from edged.history import HISTORY, RUNS_MAX, History, summary
from edged.ports import StoreError
from edged.store.memory import MemoryStore
from tests.fakes.site import START, station


@dataclass
class Clock:
    at: Now = field(default_factory=lambda: Now(START, 100.0, True))

    def now(self) -> Now:
        return self.at

    def learn(self, utc: datetime) -> None:
        raise AssertionError("nobody tells it here")

    def passes(self, seconds: float, *, synchronized: bool = True, jump: timedelta = timedelta(0)) -> None:
        utc = self.at.utc + timedelta(seconds=seconds) + jump
        self.at = Now(utc, self.at.monotonic_s + seconds, synchronized)


@dataclass
class Desk:
    """A store over many runs."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: Clock = field(default_factory=Clock)
    here: str = "boot-1"
    runs: int = 0

    def start(
        self,
        *stations: Station,
        reloaded: bool = False,
        lost: str | None = None,
        last_words: str = "",
        rebooted: bool = False,
    ) -> History:
        self.runs += 1
        self.here = f"boot-{self.runs}" if rebooted else self.here
        one = History(self.store, self.clock, here=self.here, run_id=f"r{self.runs}", last_words=last_words)
        one.began(stations or (station(),), reloaded=reloaded, lost=lost)
        return one

    def run(self, seconds: float = 60.0, **how: bool) -> None:
        """A run that ends in order."""
        one = self.start(**how)
        self.clock.passes(seconds)
        one.ended()


def newest(history: History) -> dict[str, object]:
    return dict(history.document()["runs"][0])


def test_the_first_start_is_the_first() -> None:
    told = Desk().start().document()
    assert (told["starts"], told["reboots"]) == (1, 0)
    (run,) = told["runs"]
    assert (run["why"], run["version"], run["ended"]) == ("first start", __version__, None)


def test_starts_and_restarts_of_the_computer_are_counted() -> None:
    desk = Desk()
    desk.run()
    desk.run()
    desk.run(rebooted=True)
    told = desk.start().document()
    assert (told["starts"], told["reboots"]) == (4, 1)
    assert [run["why"] for run in told["runs"]] == ["stopped", "computer restarted", "stopped", "first start"]
    assert [run["ended"] for run in told["runs"]] == [None, "in order", "in order", "in order"]
    assert [run["ran_s"] for run in told["runs"]] == [None, 60.0, 60.0, 60.0]


@pytest.mark.parametrize(("rebooted", "why"), [(False, "edged failed"), (True, "power lost")])
def test_a_run_that_ended_without_a_word_is_told(rebooted: bool, why: str) -> None:
    desk = Desk()
    desk.start()
    found = desk.start(rebooted=rebooted)
    assert found.unexpected
    assert found.continued is not rebooted
    assert newest(found)["why"] == why
    assert found.document()["runs"][1]["ended"] == "without a word"


def test_a_crash_says_what_it_was() -> None:
    desk = Desk()
    desk.start()
    found = desk.start(last_words="Fatal Python error: Aborted\n\nThread 0x1 (most recent call first):\n  File x")
    assert newest(found)["detail"] == "Fatal Python error: Aborted"
    assert summary("Traceback (most recent call last):\n  File y\nValueError: no\n") == "ValueError: no"


def test_a_new_version_a_new_configuration_and_a_lost_database_are_told() -> None:
    desk = Desk()
    desk.run()
    text = desk.store.value(HISTORY)
    assert text is not None
    desk.store.set_value(HISTORY, text.replace(f'"version":"{__version__}"', '"version":"0.0.9"'))
    updated = desk.start()
    assert newest(updated)["updated_from"] == "0.0.9"
    updated.ended()
    reloaded = desk.start(reloaded=True)
    assert (newest(reloaded)["why"], newest(reloaded)["updated_from"]) == ("new configuration", None)
    reloaded.ended()
    lost = desk.start(lost="the database was damaged")
    assert (newest(lost)["why"], newest(lost)["detail"]) == ("database replaced", "the database was damaged")


def test_a_reset_is_told_with_its_kind_its_station_and_who_ordered_it() -> None:
    desk = Desk()
    desk.run()
    past = PastReset(at=Stamp(START, True, "b"), ran_s=1.0, kind=ResetKind.HARD, source="csms")
    other = replace(past, kind=ResetKind.SOFT, evse=1, source="local")
    reset = replace(station(), next_boot_reason="RemoteReset", resets=PastResets(resets=(past, other)))
    run = newest(desk.start(station(), reset))
    assert (run["why"], run["detail"]) == ("reset", "Hard reset of TEST, ordered by its CSMS")


def test_installed_firmware_is_told() -> None:
    desk = Desk()
    desk.run()
    assert newest(desk.start(replace(station(), next_boot_reason="FirmwareUpdate")))["why"] == "firmware"


def test_how_long_a_run_lasted_at_least_is_known_from_what_its_stations_kept() -> None:
    desk = Desk()
    desk.start(replace(station(), ran_kept_s=1000.0))
    found = desk.start(replace(station(), ran_kept_s=4600.0), replace(station(), ran_kept_s=10.0))
    assert found.document()["runs"][1]["ran_s"] == 3600.0
    assert found.document()["ran_s"] == 4600
    third = desk.start(replace(station(), ran_kept_s=50.0))  # of another database: nothing can be said
    assert third.document()["runs"][1]["ran_s"] is None


def test_no_more_is_kept_than_the_bound() -> None:
    desk = Desk()
    for _ in range(RUNS_MAX + 10):
        desk.run()
    told = desk.start(lost="x" * 5000).document()
    assert (told["starts"], len(told["runs"])) == (RUNS_MAX + 11, RUNS_MAX)
    assert len(desk.store.value(HISTORY) or "") < 8192


def test_the_moment_of_a_start_is_put_right_once_the_time_is_known() -> None:
    desk = Desk(clock=Clock(Now(START, 100.0, False)))
    found = desk.start()
    assert newest(found)["clock_known"] is False
    desk.clock.passes(40, synchronized=False)
    assert not found.learn()
    desk.clock.passes(20, jump=timedelta(days=100))
    assert found.learn()
    assert not found.learn(), "once"
    found.keep()
    again = desk.start().document()["runs"][1]
    assert again["at"] == (START + timedelta(days=100)).isoformat(timespec="seconds")
    assert again["clock_known"] is True


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '{"starts":"x"}', '{"starts":1,"runs":[{}]}', '{"later":1}', "[" * 50_000]
)
def test_what_cannot_be_read_begins_anew_and_is_in_nobodys_way(text: str) -> None:
    desk = Desk()
    desk.store.set_value(HISTORY, text)
    told = desk.start().document()
    assert told["starts"] == 1
    json.dumps(told)


def test_a_start_is_one_write_and_so_is_an_end() -> None:
    desk = Desk()
    store = Counting()
    desk.store = store
    found = desk.start()
    assert store.writes == 1
    found.ended()
    assert store.writes == 2


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def set_values(self, values: object) -> None:
        self.writes += 1
        super().set_values(values)  # type: ignore[arg-type]


def test_a_disk_that_does_not_take_the_start_is_no_start() -> None:
    class Full(MemoryStore):
        def set_values(self, values: object) -> None:
            raise StoreError("full")

    desk = Desk(store=Full())
    with pytest.raises(StoreError):
        desk.start()
