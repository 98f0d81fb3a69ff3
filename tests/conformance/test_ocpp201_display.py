"""Messages and costs for a display, as a 2.0.1 CSMS sends them. O01 to O06, I02.

What is shown at a connector is read where an installer would: in `edged status`. MQTT shows the same (test_topics).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.domain.hardware import FaultCode
from edged.simulator.csms import Token
from edged.simulator.csms_scripts import Also
from tests.conformance.scene201 import SOCKET, OpenScene201, Scene201

Json = dict[str, Any]
WITH_DISPLAY = {"station_settings": {"display": True}}


def message(id: int = 1, priority: str = "NormalCycle", **more: Any) -> Json:
    content = {"format": "UTF8", "content": f"message {id}", "language": "en"}
    return {"id": id, "priority": priority, "message": content, **more}


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


async def put(scene: Scene201, *messages: Json) -> list[str]:
    return [await scene.status_of("SetDisplayMessage", message=one) for one in messages]


async def told(scene: Scene201, **criteria: object) -> list[Json] | str:
    """What NotifyDisplayMessages brings, or why nothing does."""
    request_id = 40 + len(criteria)
    status = await scene.status_of("GetDisplayMessages", requestId=request_id, **criteria)
    if status != "Accepted":
        return status
    page = await scene.expect("NotifyDisplayMessages", requestId=request_id)
    assert not page.get("tbc", False)
    found: list[Json] = page["messageInfo"]
    return found


async def shows(scene: Scene201, *ids: int, connector: int = 1) -> None:
    await scene.knows(lambda state: state["connectors"][connector - 1]["display"] == list(ids))


@pytest.mark.req("TC_O_01_CS", "TC_O_02_CS", "TC_O_03_CS", "TC_O_33_CS", "TC_O_12_CS", "O01.FR.01", "O03.FR.02")
async def test_TC_O_01_CS_TC_O_02_CS_TC_O_03_CS_TC_O_33_CS_TC_O_12_CS_set_replace_and_get_all(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(SOCKET, **WITH_DISPLAY)
    assert await told(scene) == "Unknown"
    assert await told(scene, id=[1]) == "Unknown"
    first = message(1)
    assert await put(scene, first) == ["Accepted"]
    assert await told(scene) == [first]
    await shows(scene, 1)
    other = message(1, "InFront")
    assert await put(scene, other) == ["Accepted"]
    assert await told(scene) == [other]


@pytest.mark.req("TC_O_07_CS", "TC_O_08_CS", "TC_O_09_CS", "TC_O_11_CS", "TC_O_34_CS", "TC_O_35_CS", "O04.FR.01")
async def test_TC_O_07_CS_TC_O_08_CS_TC_O_09_CS_TC_O_11_CS_TC_O_34_CS_TC_O_35_CS_get_some(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(SOCKET, **WITH_DISPLAY)
    plain, front, idle = message(1), message(2, "InFront"), message(3, state="Idle")
    assert await put(scene, plain, front, idle) == ["Accepted"] * 3
    assert await told(scene, id=[1, 3]) == [plain, idle]
    assert await told(scene, priority="InFront") == [front]
    assert await told(scene, state="Idle") == [idle]
    assert await told(scene, id=[99]) == "Unknown"
    assert await told(scene, id=[1], state="Charging") == "Unknown"
    assert await told(scene, id=[1], priority="AlwaysFront") == "Unknown"


@pytest.mark.req("TC_O_04_CS", "TC_O_05_CS", "O05.FR.01", "O05.FR.02")
async def test_TC_O_04_CS_TC_O_05_CS_clear(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(SOCKET, **WITH_DISPLAY)
    await put(scene, message(1))
    assert await scene.status_of("ClearDisplayMessage", id=2) == "Unknown"
    assert await scene.status_of("ClearDisplayMessage", id=1) == "Accepted"
    assert await told(scene) == "Unknown"
    await shows(scene)


@pytest.mark.req("TC_O_13_CS", "TC_O_14_CS")
async def test_TC_O_13_CS_TC_O_14_CS_shown_from_its_start_to_its_end(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(SOCKET, **WITH_DISPLAY)
    assert await put(scene, message(1, startDateTime=soon(1.5), endDateTime=soon(4))) == ["Accepted"]
    await shows(scene)
    await shows(scene, 1)
    await shows(scene)
    assert await told(scene) == "Unknown"


@pytest.mark.req("TC_O_06_CS", "TC_O_10_CS", "TC_O_27_CS", "TC_O_28_CS", "TC_O_30_CS", "TC_O_32_CS", "O02.FR.01")
async def test_TC_O_06_CS_TC_O_10_CS_TC_O_27_CS_TC_O_28_CS_TC_O_30_CS_TC_O_32_CS_of_a_transaction(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(SOCKET, SOCKET, **WITH_DISPLAY)
    assert await put(scene, message(1, transactionId="nobody")) == ["UnknownTransaction"]
    own = {"transactionId": await scene.charging("ALICE")}
    assert await put(scene, message(1, **own)) == ["Accepted"]
    await shows(scene, 1)
    await shows(scene, connector=2)
    front = [message(n, "InFront", **own) for n in (2, 3)]
    assert await put(scene, *front) == ["Accepted"] * 2
    await shows(scene, 2, 3)
    assert await put(scene, message(4, "AlwaysFront", startDateTime=soon(1), **own)) == ["Accepted"]
    await shows(scene, 4)
    assert await put(scene, message(5, "AlwaysFront", endDateTime=soon(2), **own)) == ["Accepted"]
    await shows(scene, 5)
    await shows(scene, 2, 3)
    scene.swipe("ALICE")
    await scene.expect_event("Ended")
    assert await told(scene) == "Unknown"


@pytest.mark.req("TC_O_19_CS", "O02.FR.05")
async def test_TC_O_19_CS_a_format_that_no_display_takes(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(SOCKET, **WITH_DISPLAY)
    content = {"format": "HTML", "content": "<b>free</b>"}
    assert await put(scene, {**message(1), "message": content}) == ["NotSupportedMessageFormat"]
    assert await told(scene) == "Unknown"


@pytest.mark.req("TC_O_20_CS")
async def test_TC_O_20_CS_a_message_outlives_a_restart(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(SOCKET, **WITH_DISPLAY)
    await put(scene, message(1))
    assert await scene.status_of("Reset", type="Immediate") == "Accepted"
    await scene.expect("BootNotification")
    await scene.ready(after=scene.since)
    assert await told(scene) == [message(1)]
    await shows(scene, 1)


@pytest.mark.req("TC_O_22_CS", "TC_O_24_CS")
async def test_TC_O_22_CS_TC_O_24_CS_several_in_front_and_a_second_always_in_front(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(SOCKET, **WITH_DISPLAY)
    assert await put(scene, message(1), message(2, "InFront"), message(3, "InFront")) == ["Accepted"] * 3
    await shows(scene, 2, 3)
    assert await put(scene, message(4, "AlwaysFront")) == ["Accepted"]
    await shows(scene, 4)
    second = message(5, "AlwaysFront")
    assert await put(scene, second) == ["Accepted"]
    await shows(scene, 5)
    assert await told(scene, priority="AlwaysFront") == [second]


@pytest.mark.req("TC_O_36_CS", "TC_O_37_CS", "TC_O_38_CS")
async def test_TC_O_36_CS_TC_O_37_CS_TC_O_38_CS_shown_while_charging_idle_faulted_and_unavailable(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(SOCKET, **WITH_DISPLAY)
    states = ("Charging", "Idle", "Unavailable", "Faulted")
    assert await put(scene, *(message(n, state=state) for n, state in enumerate(states))) == ["Accepted"] * 4
    await shows(scene, states.index("Idle"))
    place = {"id": 1}
    assert await scene.status_of("ChangeAvailability", operationalStatus="Inoperative", evse=place) == "Accepted"
    await shows(scene, states.index("Unavailable"))
    assert await scene.status_of("ChangeAvailability", operationalStatus="Operative", evse=place) == "Accepted"
    scene.fault(FaultCode.OTHER)
    await shows(scene, states.index("Faulted"))
    scene.mend()
    await shows(scene, states.index("Idle"))
    await scene.charging("ALICE")
    await shows(scene, states.index("Charging"))


def bill_is(text: str | None, total: float | None, *, final: bool = False) -> Callable[[Json], bool]:
    wanted = {"text": text, "total": total, "final": final}
    return lambda state: state["connectors"][0]["bill"] == wanted


@pytest.mark.req("I01.FR.01", "I02.FR.01", "I03.FR.01")
async def test_the_tariff_the_running_cost_and_the_bill_are_shown(open_scene201: OpenScene201) -> None:
    tokens = {"ALICE": Token("Accepted", message="0.40 EUR/kWh")}
    scene = await open_scene201(SOCKET, tokens=tokens, **WITH_DISPLAY)
    transaction = await scene.charging("ALICE")
    await scene.knows(bill_is("0.40 EUR/kWh", None))
    assert await scene.call("CostUpdated", totalCost=0.8, transactionId=transaction) == {}
    await scene.knows(bill_is("0.40 EUR/kWh", 0.8))
    scene.csms.answer("TransactionEvent", Also({"totalCost": 2.5}))
    scene.swipe("ALICE")
    await scene.expect_event("Ended")
    await scene.knows(bill_is("0.40 EUR/kWh", 2.5, final=True))


async def test_a_site_without_a_display_says_so_and_takes_costs_all_the_same(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    answer = await scene.call("SetDisplayMessage", message=message(1))
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["additionalInfo"] == "this site has no display"
    assert await scene.get_variable("DisplayMessageCtrlr", "Available") == "false"
    assert await scene.call("CostUpdated", totalCost=1.5, transactionId="nobody") == {}
