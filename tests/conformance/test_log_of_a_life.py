"""What the journal is told of a car's visit by the whole daemon: every entry with what it is about."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edged.domain.hardware import FaultCode
from edged.system.journal import Journal
from edged.system.logs import OneLine, set_up
from tests.conformance.scene import TWO_SOCKETS, OpenScene, Scene
from tests.fakes.journald import FakeJournald

PATIENCE_S = 30.0
FRAME = re.compile(r'edged\.wire: CP-1 (?:<-|->) \[\d,"([^"]+)"')
OF_THE_WHOLE = ("edged.gateway", "edged.history", "edged.local.control", "edged.chargers.outage", "edged.system.clock")
"""What says something of the gateway or of a line, and names no station."""


class Reader:
    """A journal that has read each entry before the next one comes: its queue may be as short as a kernel makes it."""

    def __init__(self, journald: FakeJournald, send: Callable[[Journal, bytes], None]) -> None:
        self.entries: list[dict[str, str]] = []
        self._journald = journald
        self._send = send

    def send(self, journal: Journal, entry: bytes) -> None:
        self._send(journal, entry)
        self.entries += self._journald.entries()

    async def told(self, words: str, times: int = 1) -> dict[str, str]:
        """The last of so many entries with these words, past or to come."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := [entry for entry in self.entries if re.search(words, entry["MESSAGE"])]) < times:
                await asyncio.sleep(0.01)
        return found[times - 1]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """The process's log goes to this journal, frames too."""
    monkeypatch.setattr("edged.log_fields._always", {})
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "edged", "edged.wire")}
    with FakeJournald(tmp_path / "journal") as journald, (tmp_path / "stderr").open("w") as stderr:
        reading = Reader(journald, Journal._send)
        monkeypatch.setattr(Journal, "_send", lambda journal, entry: reading.send(journal, entry))
        found = os.fstat(stderr.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        set_up("debug", wire=True, stream=stderr, environ=environ, journal_at=str(journald.path))
        yield reading
        for output in [each for each in root.handlers if isinstance(each.formatter, OneLine)]:
            root.removeHandler(output)
            if isinstance(output, Journal):
                assert output.lost == 0
                output.close()
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


async def visit(scene: Scene) -> None:
    """A reservation, its driver, a fault meanwhile, and the end, all at connector 2."""
    assert await scene.reserve("ALICE", 2, id=7) == "Accepted"
    await scene.expect_status("Reserved", 2)
    scene.swipe("ALICE", 2)
    scene.plug(2)
    await scene.expect("StartTransaction", idTag="ALICE", reservationId=7)
    await scene.expect_status("Charging", 2)
    scene.fault(FaultCode.GROUND, 2)
    await scene.expect_status("Faulted", 2)
    scene.mend(2)
    scene.unplug(2)
    await scene.expect("StopTransaction")
    await scene.expect_status("Available", 2)


async def test_each_entry_of_a_visit_says_at_which_station_connector_and_transaction(
    reader: Reader, open_scene: OpenScene
) -> None:
    await visit(await open_scene(TWO_SOCKETS))
    transactions = set()
    for words in ("transaction.started", "fault GroundFailure", "transaction.ended"):
        entry = await reader.told(f"connector 2: {words}")
        transactions.add(entry["EDGED_TRANSACTION"])
        assert (entry["EDGED_STATION"], entry["EDGED_CONNECTOR"]) == ("CP-1", "2")
    assert len(transactions) == 1
    for words in ("reservation.made", "reservation.used", "fault over: GroundFailure"):
        entry = await reader.told(words)
        assert (entry["EDGED_STATION"], entry["EDGED_CONNECTOR"]) == ("CP-1", "2")
    assert "EDGED_TRANSACTION" not in await reader.told("reservation.made")
    assert (await reader.told("fault GroundFailure"))["PRIORITY"] == "4"
    assert (await reader.told("transaction.started"))["PRIORITY"] == "6"
    assert len({entry["EDGED_RUN"] for entry in reader.entries if entry["LOGGER"] == "edged.chronicle"}) == 1


async def test_what_the_csms_asked_for_and_each_frame_say_which_message_it_was(
    reader: Reader, open_scene: OpenScene
) -> None:
    scene = await open_scene(TWO_SOCKETS)
    assert await scene.reserve("ALICE", 2, id=7) == "Accepted"
    made = await reader.told("reservation.made")
    asked = await reader.told('"ReserveNow"')
    assert made["EDGED_MESSAGE_ID"] == asked["EDGED_MESSAGE_ID"]
    frames = [(found[1], entry) for entry in reader.entries if (found := FRAME.match(entry["MESSAGE"]))]
    assert len(frames) > 4
    for message_id, entry in frames:
        assert (entry["EDGED_MESSAGE_ID"], entry["EDGED_STATION"]) == (message_id, "CP-1")
    of_this = [entry["MESSAGE"] for message_id, entry in frames if message_id == asked["EDGED_MESSAGE_ID"]]
    assert ["<-" in message for message in of_this] == [True, False]


async def test_what_goes_over_a_line_says_for_which_charger_and_connector(
    reader: Reader, open_scene: OpenScene
) -> None:
    await open_scene(TWO_SOCKETS)
    await reader.told(": connected", times=2)
    of_chargers = {
        entry["EDGED_CHARGER"]: entry["EDGED_CONNECTOR"] for entry in reader.entries if "EDGED_CHARGER" in entry
    }
    assert of_chargers == {"box1-1": "1", "box1-2": "2"}
    asked = [entry for entry in reader.entries if re.match(r"edged\.wire: \S+ unit \d+ ", entry["MESSAGE"])]
    assert {entry["EDGED_CHARGER"] for entry in asked} == set(of_chargers)
    for entry in asked:
        assert entry["EDGED_CONNECTOR"] == of_chargers[entry["EDGED_CHARGER"]]
        assert entry["EDGED_STATION"] == "CP-1"
        assert entry["MESSAGE"].startswith(f"edged.wire: {entry['EDGED_BUS']} unit ")


async def test_what_a_local_command_did_says_which_command_it_was(reader: Reader, open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    stream, writer = await asyncio.open_unix_connection(scene.daemon.control)
    order = {"connector": 2, "id_token": "BOB", "expires_at": "2098-01-01T00:00:00Z", "reservation_id": 9}
    writer.write(json.dumps({"id": "cli-77", "command": "reserve_now", "args": order}).encode() + b"\n")
    assert json.loads(await stream.readline())["ok"]
    writer.close()
    await writer.wait_closed()
    entry = await reader.told("reservation.made")
    assert (entry["EDGED_COMMAND"], entry["EDGED_CONNECTOR"]) == ("cli-77", "2")
    assert "EDGED_MESSAGE_ID" not in entry


async def test_every_entry_above_debug_names_its_station_or_is_about_the_whole(
    reader: Reader, open_scene: OpenScene
) -> None:
    scene = await open_scene(TWO_SOCKETS)
    await visit(scene)
    await scene.cut()
    await reader.told("no line to the CSMS")
    await scene.restore()
    await reader.told("the line to the CSMS is up", times=2)
    await scene.restart_daemon()
    await reader.told(": connected", times=4)
    nameless = [entry for entry in reader.entries if entry["PRIORITY"] != "7" and "EDGED_STATION" not in entry]
    ours = [entry for entry in nameless if entry["LOGGER"].startswith("edged.") and "simulator" not in entry["LOGGER"]]
    assert {entry["LOGGER"] for entry in ours} <= set(OF_THE_WHOLE), ours
