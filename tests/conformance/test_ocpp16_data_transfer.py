"""Free data in both directions: registered vendors, a local actor's message to the CSMS, and the history of both."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from typing import Any

import pytest

from edged.gateway import DATABASE
from edged.simulator.csms_answers import ErrorAnswer
from tests.conformance.scene import OpenScene, Scene

VENDORS = {
    "data_transfer": {
        "vendors": {
            "com.example": {"messages": ["Tariff", "Text"], "answer": "OK"},
            "com.closed": {"status": "Rejected"},
            "com.open": {},
        }
    }
}


async def command(scene: Scene, name: str, **args: object) -> dict[str, Any]:
    """A command through the control socket; the whole reply."""
    reader, writer = await asyncio.open_unix_connection(scene.daemon.control, limit=2**21)
    try:
        writer.write(json.dumps({"id": None, "command": name, "args": args}).encode() + b"\n")
        async with asyncio.timeout(40):
            return dict(json.loads(await reader.readline()))
    finally:
        writer.close()
        await writer.wait_closed()


async def transfers(scene: Scene, limit: int = 100) -> list[dict[str, Any]]:
    reply = await command(scene, "list_data_transfers", limit=limit)
    assert reply["ok"], reply
    return list(reply["result"]["transfers"])


# --- from the CSMS


@pytest.mark.req("TC_062_CS")
async def test_TC_062_CS_data_of_registered_vendors(open_scene: OpenScene) -> None:
    scene = await open_scene(site_settings=VENDORS)
    answer = await scene.call("DataTransfer", vendorId="com.example", messageId="Tariff", data="0.42 EUR")
    assert answer == {"status": "Accepted", "data": "OK"}
    assert await scene.call("DataTransfer", vendorId="COM.EXAMPLE", messageId="text") == answer
    assert await scene.call("DataTransfer", vendorId="com.open") == {"status": "Accepted"}
    assert await scene.call("DataTransfer", vendorId="com.closed", messageId="x") == {"status": "Rejected"}
    for message in ({"messageId": "Reboot"}, {}):
        assert await scene.call("DataTransfer", vendorId="com.example", **message) == {"status": "UnknownMessageId"}
    unknown = await scene.call("DataTransfer", vendorId="com.else", messageId="Tariff", data="{[\u0000")
    assert unknown == {"status": "UnknownVendorId"}
    listed = await transfers(scene)
    assert [one["status"] for one in listed] == [
        *("Accepted", "Accepted", "Accepted", "Rejected", "UnknownMessageId", "UnknownMessageId", "UnknownVendorId")
    ]
    assert {one["direction"] for one in listed} == {"from_csms"}
    first, last = listed[0], listed[-1]
    assert (first["vendor_id"], first["message_id"], first["data"]) == ("com.example", "Tariff", "0.42 EUR")
    assert (first["answer"], first["source"], first["data_chars"]) == ("OK", "csms", 8)
    assert (last["data"], last["answer"]) == ("{[\u0000", None)


async def test_data_that_is_long_is_taken_and_its_beginning_kept(open_scene: OpenScene) -> None:
    scene = await open_scene(site_settings=VENDORS)
    assert await scene.status_of("DataTransfer", vendorId="com.open", data="ä" * 60_000) == "Accepted"
    ((only),) = await transfers(scene)
    assert (only["data"], only["data_chars"]) == ("ä" * 4096, 60_000)


# --- to the CSMS


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"status": "Accepted", "data": "thanks"}, {"status": "Accepted", "data": "thanks"}),
        ({"status": "UnknownVendorId"}, {"status": "UnknownVendorId", "data": None}),
    ],
)
async def test_a_local_actors_data_reaches_the_csms_and_the_answer_comes_back(
    open_scene: OpenScene, answer: dict[str, object], result: dict[str, object]
) -> None:
    scene = await open_scene()
    scene.csms.answer("DataTransfer", answer)
    scene.since = scene.csms.mark()
    reply = await command(scene, "data_transfer", vendor_id="com.example", message_id="Hello", data='{"a": "ä\n"}')
    assert (reply["ok"], reply["result"]) == (True, result)
    sent = await scene.expect("DataTransfer")
    assert sent == {"vendorId": "com.example", "messageId": "Hello", "data": '{"a": "ä\n"}'}
    (entry,) = await transfers(scene)
    assert (entry["direction"], entry["source"], entry["status"]) == ("to_csms", "local", result["status"])
    assert (entry["data"], entry["answer"]) == ('{"a": "ä\n"}', result["data"])


async def test_the_command_line_sends_data_and_lists_it(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.csms.answer("DataTransfer", {"status": "Accepted", "data": "thanks"})

    async def ctl(*words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", "ctl", *words, "--control", str(scene.daemon.control)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, (out + err).decode()

    assert await ctl("data_transfer", "vendor_id=com.example", "data=00123") == (
        0,
        "status  Accepted\ndata    thanks\n",
    )
    status, out = await ctl("list_data_transfers", "--json")
    (only,) = json.loads(out)["result"]["transfers"]
    assert (status, only["data"], only["answer"]) == (0, "00123", "thanks")
    scene.csms.answer("DataTransfer", {"status": "Rejected"})
    assert (await ctl("data_transfer", "vendor_id=com.example"))[0] == 1


async def test_a_callerror_of_the_csms_is_told_and_kept(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.csms.answer("DataTransfer", ErrorAnswer("NotImplemented", "no"))
    reply = await command(scene, "data_transfer", vendor_id="com.example")
    assert (reply["ok"], reply["error"]["code"]) == (False, "rejected")
    assert "NotImplemented" in reply["error"]["message"]
    assert [one["status"] for one in await transfers(scene)] == ["NoAnswer"]


async def test_without_a_line_data_is_not_sent_and_not_sent_later(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.cut()
    await scene.knows(lambda state: not state["csms"]["online"])
    reply = await command(scene, "data_transfer", vendor_id="com.example")
    assert reply["error"]["code"] == "csms_offline"
    await scene.restore()
    await scene.knows(lambda state: state["csms"]["online"])
    await scene.answered()
    assert scene.payloads("DataTransfer") == []
    assert await transfers(scene) == []


# --- the history


async def test_the_history_survives_a_killed_daemon(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True, site_settings=VENDORS)
    scene.csms.answer("DataTransfer", {"status": "Accepted"})
    assert await scene.status_of("DataTransfer", vendorId="com.open", data="before") == "Accepted"
    assert (await command(scene, "data_transfer", vendor_id="com.example", data="mine"))["ok"]
    before = await transfers(scene)
    await scene.restart_daemon(kill=True)
    assert await transfers(scene) == before
    assert await scene.status_of("DataTransfer", vendorId="com.open", data="after") == "Accepted"
    assert [one["data"] for one in await transfers(scene)] == ["before", "mine", "after"]
    assert [one["data"] for one in await transfers(scene, limit=1)] == ["after"]


async def test_eleven_hundred_transfers_leave_the_last_thousand_on_the_disk(open_scene: OpenScene) -> None:
    scene = await open_scene(site_settings=VENDORS)
    for number in range(1100):
        assert await scene.status_of("DataTransfer", vendorId="com.open", data=str(number)) == "Accepted"
    newest = await transfers(scene)
    assert [one["data"] for one in newest] == [str(number) for number in range(1000, 1100)]
    await scene.stop_daemon()
    with contextlib.closing(sqlite3.connect(scene.daemon.state_dir / DATABASE)) as database:
        found = database.execute("SELECT value FROM journal WHERE kind = 'transfer' ORDER BY number").fetchall()
    assert [json.loads(value)["data"] for (value,) in found] == [str(number) for number in range(100, 1100)]


# --- what else a local actor can ask


async def test_local_people_ask_what_a_csms_can_ask(open_scene: OpenScene) -> None:
    scene = await open_scene()

    async def result(name: str, **args: object) -> Any:
        reply = await command(scene, name, **args)
        assert reply["ok"], reply
        return reply["result"]

    assert await result("set_configuration_key", key="MeterValueSampleInterval", value="17") == {"status": "Accepted"}
    read = await result("get_configuration_key", keys=["metervaluesampleinterval", "AuthorizationKey", "Nothing"])
    assert read["unknown_keys"] == ["Nothing"]
    assert {"key": "MeterValueSampleInterval", "value": "17", "read_only": False} in read["configuration_keys"]
    assert await scene.value_of("MeterValueSampleInterval") == "17"
    forbidden = await command(scene, "set_configuration_key", key="AuthorizationKey", value="correct horse battery")
    assert forbidden["error"]["code"] == "forbidden"
    assert await result("clear_cache") == {"status": "Accepted"}
    assert await result("unlock_connector", connector=1) == {"status": "Unlocked"}
    scene.since = scene.csms.mark()
    assert await result("change_availability", connector=1, type="Inoperative") == {"status": "Accepted"}
    await scene.expect_status("Unavailable")
    assert await result("change_availability", connector=1, type="Operative") == {"status": "Accepted"}
    await scene.expect_status("Available")
    scene.since = scene.csms.mark()
    assert await result("trigger_message", requested_message="Heartbeat") == {"status": "Accepted"}
    await scene.expect("Heartbeat")


async def test_local_people_start_and_stop_a_charge(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.plug()
    await scene.expect_status("Preparing")

    async def status(name: str, ident: str, **args: object) -> str:
        reader, writer = await asyncio.open_unix_connection(scene.daemon.control)
        writer.write(json.dumps({"id": ident, "command": name, "args": args}).encode() + b"\n")
        reply = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        return str(reply["result"]["status"])

    assert await status("start_transaction", "1", connector=1, id_token="ALICE") == "Accepted"
    await scene.expect_status("Charging")
    transaction = scene.transaction_id()
    assert await status("stop_transaction", "2", transaction_id="99999") == "Rejected"
    assert await status("stop_transaction", "3", transaction_id=str(transaction)) == "Accepted"
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    assert stop["reason"] == "Remote"
